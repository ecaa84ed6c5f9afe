/** The barrier: how little it may hold the application up, and what it is good for. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { bareFollower, lookAt } from "./bare_follower.ts";
import { Stage, until } from "./stage.ts";
import { backfill, behindBarrier, checkpointBehindBarrier, Writers } from "../../src/database/checkpoint.ts";
import { SqliteConnection } from "../../src/runtime/sqlite.ts";
import { equalPair } from "../../src/wal/header.ts";
import { hookStatements } from "../doubles/hooked_statements.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";

test("checkpointBehindBarrier() copies and backfills first, and holds the application up only after that", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  stage.insert(1 << 20);
  using writers = new Writers(bare.follower.live);
  const backlogs: number[] = [];
  {
    using _ = hookStatements((sql) => {
      if (sql !== "BEGIN IMMEDIATE") return;
      const { mxFrame, backfilledCount } = lookAt(stage.path);
      assert.equal(follower.shadow.frameCount, mxFrame);
      backlogs.push(mxFrame - backfilledCount);
    });
    await checkpointBehindBarrier({ follower, writers });
  }
  assert.deepEqual(backlogs, [0]);
});

test("checkpointBehindBarrier() leaves a WAL that the application's next write restarts", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.follower.live);
  let isBehind = false;
  {
    // A commit at the last moment, so that there is something left to do behind the barrier.
    using _ = hookStatements((sql) => {
      if (sql !== "BEGIN IMMEDIATE" || isBehind) return;
      isBehind = true;
      stage.insert();
    });
    const outcome = await checkpointBehindBarrier({ follower, writers });
    assert.equal(outcome!.backfilledCount, outcome!.frameCount);
  }
  assert.ok(isBehind);
  const { salts, mxFrame } = lookAt(stage.path);
  assert.equal(follower.shadow.frameCount, mxFrame);
  stage.insert();
  assert.ok(!equalPair(lookAt(stage.path).salts, salts), "the WAL grows on");
});

test("LiveDatabase.quiesce() acts with everything copied, also what was committed at the last moment", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow({ monitorIntervalMs: 600_000 });
  let lateCount = 0;
  using _ = hookStatements((sql) => {
    if (sql !== "BEGIN IMMEDIATE") return;
    lateCount++;
    stage.insert();
  });
  await database.quiesce(() => {
    const { mxFrame, pageSize } = lookAt(stage.path);
    assert.equal(database.position!.offset, 32 + mxFrame * (24 + pageSize));
  });
  assert.equal(lateCount, 1);
});

test("LiveDatabase.quiesce() never waits for the write lock inside SQLite", async () => {
  await using stage = new Stage();
  stage.insert();
  const neighbour = stage.neighbour();
  const database = await stage.follow();
  await neighbour.sql("BEGIN IMMEDIATE");
  let tryCount = 0;
  let lastMs = performance.now();
  let longestMs = 0;
  using _ = hookStatements((sql) => {
    // The next statement of ours comes after the one before it has returned.
    if (tryCount > 0) longestMs = Math.max(longestMs, performance.now() - lastMs);
    if (sql === "BEGIN IMMEDIATE" && ++tryCount === 20) neighbour.sql("ROLLBACK");
    lastMs = performance.now();
  });
  assert.equal(await database.quiesce(() => "acted"), "acted");
  assert.ok(tryCount >= 20);
  assert.ok(longestMs < 2000, `${longestMs} ms between two statements`);
});

test("backfill() tries a busy PASSIVE again, and gives up soon", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  using writers = new Writers(bare.follower.live);
  // The application is checkpointing itself for so many tries of ours.
  let busyCount = 3;
  let tryCount = 0;
  const checkpoint = writers.checkpoint.bind(writers);
  writers.checkpoint = (mode) => {
    tryCount++;
    return tryCount <= busyCount ? { isBusy: true, frameCount: -1, backfilledCount: -1 } : checkpoint(mode);
  };
  backfill({ follower, writers });
  assert.equal(tryCount, 4);
  assert.equal(lookAt(stage.path).backfilledCount, lookAt(stage.path).mxFrame);

  busyCount = Infinity;
  const startedAt = performance.now();
  backfill({ follower, writers });
  const elapsedMs = performance.now() - startedAt;
  assert.ok(elapsedMs >= 20 && elapsedMs < 1000, `${elapsedMs} ms`);
});

test("LiveDatabase cuts a WAL that grew large once a checkpoint gets through", async () => {
  await using stage = new Stage();
  stage.insert();
  const neighbour = stage.neighbour();
  const database = await stage.follow({ limits: { minPages: 20, maxPages: 40, truncatePages: 200 } });
  await neighbour.sql("BEGIN");
  await neighbour.sql("SELECT count(*) FROM t");
  const walBytes = () => statSync(`${stage.path}-wal`).size;
  while (walBytes() < 1 << 20) stage.insert(3000);
  await neighbour.sql("ROLLBACK");
  await until(async () => {
    stage.insert();
    await database.settle();
    return walBytes() < 1 << 18;
  }, { what: "the WAL is small again" });
});

test("LiveDatabase keeps the -wal when the application left and its own writers are open, and goes on there", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  const { generation } = database.position!;
  await database.quiesce(() => {});
  stage.insert();
  await database.settle();
  stage.closeApplication();
  await database.close();
  assert.ok(statSync(`${stage.path}-wal`).size > 0);
  assert.equal((await stage.follow()).position!.generation, generation);
});

test("LiveDatabase backfills what is left soon after the last commit, and stands in nobody's way", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  await stage.follow({ clock });
  stage.insert();
  const index = () => lookAt(stage.path);
  await until(() => index().mxFrame > 1, { what: "the commit" });
  assert.ok(index().backfilledCount < index().mxFrame);
  clock.skip(5000);
  await until(() => index().backfilledCount === index().mxFrame, { what: "it is backfilled" });
  const neighbour = stage.neighbour();
  await neighbour.sql("PRAGMA busy_timeout = 0");
  await until(async () => !(await neighbour.checkpoint("RESTART")).isBusy, {
    what: "our reader is out of the way",
  });
});

test("Writers never checkpoint by themselves", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  using writers = new Writers(bare.follower.live);
  const { checkpoint } = SqliteConnection.prototype;
  const connections: SqliteConnection[] = [writers.barrier];
  SqliteConnection.prototype.checkpoint = function (mode) {
    connections.push(this);
    return checkpoint.call(this, mode);
  };
  try {
    writers.checkpoint("PASSIVE");
  } finally {
    SqliteConnection.prototype.checkpoint = checkpoint;
  }
  assert.equal(connections.length, 2);
  for (const connection of connections) {
    assert.equal(connection.value("PRAGMA wal_autocheckpoint"), 0);
    assert.equal(connection.value("PRAGMA busy_timeout"), 0);
  }
});

test("behindBarrier() has copied all, even what takes several pieces and came just before the barrier stood", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  using writers = new Writers(bare.live);
  const { follower } = bare;
  await follower.startGeneration();
  let isLate = true;
  using _ = hookStatements((sql) => {
    if (sql !== "BEGIN IMMEDIATE" || !isLate) return;
    isLate = false;
    stage.insert(3 << 20);
  });
  const copied = await behindBarrier({ follower, writers }, () => follower.shadow.frameCount);
  assert.equal(isLate, false);
  assert.equal(copied, lookAt(stage.path).mxFrame);
  assert.ok(copied! > 3 * 256, `${copied} frames`);
});
