/** An index that has ended and whose shadow file became shorter while nobody looked, as after a power cut. */
import assert from "node:assert/strict";
import {
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { test } from "node:test";
import { type BareFollower, bareFollower } from "./bare_follower.ts";
import { Stage } from "./stage.ts";
import { EndedIndexes } from "../../src/database/ended_indexes.ts";
import { MetaDirectory } from "../../src/database/meta_directory.ts";
import { openSnapshot } from "../../src/database/snapshot.ts";
import type { IndexEnd } from "../../src/position.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles } from "../doubles/failing_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const FRAME = 4120;

/** A generation whose indexes 0 and 1 have ended, by commits of some frames each; index 2 has begun. */
async function endTwo({ follower }: BareFollower, stage: Stage): Promise<void> {
  await follower.startGeneration();
  for (let index = 0; index < 2; index++) {
    for (let count = 0; count < 3; count++) stage.insert();
    await follower.catchUp();
    stage.application.exec("PRAGMA wal_checkpoint(FULL)");
    for (let round = 0; round < 3; round++) await follower.catchUp();
    stage.insert();
    await follower.catchUp();
  }
  assert.equal(follower.shadow.index, 2);
}

interface Paths {
  /** Of the shadow file of an index. */
  readonly shadow: (index: number) => string;
  readonly record: string;
}

/** What a start says of a generation with three indexes after `damage`: why it can't go on. */
async function reasonAfter(damage: (paths: Paths) => void, files = systemFiles): Promise<string | undefined> {
  await using stage = new Stage();
  stage.insert();
  let generation: string;
  let paths: Paths;
  {
    using bare = bareFollower(stage, files);
    await endTwo(bare, stage);
    const { follower: { shadow }, meta } = bare;
    generation = shadow.generation;
    paths = {
      shadow: (index) => meta.shadowPath(generation, index),
      record: `${meta.path}/generations/${generation}/walbrook-ended.json`,
    };
  }
  damage(paths);
  using bare = bareFollower(stage);
  return await bare.follower.goOn();
}

function cutFrames(path: string, count: number): void {
  truncateSync(path, statSync(path).size - count * FRAME);
}

const LOST = "the shadow wal of index 00000001 has lost its end";

const DAMAGES: readonly (readonly [string, (paths: Paths) => void, string | undefined])[] = [
  ["is whole", () => {}, undefined],
  ["has lost its last commit", ({ shadow }) => cutFrames(shadow(1), 1), LOST],
  ["has lost all but its header", ({ shadow }) => truncateSync(shadow(1), 32), LOST],
  ["has lost everything", ({ shadow }) => truncateSync(shadow(1), 0), LOST],
  ["has lost one byte", ({ shadow }) => truncateSync(shadow(1), statSync(shadow(1)).size - 1), LOST],
  ["ends with zeros", ({ shadow }) => {
    const { size } = statSync(shadow(1));
    cutFrames(shadow(1), 1);
    truncateSync(shadow(1), size);
  }, LOST],
  ["is the one before it", ({ shadow }) => cutFrames(shadow(0), 1), LOST.replace("00000001", "00000000")],
  ["is not needed any more", ({ shadow }) => rmSync(shadow(1)), undefined],
  // As of Litestream, or of a walbrook that remembered nothing.
  ["is cut, and nothing is remembered", ({ shadow, record }) => {
    cutFrames(shadow(1), 1);
    rmSync(record);
  }, undefined],
  ["is cut, and what is remembered is broken", ({ shadow, record }) => {
    cutFrames(shadow(1), 1);
    truncateSync(record, 20);
  }, undefined],
];

for (const [what, damage, reason] of DAMAGES) {
  test(`Follower.goOn() where an ended index ${what}`, async () => {
    assert.equal(await reasonAfter(damage), reason);
  });
}

test("Follower.goOn() compares the newest index with the live WAL, whatever is remembered of it", async () => {
  const reason = await reasonAfter(({ record }) => {
    const ends = JSON.parse(readFileSync(record, "utf8"));
    writeFileSync(record, JSON.stringify([...ends, { ...ends[1], index: 2, length: 1e9 }]));
  });
  assert.equal(reason, undefined);
});

test("ShadowWal begins an index also where nothing can be remembered of the one before", async () => {
  const { files, failed } = failFiles(systemFiles, [
    { kind: "write", code: "ENOSPC", path: /ended/, times: Infinity },
  ]);
  assert.equal(await reasonAfter(({ record }) => assert.equal(existsSync(record), false), files), undefined);
  assert.equal(failed.length, 2);
});

test("Follower.goOn() leaves a file that can't be read to who needs it", async () => {
  await using stage = new Stage();
  stage.insert();
  {
    using bare = bareFollower(stage);
    await endTwo(bare, stage);
  }
  const { files, failed } = failFiles(systemFiles, [{ kind: "open", code: "EIO", path: /00000001\.wal$/ }]);
  using bare = bareFollower(stage, files);
  assert.equal(await bare.follower.goOn(), undefined);
  assert.equal(failed.length, 1);
});

test("openSnapshot() says how the index before ended, whatever became of its file since", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  await endTwo(bare, stage);
  const { follower, meta } = bare;
  const path = meta.shadowPath(follower.shadow.generation, 1);
  const length = statSync(path).size;
  cutFrames(path, 1);
  using snapshot = await openSnapshot(follower);
  assert.deepEqual([snapshot.index, snapshot.previousEnd!.index, snapshot.previousEnd!.length], [
    2,
    1,
    length,
  ]);
});

test("openSnapshot() says nothing of a damaged index before of which nothing is remembered", async () => {
  await using stage = new Stage();
  stage.insert();
  let record: string;
  {
    using bare = bareFollower(stage);
    await endTwo(bare, stage);
    record = `${bare.meta.path}/generations/${bare.follower.shadow.generation}/walbrook-ended.json`;
  }
  rmSync(record);
  using bare = bareFollower(stage);
  const { follower } = bare;
  assert.equal(await follower.goOn(), undefined);
  writeFileSync(follower.shadow.path(1), new Uint8Array(4096));
  using snapshot = await openSnapshot(follower);
  assert.deepEqual([snapshot.index, snapshot.previousEnd], [2, undefined]);
});

test("EndedIndexes keeps the last ones, each once, and says nothing from a file that is none of its own", () => {
  using folder = temporaryFolder();
  const meta = new MetaDirectory(folder.path);
  const generation = "0123456789abcdef";
  const endOf = (index: number): IndexEnd => ({
    index,
    length: 32 + FRAME,
    checksum: [1, index],
    salts: [2, index],
  });
  const written = new EndedIndexes(meta, generation);
  assert.deepEqual(written.ends, []);
  for (const index of [0, 1, 1, ...Array.from({ length: 40 }, (_, at) => at + 2)]) {
    written.remember(endOf(index));
  }
  assert.deepEqual(new EndedIndexes(meta, generation).ends, []);
  written.write();
  const kept = Array.from({ length: 32 }, (_, at) => endOf(at + 10));
  assert.deepEqual(new EndedIndexes(meta, generation).ends, kept);
  const path = `${folder.path}/generations/${generation}/walbrook-ended.json`;
  for (const text of ["", "{}", "null", "[null]", '[{"index":1}]', "[" + " ".repeat(1 << 15) + "]"]) {
    writeSync(openSync(path, "w"), text);
    assert.deepEqual(new EndedIndexes(meta, generation).ends, [], text.slice(0, 20));
  }
});
