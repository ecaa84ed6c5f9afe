/** What the cheap looks ask for, which is most of what commits cost us: fifty of them a second. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { bareFollower } from "./bare_follower.ts";
import { Stage } from "./stage.ts";
import { Writers } from "../../src/database/checkpoint.ts";
import { CheckpointSchedule } from "../../src/database/checkpoint_schedule.ts";
import { CHECKPOINT_DEFAULTS } from "../../src/database/decide.ts";
import { Lookout } from "../../src/database/lookout.ts";
import { DatabaseMeter } from "../../src/database/measure.ts";
import { Troubles } from "../../src/database/troubles.ts";
import { silentLogger } from "../../src/logger.ts";
import { silentMetrics } from "../../src/metrics.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";

/** A lookout over a real database, with the calls counted that a cheap look makes for more than the wal-index. */
async function lookoutOver(stage: Stage) {
  const bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  const clock = new StoppedClock();
  const schedule = new CheckpointSchedule({ limits: CHECKPOINT_DEFAULTS, clock, logger: silentLogger });
  const counts = { isTime: 0, mostFrames: 0, glance: 0 };
  const isTime = schedule.isTime.bind(schedule);
  schedule.isTime = (...words) => (counts.isTime++, isTime(...words));
  const mostFrames = follower.mostFrames.bind(follower);
  follower.mostFrames = (...words) => (counts.mostFrames++, mostFrames(...words));
  const meter = new DatabaseMeter(silentMetrics, stage.path);
  meter.glance = () => void counts.glance++;
  const opened = { live: follower.live, follower, writers: new Writers(follower.live) };
  const lookout = new Lookout({
    opened: () => opened,
    clock,
    lock: { requireThere: () => {} },
    schedule,
    troubles: new Troubles({ logger: silentLogger, clock }),
    meter,
  });
  const dispose = () => {
    opened.writers.close();
    bare[Symbol.dispose]();
  };
  return { lookout, follower, clock, schedule, counts, opened, [Symbol.dispose]: dispose };
}

test("Lookout.peek() asks five times a second for what only time brings, and at once for a commit", async () => {
  await using stage = new Stage();
  stage.insert();
  using over = await lookoutOver(stage);
  const { lookout, clock, counts, opened, follower } = over;
  lookout.begin(opened);
  follower.moveUp();
  lookout.activity.begin();
  lookout.peek(false);
  counts.isTime = 0;
  for (let count = 0; count < 50; count++) {
    await clock.advance(20);
    assert.equal(lookout.peek(false), false);
  }
  assert.ok(counts.isTime >= 4 && counts.isTime <= 5, `asked ${counts.isTime} times`);
  stage.insert();
  assert.equal(lookout.peek(false), true);
});

test("Lookout.isDue() asks once how far the WAL may grow, and again after a turn and for another WAL", async () => {
  await using stage = new Stage();
  stage.insert();
  using over = await lookoutOver(stage);
  const { lookout, counts, opened, follower } = over;
  lookout.begin(opened);
  for (let count = 0; count < 10; count++) {
    stage.insert();
    assert.equal(lookout.isDue(), false);
  }
  assert.equal(counts.mostFrames, 1);
  assert.equal(lookout.isDue(), true, "nothing new since");
  stage.insert(2 << 20);
  assert.equal(lookout.isDue(), true, "more than is left alone");
  await follower.catchUp();
  lookout.begin(opened);
  stage.insert();
  assert.equal(lookout.isDue(), false);
  assert.equal(counts.mostFrames, 2);
  await follower.catchUp();
  stage.application.exec("PRAGMA wal_checkpoint(FULL)");
  for (let round = 0; round < 3; round++) await follower.catchUp();
  stage.insert();
  lookout.isDue();
  assert.equal(counts.mostFrames, 3);
});

test("Lookout.peek() looks around at each rare look, and says whether only a write brings anything new", async () => {
  await using stage = new Stage();
  stage.insert();
  using over = await lookoutOver(stage);
  const { lookout, clock, counts, opened, follower } = over;
  lookout.begin(opened);
  lookout.isSettled = true;
  lookout.activity.begin();
  await clock.advance(6000);
  lookout.peek(false);
  assert.equal(lookout.isAtRest, false, "a checkpoint has something left to do");
  opened.writers.checkpoint("PASSIVE");
  // The reader is out of the way once it has moved twice, with a moment in between.
  for (let count = 0; count < 2; count++) {
    follower.step();
    await wait(20);
  }
  lookout.peek(false);
  lookout.activity.noteCopy();
  await clock.advance(6000);
  assert.equal(lookout.peek(false), false);
  assert.equal(lookout.isAtRest, true);
  assert.equal(counts.glance, 1);
  await clock.advance(1000);
  assert.equal(lookout.peek(false), false);
  assert.equal(counts.glance, 1);
  assert.equal(lookout.peek(true), false);
  await clock.advance(1000);
  assert.equal(lookout.peek(true), false);
  assert.equal(counts.glance, 2);
  stage.insert();
  assert.equal(lookout.peek(false), true);
  lookout.begin(opened);
  assert.equal(lookout.isAtRest, false);
});

test("Lookout.isHere() tells of a commit until it is copied", async () => {
  await using stage = new Stage();
  stage.insert();
  using over = await lookoutOver(stage);
  const { lookout, follower } = over;
  assert.equal(lookout.isHere(), false);
  for (let count = 0; count < 3; count++) {
    stage.insert();
    assert.equal(lookout.isHere(), true);
    assert.equal(lookout.isHere(), true);
    await follower.catchUp();
    assert.equal(lookout.isHere(), false);
    // The next one restarts the WAL.
    stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
    for (let round = 0; round < 3; round++) await follower.catchUp();
    assert.equal(lookout.isHere(), false);
  }
});

test("Lookout.flow is gentle while few commits come, and nobody else was seen to checkpoint", async () => {
  await using stage = new Stage();
  stage.insert();
  using over = await lookoutOver(stage);
  const { lookout, clock, schedule, opened } = over;
  const flowAfter = async (count: number) => {
    await clock.advance(40);
    for (let number = 0; number < count; number++) stage.insert();
    lookout.isDue();
    return lookout.flow;
  };
  lookout.begin(opened);
  await flowAfter(1);
  assert.equal(await flowAfter(5), "gentle");
  assert.equal(await flowAfter(40), "usual");
  await flowAfter(5);
  assert.equal(await flowAfter(5), "gentle");
  // Ours, also where it is none of the schedule's, or of a walbrook before.
  const now = { quietMs: 0, isPause: false };
  await over.follower.catchUp();
  opened.writers.checkpoint("PASSIVE");
  schedule.reset();
  await schedule.run(opened, now);
  await flowAfter(5);
  assert.equal(await flowAfter(5), "gentle");
  await over.follower.catchUp();
  opened.writers.checkpoint("PASSIVE");
  schedule.noteOwn(opened);
  await schedule.run(opened, now);
  assert.equal(await flowAfter(5), "gentle");
  await over.follower.catchUp();
  stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
  await schedule.run(opened, now);
  assert.equal(await flowAfter(5), "usual");
});
