/** What keeps the WAL bounded under a writer that is as fast as we are. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { bareFollower, lookAt, tornFiles } from "./bare_follower.ts";
import { Stage } from "./stage.ts";
import { checkpointBehindBarrier, checkpointPolitely, Writers } from "../../src/database/checkpoint.ts";
import { CheckpointSchedule } from "../../src/database/checkpoint_schedule.ts";
import { CHECKPOINT_DEFAULTS } from "../../src/database/decide.ts";
import { FairTurns } from "../../src/database/fair_turns.ts";
import { isPinned } from "../../src/database/standing.ts";
import { patienceWith } from "../../src/database/sync_ahead.ts";
import { silentLogger } from "../../src/logger.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { hookStatements } from "../doubles/hooked_statements.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";

const PASSIVE = "PRAGMA wal_checkpoint(PASSIVE)";

/** Frames that the WAL holds and the database file doesn't. */
function backlogOf(stage: Stage): number {
  const { mxFrame, backfilledCount } = lookAt(stage.path);
  return mxFrame - backfilledCount;
}

/** Files that let the WAL grow by more than anybody has patience for when it is next brought to the disk, once armed. */
function growthAtSync(stage: Stage) {
  const growth = {
    isArmed: false,
    files: hookFiles(systemFiles, (call, act) => {
      if (growth.isArmed && call.kind === "sync" && call.path.endsWith("-wal")) {
        growth.isArmed = false;
        stage.insert(33 << 20);
      }
      return act();
    }),
  };
  return growth;
}

test("Follower moves into a WAL that has begun anew before all of it is copied", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.live);
  await checkpointBehindBarrier({ follower, writers });
  stage.insert(3 << 20);
  const { salts, mxFrame } = lookAt(stage.path);
  assert.equal(follower.step().hasMore, true);
  assert.ok(follower.shadow.frameCount < mxFrame);
  assert.deepEqual(follower.readers.standing!.after.salts, salts);
  assert.ok(isPinned(follower.readers.standing!));
  // What the standing reader pins, and is not copied, it has to stay for.
  const { standing } = follower.readers;
  follower.moveUp();
  assert.equal(follower.readers.standing, standing);
  writers.checkpoint("PASSIVE");
  assert.equal(backlogOf(stage), 0);
});

test("Follower.catchUp() ends where its goal's WAL is over, however fast the next one grows", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.live);
  await checkpointBehindBarrier({ follower, writers });
  let stepCount = 0;
  const step = follower.step.bind(follower);
  follower.step = () => {
    // The first one comes between the look at the goal and the step, and begins the WAL anew.
    if (stepCount++ < 20) stage.insert(2 << 20);
    return step();
  };
  await follower.catchUp();
  assert.ok(stepCount < 5, `${stepCount} steps`);
});

test("checkpointBehindBarrier() backfills ahead also when somebody else was checkpointing just then", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.live);
  stage.insert(4 << 20);
  const backlogs: number[] = [];
  using _ = hookStatements((sql) => {
    if (sql === "BEGIN IMMEDIATE") backlogs.push(backlogOf(stage));
  });
  const checkpoint = writers.checkpoint.bind(writers);
  let count = 0;
  writers.checkpoint = (mode) =>
    count++ === 0 ? { isBusy: true, frameCount: -1, backfilledCount: -1 } : checkpoint(mode);
  // A second try of the lock, before which it is done again.
  using other = new DatabaseSync(stage.path);
  other.exec("BEGIN IMMEDIATE");
  const done = checkpointBehindBarrier({ follower, writers });
  setTimeout(() => other.exec("ROLLBACK"), 50);
  await done;
  assert.ok(backlogs.at(-1)! <= 100, `${backlogs.at(-1)} frames are left to the barrier`);
});

test("checkpointBehindBarrier() backfills in rounds, as long as each leaves less to do", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.live);
  stage.insert(4 << 20);
  const late = [1600, 600, 200, 0].map((kilobytes) => kilobytes * 1024);
  const backlogs: number[] = [];
  using _ = hookStatements((sql) => {
    if (sql === "BEGIN IMMEDIATE") backlogs.push(backlogOf(stage));
    const size = sql === PASSIVE ? late.shift() : undefined;
    if (size !== undefined && size > 0) stage.insert(size);
  });
  await checkpointBehindBarrier({ follower, writers });
  assert.equal(backlogs.length, 1);
  assert.ok(backlogs[0]! <= 100, `${backlogs[0]} frames are left to the barrier`);
});

test("checkpointBehindBarrier() backfills ahead no more once a long reader of the application pins the WAL", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.live);
  using reader = new DatabaseSync(stage.path);
  reader.exec("BEGIN; SELECT count(*) FROM t");
  stage.insert(2 << 20);
  stage.application.exec("BEGIN IMMEDIATE");
  let [tryCount, passiveCount] = [0, 0];
  using _ = hookStatements((sql) => {
    if (sql === PASSIVE) passiveCount++;
    if (sql === "BEGIN IMMEDIATE" && ++tryCount === 100) stage.application.exec("ROLLBACK");
  });
  const outcome = await checkpointBehindBarrier({ follower, writers });
  assert.equal(tryCount, 100);
  assert.ok(outcome!.backfilledCount < outcome!.frameCount);
  // One up to the reader's mark, one in vain, one behind the barrier.
  assert.ok(passiveCount <= 3, `${passiveCount} checkpoints`);
});

test("checkpointBehindBarrier() comes again when a writer had not let go of its read mark yet", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.live);
  using reader = new DatabaseSync(stage.path);
  let tryCount = 0;
  using _ = hookStatements((sql) => {
    if (sql !== "BEGIN IMMEDIATE") return;
    tryCount++;
    if (tryCount === 1) {
      reader.exec("BEGIN; SELECT count(*) FROM t");
      stage.insert();
    } else reader.exec("ROLLBACK");
  });
  const outcome = await checkpointBehindBarrier({ follower, writers });
  assert.equal(tryCount, 2);
  assert.equal(outcome!.backfilledCount, outcome!.frameCount);
});

test("checkpointBehindBarrier() gets the lock between the commits of a writer that hardly lets go of it", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  // One run of tries is all the time that there is.
  using writers = new Writers(bare.live, { busyTimeoutMs: 0 });
  using writer = new DatabaseSync(stage.path);
  writer.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF");
  let tryCount = 0;
  using _ = hookStatements((sql) => {
    if (sql !== "BEGIN IMMEDIATE") return;
    if (tryCount++ > 0) writer.exec("COMMIT");
    if (tryCount <= 4) writer.exec("BEGIN IMMEDIATE; INSERT INTO t (x) VALUES (1)");
  });
  const outcome = await checkpointBehindBarrier({ follower, writers });
  assert.ok(outcome !== undefined, `in vain after ${tryCount} tries`);
  assert.equal(tryCount, 5);
});

test("checkpointBehindBarrier() takes the lock as it is when the WAL outgrows what is done about it", async () => {
  await using stage = new Stage();
  stage.insert();
  const growth = growthAtSync(stage);
  using bare = bareFollower(stage, growth.files);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.live);
  stage.insert(9 << 20);
  growth.isArmed = true;
  const statements: string[] = [];
  using _ = hookStatements((sql) => void (/IMMEDIATE|wal_checkpoint\(/.test(sql) && statements.push(sql)));
  const outcome = await checkpointBehindBarrier({ follower, writers });
  assert.equal(growth.isArmed, false);
  assert.deepEqual(statements, ["BEGIN IMMEDIATE", PASSIVE]);
  assert.equal(outcome!.backfilledCount, outcome!.frameCount);
});

for (
  const { maxPages, statements } of [
    { maxPages: 10_000, statements: [PASSIVE, "BEGIN IMMEDIATE", PASSIVE] },
    { maxPages: 100_000, statements: [PASSIVE] },
    { maxPages: 0, statements: [PASSIVE] },
  ]
) {
  const does = statements.length > 1 ? "goes on with a barrier" : "stays polite";
  test(`CheckpointSchedule ${does} when the WAL grows meanwhile, bound ${maxPages}`, async () => {
    await using stage = new Stage();
    stage.insert();
    stage.application.exec("PRAGMA synchronous = OFF");
    const growth = growthAtSync(stage);
    using bare = bareFollower(stage, growth.files);
    const { follower } = bare;
    await follower.startGeneration();
    using writers = new Writers(bare.live);
    stage.insert(9 << 20);
    growth.isArmed = true;
    const limits = { ...CHECKPOINT_DEFAULTS, maxPages };
    const schedule = new CheckpointSchedule({ limits, clock: systemClock, logger: silentLogger });
    const seen: string[] = [];
    using _ = hookStatements((sql) => void (/IMMEDIATE|wal_checkpoint\(/.test(sql) && seen.push(sql)));
    await schedule.run({ follower, writers }, { quietMs: 0, isPause: false });
    assert.equal(growth.isArmed, false);
    assert.deepEqual(seen, statements);
    assert.equal(backlogOf(stage), 0);
  });
}

test("patienceWith() has no end where the wal-index can't be read", async () => {
  await using stage = new Stage();
  const { torn, files } = tornFiles();
  stage.insert();
  using bare = bareFollower(stage, files);
  const isOver = patienceWith(bare.follower);
  torn.isTorn = () => true;
  assert.equal(isOver(), false);
  const isOverLater = patienceWith(bare.follower);
  torn.isTorn = () => false;
  stage.insert(33 << 20);
  assert.equal(isOverLater(), false);
  assert.equal(isOver(), true);
});

test("CheckpointSchedule takes no time for quiet in which something was committed that isn't copied yet", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.live);
  const schedule = new CheckpointSchedule({
    limits: CHECKPOINT_DEFAULTS,
    clock: systemClock,
    logger: silentLogger,
  });
  const quiet = { quietMs: 5000, isPause: true };
  stage.insert();
  assert.equal(await schedule.run({ follower, writers }, quiet), false);
  await follower.catchUp();
  assert.equal(await schedule.run({ follower, writers }, quiet), true);
  assert.equal(backlogOf(stage), 0);
});

test("checkpointPolitely() brings a large backlog to the disk ahead, a small one not", async () => {
  await using stage = new Stage();
  stage.insert();
  const synced: string[] = [];
  const files = hookFiles(systemFiles, (call, act) => {
    if (call.kind === "sync") synced.push(call.path.slice(call.path.lastIndexOf("/") + 1));
    return act();
  });
  using bare = bareFollower(stage, files);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.live);
  stage.insert(1 << 20);
  synced.length = 0;
  await checkpointPolitely({ follower, writers });
  assert.equal(synced.length, 0);
  stage.insert(10 << 20);
  await checkpointPolitely({ follower, writers });
  // The index before was written under its first name.
  const ahead = synced.filter((name) => !name.endsWith(".tmp"));
  assert.deepEqual(ahead.toSorted(), ["00000001.wal", "app.db-wal"]);
});

test("FairTurns goes on for as long as the others took, and no longer than 25 ms", async () => {
  for (const { others, own } of [{ others: 10, own: 10 }, { others: 1000, own: 25 }, { others: 0, own: 0 }]) {
    const clock = new StoppedClock(0);
    const turns = new FairTurns(clock);
    let othersCount = 0;
    const other = () => {
      othersCount++;
      void clock.advance(others);
    };
    setImmediate(other);
    await turns.next();
    assert.equal(othersCount, 1);
    await clock.advance(Math.max(0, own - 1));
    setImmediate(other);
    await turns.next();
    assert.equal(othersCount, own > 0 ? 1 : 2, `${others} ms: not their turn yet`);
    await clock.advance(1);
    await turns.next();
    assert.equal(othersCount, 2, `${others} ms: their turn`);
  }
});
