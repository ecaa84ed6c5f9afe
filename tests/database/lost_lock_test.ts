/** A lock file that somebody removes while its database is followed. */
import assert from "node:assert/strict";
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { followElsewhere } from "./follow_elsewhere.ts";
import { assertNothingLost, keepSnapshot, Stage, until } from "./stage.ts";
import { LOOK_AROUND_QUIETLY_MS } from "../../src/database/surroundings.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles, type FailRule } from "../doubles/failing_files.ts";
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
  stage.insert();
  const clock = new SkippingClock();
  const database = await stage.follow({ clock, monitorIntervalMs: 5 });
  const lookAround = async () => {
    clock.skip(LOOK_AROUND_QUIETLY_MS);
    await until(() => database.following.sinceGoodMs < LOOK_AROUND_QUIETLY_MS, { what: "a look" });
  };
  for (let count = 0; count < 8; count++) await lookAround();
  // Deno knows the times of a folder to the second only, and the kernel's lag behind by a tick.
  const changedSecond = Math.floor(statSync(database.meta.path).ctimeMs / 1000);
  await until(() => Date.now() / 1000 > changedSecond + 1.02, { what: "the next second" });
  const lockPath = `${database.meta.path}/walbrook.lock`;
  rmSync(lockPath);
  for (let count = 0; count < 3; count++) await lookAround();
  await until(() => existsSync(lockPath), { what: "the lock", limitMs: 500 });
});

test("LiveDatabase leaves its own temporary files alone when it takes its lock again", async () => {
  await using stage = new Stage();
  const { database, clock, lockPath } = await followWithoutLock(stage);
  const staged = `${database.meta.path}/snapshot-file.tmp`;
  writeFileSync(staged, "waits for its WAL");
  clock.skip(LOOK_AROUND_QUIETLY_MS);
  await until(() => existsSync(lockPath), { what: "the lock" });
  assert.ok(existsSync(staged));
  assert.equal(stage.logged("warn").length, 1);
});

test("LiveDatabase takes a lock that it lost while it waited for its database before it opens that", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  const lockPath = `${database.meta.path}/walbrook.lock`;
  stage.closeApplication();
  for (const end of ["", "-wal", "-shm"]) rmSync(stage.path + end, { force: true });
  clock.skip(LOOK_AROUND_QUIETLY_MS);
  await until(() => database.state.kind === "waiting", { what: "it waits" });
  rmSync(lockPath);
  stage.insert();
  await until(() => database.state.kind === "live", { what: "it follows again" });
  assert.ok(existsSync(lockPath));
});

test("LiveDatabase keeps its reader when a full disk keeps it from locking again", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const rules: FailRule[] = [];
  const { files } = failFiles(systemFiles, rules);
  const database = await stage.follow({ clock, files });
  const { generation } = database.position!;
  const lockPath = `${database.meta.path}/walbrook.lock`;
  rules.push({ kind: "open", code: "ENOSPC", path: /walbrook\.lock/, times: Infinity });
  rmSync(lockPath);
  clock.skip(LOOK_AROUND_QUIETLY_MS);
  await until(() => database.lastError !== "", { what: "it is told" });
  assert.equal(database.state.kind, "live");
  rules.length = 0;
  clock.skip(LOOK_AROUND_QUIETLY_MS);
  await until(() => existsSync(lockPath), { what: "the lock" });
  stage.insert();
  const snapshot = await keepSnapshot(database);
  await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
  assert.equal(database.position!.generation, generation);
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
