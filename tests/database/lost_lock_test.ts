/** A lock file that somebody removes while its database is followed. */
import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { test } from "node:test";
import { followElsewhere } from "./follow_elsewhere.ts";
import { assertNothingLost, keepSnapshot, Stage, until } from "./stage.ts";
import { LOOK_AROUND_QUIETLY_MS } from "../../src/database/surroundings.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";

async function followWithoutLock(stage: Stage) {
  stage.insert();
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  const lockPath = `${database.meta.path}/walbrook.lock`;
  rmSync(lockPath);
  return { database, clock, lockPath };
}

test("LiveDatabase puts its lock back, keeps others out with it, and goes on", async () => {
  await using stage = new Stage();
  const { database, clock, lockPath } = await followWithoutLock(stage);
  const { generation } = database.position!;
  clock.skip(LOOK_AROUND_QUIETLY_MS);
  await until(() => existsSync(lockPath), { what: "the lock" });
  await using other = followElsewhere(stage);
  assert.equal(await other.ended, 1);
  stage.insert();
  const snapshot = await keepSnapshot(database);
  await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
  assert.equal(database.position!.generation, generation);
});

test("LiveDatabase finds at rest, too, that its lock is gone", async () => {
  await using stage = new Stage();
  const { database, clock, lockPath } = await followWithoutLock(stage);
  for (let count = 0; count < 4; count++) {
    clock.skip(LOOK_AROUND_QUIETLY_MS);
    await database.settle();
  }
  rmSync(lockPath);
  await until(() => (clock.skip(LOOK_AROUND_QUIETLY_MS), existsSync(lockPath)), { what: "the lock" });
});

test("LiveDatabase waits while another walbrook has the lock that it has lost", async () => {
  await using stage = new Stage();
  const { database, clock } = await followWithoutLock(stage);
  {
    await using other = followElsewhere(stage);
    await until(other.isReady, { what: "the other one follows" });
    clock.skip(LOOK_AROUND_QUIETLY_MS);
    await until(() => database.state.kind === "waiting", { what: "it waits" });
    const { state } = database;
    assert.match(state.kind === "waiting" ? state.reason : "", /replicated by another walbrook already/);
  }
  await until(() => database.state.kind === "live", { what: "it follows again" });
});
