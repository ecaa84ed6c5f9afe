/** Pieces of the shadow WAL where there is nothing yet, where they begin oddly, and where a file is damaged. */
import assert from "node:assert/strict";
import { openSync, truncateSync, writeSync } from "node:fs";
import { test } from "node:test";
import { bareFollower } from "./bare_follower.ts";
import { Stage } from "./stage.ts";
import { readAll } from "../../src/bytes.ts";
import { CommitTimes } from "../../src/database/commit_times.ts";
import { ContinuityLostError } from "../../src/database/continuity.ts";
import type { Follower } from "../../src/database/follower.ts";
import { segmentAt } from "../../src/database/segment.ts";
import { WAL_HEADER_SIZE } from "../../src/position.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { scanFrames } from "../../src/wal/frames.ts";
import { failFiles, type FailRule } from "../doubles/failing_files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { until } from "../doubles/until.ts";

const ALL = { maxBytes: 1 << 30 };

/** Have the application begin a new WAL with its next commit, of `size` bytes. */
async function restart(stage: Stage, follower: Follower, size = 100): Promise<void> {
  stage.application.exec("PRAGMA wal_checkpoint(FULL)");
  for (let round = 0; round < 3; round++) await follower.catchUp();
  stage.insert(size);
}

test("segmentAt() has nothing of an index whose first commit is only half copied", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  // More than is copied at once.
  await restart(stage, follower, 2 << 20);
  assert.deepEqual(follower.step(), { hasCopied: true, hasMore: true });
  const { shadow } = follower;
  assert.equal(shadow.index, 1);
  assert.equal(shadow.sizeOf(1), undefined);
  assert.equal(segmentAt(follower, { index: 1, offset: 0 }, ALL), undefined);
  assert.equal(segmentAt(follower, { index: 2, offset: 0 }, ALL), undefined);
  assert.throws(() => segmentAt(follower, { index: 1, offset: 32 }, ALL), ContinuityLostError);
  await follower.catchUp();
  assert.equal(segmentAt(follower, { index: 1, offset: 0 }, ALL)!.length, shadow.committedSize);
});

test("Segment.chain() continues from wherever the segment begins", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  const { pageSize } = follower.shadow.chain!;
  assert.equal(segmentAt(follower, { index: 0, offset: 0 }, ALL)!.chain(), undefined);
  for (const offset of [WAL_HEADER_SIZE, WAL_HEADER_SIZE + 24 + pageSize]) {
    const segment = segmentAt(follower, { index: 0, offset }, ALL)!;
    const frames = await readAll(segment.read(), { limit: segment.length });
    const scan = scanFrames(frames, segment.chain()!);
    assert.equal(scan.stop, "end");
    assert.deepEqual(scan.checksum, follower.shadow.chain!.checksum);
  }
});

test("segmentAt() tells a damaged index before from one that can't be read", async () => {
  await using stage = new Stage();
  stage.insert();
  const rules: FailRule[] = [];
  using bare = bareFollower(stage, failFiles(systemFiles, rules).files);
  const { follower } = bare;
  await follower.startGeneration();
  await restart(stage, follower);
  await follower.catchUp();
  rules.push({ kind: "open", code: "EIO", path: /00000000\.wal$/ });
  assert.throws(() => segmentAt(follower, { index: 1, offset: 0 }, ALL), /EIO/);
  const file = openSync(follower.shadow.path(0), "r+");
  writeSync(file, new Uint8Array(8).fill(9), 0, 8, 0);
  assert.throws(
    () => segmentAt(follower, { index: 1, offset: 0 }, ALL),
    (error: Error) => error instanceof ContinuityLostError && /index before is damaged/.test(error.message),
  );
});

test("segmentAt() begins no index after one that has lost its last commit", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  stage.insert();
  await follower.catchUp();
  const whole = follower.shadow.committedSize;
  await restart(stage, follower);
  await follower.catchUp();
  const { pageSize } = follower.shadow.chain!;
  assert.equal(segmentAt(follower, { index: 1, offset: 0 }, ALL)!.previousEnd!.length, whole);
  truncateSync(follower.shadow.path(0), whole - 24 - pageSize);
  const message = new RegExp(
    `index before is damaged: index 00000000 ends at \\d+, and was ${whole} bytes long`,
  );
  assert.throws(
    () => segmentAt(follower, { index: 1, offset: 0 }, ALL),
    (error: Error) => error instanceof ContinuityLostError && message.test(error.message),
  );
});

test("Segment.read() fails when the shadow file becomes shorter or can't be read", async () => {
  await using stage = new Stage();
  stage.insert();
  const rules: FailRule[] = [];
  using bare = bareFollower(stage, failFiles(systemFiles, rules).files);
  const { follower } = bare;
  await follower.startGeneration();
  const segment = segmentAt(follower, { index: 0, offset: 0 }, ALL)!;
  rules.push({ kind: "read", code: "EIO", path: /\.wal$/ });
  await assert.rejects(readAll(segment.read(), { limit: segment.length }), /EIO/);
  truncateSync(segment.path, segment.length - 1);
  await assert.rejects(
    readAll(segment.read(), { limit: segment.length }),
    /became shorter while it was read/,
  );
  await assert.rejects(segment.readInto(new Uint8Array(segment.length)), /became shorter while it was read/);
});

test("Segment.read() takes turns with its buffer, but for one that a read may still write to", async () => {
  await using stage = new Stage();
  stage.insert(1 << 20);
  const used: ArrayBufferLike[] = [];
  let gate: Promise<void> | undefined;
  const files = hookFiles(systemFiles, (call, act) => {
    const result = act();
    if (call.kind !== "read" || call.size !== 256 * 1024) return result;
    used.push(call.into!.buffer);
    return (gate === undefined ? result : gate.then(() => result)) as typeof result;
  });
  using bare = bareFollower(stage, files);
  const { follower } = bare;
  await follower.startGeneration();
  const segment = segmentAt(follower, { index: 0, offset: 0 }, ALL)!;
  const buffersOfRead = async () => {
    used.length = 0;
    await readAll(segment.read(), { limit: segment.length });
    return new Set(used);
  };
  const before = await buffersOfRead();
  assert.equal(before.size, 1);
  assert.deepEqual(await buffersOfRead(), before);
  const { promise, resolve } = Promise.withResolvers<void>();
  gate = promise;
  const reader = segment.read().getReader();
  used.length = 0;
  const reading = reader.read();
  await until(() => used.length === 1, "the read");
  await reader.cancel();
  gate = undefined;
  const after = await buffersOfRead();
  assert.ok(after.isDisjointFrom(before));
  resolve();
  await reading;
});

test("CommitTimes grows coarser and never goes back", () => {
  let now = 0;
  let steadyMs = 0;
  const clock = { ...systemClock, now: () => now, monotonicMs: () => steadyMs };
  const times = new CommitTimes(clock, { floor: 0 });
  const count = 2000;
  for (let nth = 1; nth <= count; nth++) {
    now = nth % 7 === 0 ? nth - 20 : nth;
    steadyMs = nth;
    times.record({ index: 0, offset: nth });
  }
  let before = 0;
  for (let offset = 1; offset <= count; offset++) {
    const at = times.timeOf({ index: 0, offset });
    assert.ok(at >= before && at >= offset - 20, `${offset}: ${at} after ${before}`);
    assert.ok(at - offset < count / 4, `${offset}: ${at} is too coarse`);
    before = at;
  }
  assert.equal(times.timeOf({ index: 0, offset: count }), count);
});
