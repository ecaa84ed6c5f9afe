/** The rules of the lossless checkpoint, each broken once in the source to see its test fail. */
import assert from "node:assert/strict";
import { existsSync, openSync, readFileSync, readSync, statSync, writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { bareFollower, lookAt } from "./bare_follower.ts";
import { assertNothingLost, keepSnapshot, Stage, until } from "./stage.ts";
import { viewOf } from "../../src/bytes.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { walChecksum } from "../../src/wal/checksum.ts";
import { parseWalIndex } from "../../src/wal/wal_index.ts";
import { hookFiles } from "../doubles/hooked_files.ts";

test("LiveDatabase loses nothing when a commit and a full checkpoint fall between copy and move (cases 34, 35)", async () => {
  await using stage = new Stage();
  stage.insert();
  // It runs in this thread, where our reader can't move while it waits.
  stage.application.exec("PRAGMA busy_timeout = 0");
  let armed = 0;
  let isReading = false;
  const files = hookFiles(systemFiles, (call, act) => {
    // And right before it: what our reader was moved onto without a copy would be gone by now.
    if (call.kind === "read" && call.path.endsWith("-wal") && call.position! > 32 && isReading) {
      stage.application.exec("PRAGMA wal_checkpoint(FULL)");
      stage.insert();
    }
    const result = act();
    // Right after the copy, before the reader moves: the moment in which the tool that we replace loses commits.
    if (call.kind === "write" && call.path.includes("/wal/") && armed > 0) {
      armed--;
      stage.insert();
      stage.application.exec("PRAGMA wal_checkpoint(FULL)");
      stage.insert();
      stage.application.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      stage.insert();
    }
    return result;
  });
  const database = await stage.follow({ files });
  const snapshot = await keepSnapshot(database);
  for (let round = 0; round < 10; round++) {
    armed = 2;
    isReading = round % 2 === 1;
    stage.insert();
    await database.settle();
    stage.application.exec("PRAGMA wal_checkpoint(RESTART)");
  }
  armed = 0;
  isReading = false;
  const rebuilt = await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
  assert.ok(rebuilt.commitCount >= 40, `${rebuilt.commitCount} commits`);
  assert.deepEqual(stage.logged("warn"), []);
});

async function commitBehindTheBack(
  stage: Stage,
  letGo: boolean,
): Promise<{ has: boolean; wasRestarted: boolean }> {
  const neighbour = stage.neighbour();
  stage.insert();
  stage.application.exec("CREATE TABLE u (x)");
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  const before = follower.live.look()!.salts;
  if (letGo) follower.readers.close();
  await neighbour.sql("INSERT INTO u VALUES ('behind the back')");
  const marker = new TextEncoder().encode("behind the back");
  await neighbour.sql("PRAGMA busy_timeout = 0");
  const { isBusy } = await neighbour.checkpoint("TRUNCATE");
  await neighbour.sql("INSERT INTO t (x) VALUES ('after')");
  if (letGo) {
    follower.readers.begin();
    follower.readers.move();
  }
  let reason = "";
  await follower.catchUp().catch((error) => reason = error.message);
  assert.equal(reason, "");
  const { generation, index } = follower.shadow;
  let shadow = "";
  for (let at = 0; at <= index; at++) {
    const path = bare.meta.shadowPath(generation, at);
    if (existsSync(path)) shadow += readFileSync(path, "latin1");
  }
  const has = shadow.includes(new TextDecoder("latin1").decode(marker));
  assert.equal(isBusy, !letGo);
  return { has, wasRestarted: follower.live.look()!.salts[0] !== before[0] };
}

test("Follower that lets its reader go loses commits (the mutant that the other tests are to catch)", async () => {
  await using stage = new Stage();
  assert.deepEqual(await commitBehindTheBack(stage, true), { has: false, wasRestarted: true });
});

test("Follower that keeps its reader loses nothing where the mutant does", async () => {
  await using stage = new Stage();
  assert.deepEqual(await commitBehindTheBack(stage, false), { has: true, wasRestarted: false });
});

test("Readers.move() begins the new transaction before it ends the old one", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  stage.insert();
  await follower.catchUp();
  // Backfill all that can be, so that only our reader keeps the WAL from being restarted.
  stage.application.exec("PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(PASSIVE)");
  const restart = () => Object.values(stage.application.prepare("PRAGMA wal_checkpoint(RESTART)").get()!)[0];
  assert.equal(restart(), 1);
  const original = DatabaseSync.prototype.exec;
  const answers: unknown[] = [];
  // A neighbour tries before each statement of ours, until the new reader stands on mark 0.
  DatabaseSync.prototype.exec = function (sql: string) {
    answers.push(restart());
    original.call(this, sql);
  };
  try {
    follower.readers.move();
  } finally {
    DatabaseSync.prototype.exec = original;
  }
  // BEGIN, the read that makes it stand, and the ROLLBACK of the old one.
  assert.deepEqual(answers, [1, 1, 1]);
});

test("Readers take turns: there is no moment in which the WAL could be truncated", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  const snapshot = await keepSnapshot(database);
  const neighbour = stage.neighbour();
  await neighbour.sql("PRAGMA busy_timeout = 0");
  // A neighbour's tries at any moment: with a gap between the readers one of them would cut frames off uncopied.
  for (let round = 0; round < 200; round++) {
    stage.insert();
    await neighbour.checkpoint("TRUNCATE");
  }
  const rebuilt = await assertNothingLost(database, { snapshot, neighbour });
  assert.ok(rebuilt.commitCount >= 200);
  assert.deepEqual(stage.logged("warn"), []);
});

test("LiveDatabase begins an index only with a published commit: a spilled transaction that rolls back is no index (case 16)", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  const snapshot = await keepSnapshot(database);
  const neighbour = stage.neighbour();
  await until(async () => !(await neighbour.checkpoint("TRUNCATE")).isBusy, { what: "the WAL is empty" });
  await database.settle();
  const { index } = database.position!;
  for (let round = 0; round < 3; round++) {
    await neighbour.sql("PRAGMA cache_size = 5");
    await neighbour.sql("BEGIN");
    await neighbour.sql(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t (x) SELECT randomblob(500) FROM n",
    );
    assert.ok(statSync(`${stage.path}-wal`).size > 100_000, "the transaction has not spilled");
    await database.settle();
    assert.equal(database.position!.index, index);
    await neighbour.sql("ROLLBACK");
    await database.settle();
    assert.equal(database.position!.index, index);
  }
  stage.insert();
  await database.settle();
  assert.equal(database.position!.index, index + 1);
  await assertNothingLost(database, { snapshot, neighbour });
  assert.deepEqual(stage.logged("warn"), []);
});

test("LiveDatabase copies nothing of a spilled transaction before its commit, and all of it after (case 15)", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  const snapshot = await keepSnapshot(database);
  const before = database.position!;
  const neighbour = stage.neighbour();
  await neighbour.sql("PRAGMA cache_size = 5");
  await neighbour.sql("BEGIN");
  await neighbour.sql(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t (x) SELECT randomblob(500) FROM n",
  );
  await database.settle();
  assert.deepEqual(database.position, before);
  await neighbour.sql("COMMIT");
  await database.settle();
  assert.ok(database.position!.offset > before.offset + 1_000_000);
  await assertNothingLost(database, { snapshot, neighbour });
});

/** Append to the `-wal` a commit frame that is whole, but was never published. */
function appendUnpublishedCommit(path: string): void {
  const index = lookAt(path);
  const wal = openSync(`${path}-wal`, "r+");
  const size = 24 + index.pageSize;
  const frame = new Uint8Array(size);
  readSync(wal, frame, 0, size, 32 + (index.mxFrame - 1) * size);
  const view = viewOf(frame);
  frame[100]! ^= 0xff;
  view.setUint32(4, index.pageCount);
  const summed = new Uint8Array(8 + index.pageSize);
  summed.set(frame.subarray(0, 8));
  summed.set(frame.subarray(24), 8);
  const bigEndian = (readFileSync(`${path}-wal`)[3]! & 1) === 1;
  const [first, second] = walChecksum(summed, { bigEndian, seed: index.frameChecksum });
  view.setUint32(16, first);
  view.setUint32(20, second);
  writeSync(wal, frame, 0, size, 32 + index.mxFrame * size);
}

test("LiveDatabase never copies a whole commit frame that its writer did not publish", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  const snapshot = await keepSnapshot(database);
  const before = database.position!;
  // As a writer leaves it that is killed between writing its commit frame and publishing it.
  appendUnpublishedCommit(stage.path);
  await database.settle();
  assert.deepEqual(database.position, before);
  stage.insert();
  await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
  assert.equal(database.position!.generation, before.generation);
});

test("LiveDatabase repairs a wal-index that a killed writer left half-published, and goes on", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  const snapshot = await keepSnapshot(database);
  const neighbour = stage.neighbour();
  await neighbour.sql("SELECT count(*) FROM t");
  lookAt(stage.path);
  const shm = openSync(`${stage.path}-shm`, "r+");
  for (let round = 0; round < 5; round++) {
    stage.insert();
    // The first copy of the header is changed, the second not yet.
    writeSync(shm, new Uint8Array([round + 1]), 0, 1, 16);
    await database.settle();
    assert.notEqual(parseWalIndex(readFd(shm)), undefined, "the wal-index is whole again");
    stage.insert();
    await database.settle();
  }
  await assertNothingLost(database, { snapshot, neighbour });
  assert.deepEqual(stage.logged("warn"), []);
  assert.deepEqual(stage.logged("error"), []);
});

function readFd(descriptor: number): Uint8Array {
  const bytes = new Uint8Array(136);
  readSync(descriptor, bytes, 0, 136, 0);
  return bytes;
}

test("Readers.repair() keeps the standing reader: a commit that isn't copied yet stays pinned", async () => {
  await using stage = new Stage();
  stage.insert();
  const neighbour = stage.neighbour();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  await neighbour.sql("INSERT INTO t (x) VALUES ('pinned')");
  follower.readers.move();
  const pinned = follower.readers.standing!.after.mxFrame;
  assert.ok(pinned > follower.shadow.frameCount);
  await neighbour.checkpoint("PASSIVE");
  follower.readers.repair();
  assert.equal(follower.readers.standing!.after.mxFrame, pinned);
  await neighbour.sql("PRAGMA busy_timeout = 0");
  assert.ok(
    (await neighbour.checkpoint("RESTART")).isBusy,
    "the WAL could be restarted before it was copied",
  );
  await follower.catchUp();
  assert.equal(follower.shadow.frameCount, pinned);
});

test("Follower.step() keeps the standing reader when the wal-index is broken", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  stage.insert();
  // Held open: see above.
  lookAt(stage.path);
  const shm = openSync(`${stage.path}-shm`, "r+");
  writeSync(shm, new Uint8Array([0x55]), 0, 1, 16);
  const before = follower.readers.standing;
  assert.ok(follower.step().hasMore);
  assert.equal(follower.readers.standing, before);
  await follower.catchUp();
  assert.equal(follower.shadow.frameCount, lookAt(stage.path).mxFrame);
});

test("LiveDatabase does not keep an idle neighbour's TRUNCATE waiting (case 33)", async () => {
  await using stage = new Stage();
  const neighbour = stage.neighbour();
  for (let round = 0; round < 50; round++) stage.insert();
  const database = await stage.follow();
  const generation = database.position!.generation;
  let slowest = 0;
  for (let round = 0; round < 20; round++) {
    if (round % 2 === 0) stage.insert();
    // Sometimes right after the commit, sometimes when all is quiet and only the notices are left.
    if (round % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 600));
    const { isBusy, ms } = await neighbour.checkpoint("TRUNCATE");
    assert.ok(!isBusy, `round ${round}: busy`);
    slowest = Math.max(slowest, ms);
  }
  assert.ok(slowest < 500, `the slowest of 20 took ${slowest} ms`);
  assert.equal(statSync(`${stage.path}-wal`).size, 0);
  assert.equal(database.position!.generation, generation);
  assert.deepEqual(stage.logged("warn"), []);
});

test("LiveDatabase moves off its mark when somebody else backfills everything while it is idle", async () => {
  await using stage = new Stage();
  stage.insert();
  const neighbour = stage.neighbour();
  // Whoever opens the -wal gives a notice, so it is opened now; the backfill itself gives none.
  await neighbour.sql("PRAGMA busy_timeout = 0");
  await neighbour.sql("SELECT count(*) FROM t");
  await stage.follow({ monitorIntervalMs: 600_000 });
  stage.insert();
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.ok(!(await neighbour.checkpoint("PASSIVE")).isBusy);
  await until(async () => !(await neighbour.checkpoint("RESTART")).isBusy, {
    what: "our reader stands on mark 0",
    limitMs: 2000,
  });
});

test("LiveDatabase follows through salts that jump: repeated TRUNCATE and fresh connections", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  const snapshot = await keepSnapshot(database);
  const neighbour = stage.neighbour();
  for (let round = 0; round < 10; round++) {
    stage.insert();
    for (let again = 0; again < 3; again++) await neighbour.checkpoint("TRUNCATE");
    await neighbour.sql("INSERT INTO t (x) VALUES (1)", `fresh ${round}`);
  }
  const rebuilt = await assertNothingLost(database, { snapshot, neighbour });
  const steps = rebuilt.salts.slice(1).map(([salt], at) => (salt - rebuilt.salts[at]![0]) >>> 0);
  assert.ok(steps.some((step) => step !== 1), `steps ${steps}`);
  assert.deepEqual(stage.logged("warn"), []);
});

test("LiveDatabase checkpoints past a long reader only when it ends, and never fails for it (case 32)", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow({ limits: { minPages: 20, maxPages: 60 } });
  const snapshot = await keepSnapshot(database);
  const neighbour = stage.neighbour();
  // With something left to backfill, so that the reader stands on a mark above 0.
  stage.insert();
  await neighbour.sql("BEGIN", "long");
  await neighbour.sql("SELECT count(*) FROM t", "long");
  await database.settle();
  const { index } = database.position!;
  for (let round = 0; round < 200; round++) {
    stage.insert(3000);
    if (round % 10 === 0) await database.settle();
  }
  assert.equal(database.position!.index, index);
  await neighbour.sql("ROLLBACK", "long");
  await until(async () => {
    stage.insert(3000);
    await database.settle();
    return database.position!.index > index;
  }, { what: "the next index" });
  await assertNothingLost(database, { snapshot, neighbour });
  assert.deepEqual(stage.logged("error"), []);
});
