import assert from "node:assert/strict";
import { test } from "node:test";
import { BufferPool } from "../../../src/storage/s3/buffer_pool.ts";
import { StoppedClock } from "../../doubles/moved_clock.ts";
import { MAX_PART_COUNT, MAX_PART_SIZE, partSizeAt } from "../../../src/storage/s3/part_size.ts";

const MIB = 1024 * 1024;

test("BufferPool.lend() waits at its bound and serves who came first", async () => {
  const pool = new BufferPool({ limit: 100 });
  const first = await pool.lend(60);
  const served: string[] = [];
  const large = pool.lend(80).then((buffer) => (served.push("large"), buffer));
  const small = pool.lend(10).then((buffer) => (served.push("small"), buffer));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(served, [], "the small one would fit, but came later");
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  (await large)[Symbol.dispose]();
  (await small)[Symbol.dispose]();
  assert.deepEqual(served, ["large", "small"]);
  assert.equal(pool.largestLentSize, 90);
});

test("BufferPool.lend() lends one that is larger than the bound when nothing else is lent", async () => {
  const pool = new BufferPool({ limit: 100 });
  const buffer = await pool.lend(1000);
  assert.equal(buffer.bytes.length, 1000);
  const next = pool.lend(1);
  buffer[Symbol.dispose]();
  (await next)[Symbol.dispose]();
});

test("BufferPool.lend() gives a buffer again while others are lent", async () => {
  const pool = new BufferPool({ limit: 100 });
  const kept = await pool.lend(10);
  const first = await pool.lend(50);
  const { bytes } = first;
  first[Symbol.dispose]();
  const second = await pool.lend(50);
  assert.equal(second.bytes, bytes);
  for (const buffer of [kept, second]) buffer[Symbol.dispose]();
});

test("BufferPool.lend() gives a buffer again a moment after it came back, and lets it go after two seconds of rest", async () => {
  const clock = new StoppedClock();
  const pool = new BufferPool({ limit: 100, clock });
  const bytesOfOne = async () => {
    using buffer = await pool.lend(50);
    return buffer.bytes;
  };
  const first = await bytesOfOne();
  for (let round = 0; round < 3; round++) {
    await clock.advance(1500);
    assert.equal(await bytesOfOne(), first, "who catches up needs no fresh memory");
  }
  await clock.advance(2000);
  assert.notEqual(await bytesOfOne(), first, "an idle process holds none");
  await clock.advance(2000);
  assert.equal(clock.nextMs, undefined, "nor does it wake for it");
});

test("BufferPool.lend() lets the next one by when a waiting one is called off", async () => {
  const pool = new BufferPool({ limit: 100 });
  const held = await pool.lend(60);
  const abort = new AbortController();
  const large = pool.lend(80, { signal: abort.signal });
  const small = pool.lend(40);
  const reason = new Error("called off");
  abort.abort(reason);
  await assert.rejects(large, (error) => error === reason);
  (await small)[Symbol.dispose]();
  held[Symbol.dispose]();
  await assert.rejects(pool.lend(1, { signal: abort.signal }), (error) => error === reason);
});

test("partSizeAt() is flat for half of the parts and then fits any object", () => {
  const firstSize = 8 * MIB;
  const sizes = Array.from({ length: MAX_PART_COUNT }, (_, index) => partSizeAt(index + 1, { firstSize }));
  assert.deepEqual(
    [sizes[0], sizes[4999], sizes[5000], sizes[5499], sizes[5500]],
    [1, 1, 2, 2, 4].map((n) => n * firstSize),
  );
  assert.ok(sizes.every((size, index) => size <= MAX_PART_SIZE && size >= (sizes[index - 1] ?? 0)));
  const sum = (smallest: number) =>
    Array.from({ length: MAX_PART_COUNT }, (_, index) => partSizeAt(index + 1, { firstSize: smallest }))
      .reduce((total, size) => total + size, 0);
  assert.ok(sum(firstSize) >= 5 * 1024 ** 4);
  assert.ok(sum(6 * MIB) >= 5 * 1024 ** 4);
  assert.ok(sum(5 * MIB) >= 4.9 * 1024 ** 4);
});

test("partSizeAt() keeps parts equal where the provider wants that", () => {
  for (const number of [1, 5001, MAX_PART_COUNT]) {
    assert.equal(partSizeAt(number, { firstSize: 8 * MIB, areEqual: true }), 8 * MIB);
  }
});
