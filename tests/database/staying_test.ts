/** Where the reader stays in a long WAL, so that an application that checkpoints itself has nothing to do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bareFollower, isBackfilled, lookAt } from "./bare_follower.ts";
import { Stage, until } from "./stage.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";
import { checkpointBehindBarrier, checkpointPolitely, Writers } from "../../src/database/checkpoint.ts";
import { formatPosition } from "../../src/position.ts";
import { systemFiles } from "../../src/runtime/files.ts";

/** Between cheap looks at a busy database, the first ones and those where few commits come. */
const FIRST_PEEK_MS = 40;
const PEEK_MS = 100;

/** An application's own checkpoint; returns the frames that it moved into the database. */
function checkpointOf(stage: Stage): number {
  const before = lookAt(stage.path).backfilledCount;
  stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
  return lookAt(stage.path).backfilledCount - before;
}

async function longWal(stage: Stage) {
  for (let count = 0; count < 30; count++) stage.insert(3000);
  const bare = bareFollower(stage, systemFiles, { stayFromPages: 20 });
  await bare.follower.startGeneration();
  assert.ok(lookAt(stage.path).mxFrame >= 20);
  return { follower: bare.follower, writers: new Writers(bare.live), close: () => bare[Symbol.dispose]() };
}

test("Follower stays in a long WAL while commits come: a checkpoint of the application's finds nothing to do", async () => {
  await using stage = new Stage();
  const { follower, writers, close } = await longWal(stage);
  assert.ok(checkpointOf(stage) > 0, "up to where the reader began");
  for (let count = 0; count < 5; count++) {
    stage.insert();
    await follower.catchUp();
    assert.equal(follower.shadow.frameCount, lookAt(stage.path).mxFrame, "all is copied");
    assert.equal(checkpointOf(stage), 0);
  }
  // Somebody may be waiting when nothing new comes.
  await follower.catchUp();
  assert.ok(checkpointOf(stage) > 0, "the reader has moved");
  await follower.catchUp();
  assert.equal(lookAt(stage.path).backfilledCount, lookAt(stage.path).mxFrame);
  stage.insert();
  assert.ok(lookAt(stage.path).mxFrame < 20, "the WAL has begun anew");
  writers.close();
  close();
});

test("checkpointPolitely() moves the reader of a long WAL first, and leaves it where it has backfilled to", async () => {
  await using stage = new Stage();
  const { follower, writers, close } = await longWal(stage);
  stage.insert();
  await follower.catchUp();
  const { frameCount, backfilledCount } = await checkpointPolitely({ follower, writers });
  assert.equal(backfilledCount, frameCount);
  stage.insert();
  assert.ok(lookAt(stage.path).mxFrame < 20, "the WAL has begun anew");
  writers.close();
  close();
});

test("checkpointBehindBarrier() moves the reader of a long WAL before it backfills", async () => {
  await using stage = new Stage();
  const { follower, writers, close } = await longWal(stage);
  stage.insert();
  await follower.catchUp();
  const outcome = await checkpointBehindBarrier({ follower, writers });
  assert.equal(outcome?.backfilledCount, lookAt(stage.path).mxFrame);
  stage.insert();
  assert.ok(lookAt(stage.path).mxFrame < 20, "the WAL has begun anew");
  writers.close();
  close();
});

test("LiveDatabase leaves nothing to backfill to an application that pauses before its own checkpoint", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow({ limits: { minPages: 40 } });
  stage.application.exec("PRAGMA wal_autocheckpoint = 40; PRAGMA synchronous = NORMAL");
  const sizes: number[] = [];
  for (let count = 0; count < 30; count++) {
    const before = formatPosition(database.position!);
    stage.insert(16_000);
    sizes.push(lookAt(stage.path).mxFrame);
    await until(() => formatPosition(database.position!) !== before, { what: "a copy" });
    await until(() => {
      const { mxFrame, backfilledCount } = lookAt(stage.path);
      return mxFrame < 30 || backfilledCount === mxFrame;
    }, { what: "what is long is backfilled by us" });
  }
  assert.ok(Math.max(...sizes) < 40, `${sizes}`);
  assert.deepEqual(stage.logged("warn"), []);
});

test("LiveDatabase lets a checkpoint that waits for its reader through, in a long WAL too", async () => {
  await using stage = new Stage();
  stage.insert();
  await stage.follow({ limits: { minPages: 40, maxPages: 0 } });
  const neighbour = stage.neighbour();
  await neighbour.sql("PRAGMA wal_autocheckpoint = 0");
  await neighbour.sql("PRAGMA busy_timeout = 5000");
  for (let round = 0; round < 3; round++) {
    await neighbour.repeat("INSERT INTO t (x) VALUES (randomblob(3000))", { count: 100 });
    // One that meets a checkpoint of ours is refused at once, whatever its timeout.
    await until(async () => {
      const startMs = performance.now();
      const [row] = await neighbour.sql("PRAGMA wal_checkpoint(TRUNCATE)");
      assert.ok(performance.now() - startMs < 4000, "it was kept waiting for its whole timeout");
      return row![0] === 0;
    }, { what: "a checkpoint that is not refused" });
  }
  assert.deepEqual(stage.logged("warn"), []);
});

test("LiveDatabase moves its reader when nothing is committed between two peeks, whatever is backfilled meanwhile", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new StoppedClock();
  const database = await stage.follow({ clock, limits: { minPages: 100, maxPages: 0 } });
  while (lookAt(stage.path).mxFrame < 80) stage.insert(3000);
  await database.settle();
  stage.insert();
  await database.settle();
  stage.insert();
  await clock.advance(FIRST_PEEK_MS);
  assert.ok(checkpointOf(stage) > 0);
  const { backfilledCount, mxFrame } = lookAt(stage.path);
  assert.ok(backfilledCount < mxFrame && mxFrame < 100, "our reader is in the way, and we don't checkpoint");
  await clock.advance(PEEK_MS);
  await until(() => {
    checkpointOf(stage);
    return isBackfilled(stage);
  }, { what: "the reader to move at the first peek that finds no commit", limitMs: 2000 });
  // The same for who waits to begin the WAL anew: once to stand frozen, once to be sure of it.
  await until(async () => {
    await clock.advance(PEEK_MS);
    return Object.values(stage.application.prepare("PRAGMA wal_checkpoint(RESTART)").get()!)[0] === 0;
  }, { what: "the reader to be out of the way" });
});
