/** What is brought to the disk before anybody has to wait for it. */
import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { test } from "node:test";
import { isBackfilled } from "./bare_follower.ts";
import { assertNothingLost, keepSnapshot, Stage, until } from "./stage.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { systemError } from "../doubles/failing_files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";

/** Files that tell which shadow files were synced, once they are; `beside` whatever else goes on, or not. */
function syncedFiles() {
  const synced: { readonly index: number; readonly isBeside: boolean }[] = [];
  const files = hookFiles(systemFiles, (call, act) => {
    const result = act();
    const index = /([0-9a-f]{8})\.wal(\.tmp)?$/.exec(call.path)?.[1];
    if (call.kind !== "sync" || index === undefined) return result;
    const note = (isBeside: boolean) => synced.push({ index: parseInt(index, 16), isBeside });
    if (!(result instanceof Promise)) note(false);
    else void result.then(() => note(true), () => {});
    return result;
  });
  return { synced, files };
}

/** Let a database be quiet until it is checkpointed. */
async function growQuiet(stage: Stage, clock: SkippingClock): Promise<void> {
  await wait(500);
  clock.skip(5000);
  await until(() => isBackfilled(stage), { what: "a checkpoint" });
}

test("LiveDatabase brings its copy to the disk after a quiet time, so that the next commit needn't wait for that", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const { synced, files } = syncedFiles();
  const database = await stage.follow({ clock, files });
  for (const index of [0, 1, 2]) {
    await until(() => database.position?.index === index, { what: "the index" });
    await growQuiet(stage, clock);
    await until(() => synced.length > 0, { what: "a sync" });
    await wait(20);
    stage.insert();
    await until(() => database.position!.index > index, { what: "the next index" });
    assert.deepEqual(synced.splice(0), [{ index, isBeside: true }]);
  }
});

test("LiveDatabase syncs what came into an index after that before the next one begins", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const { synced, files } = syncedFiles();
  const database = await stage.follow({ clock, files });
  const neighbour = stage.neighbour();
  await neighbour.sql("BEGIN");
  await neighbour.sql("SELECT count(*) FROM t");
  await growQuiet(stage, clock);
  await until(() => synced.length > 0, { what: "a sync" });
  await wait(20);
  // The reader keeps the WAL from beginning anew.
  stage.insert();
  await database.settle();
  assert.equal(database.position!.index, 0);
  assert.deepEqual(synced.splice(0), [{ index: 0, isBeside: true }]);
  await neighbour.sql("COMMIT");
  await until(async () => {
    stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
    await database.settle();
    await wait(20);
    stage.insert();
    await database.settle();
    return database.position!.index === 1;
  }, { what: "the next index" });
  assert.deepEqual(synced, [{ index: 0, isBeside: false }]);
});

/** A database at rest whose copy could not be brought to the disk, which comes out only then. */
async function afterFailedSync(stage: Stage) {
  stage.insert();
  const clock = new SkippingClock();
  const disk = Promise.withResolvers<void>();
  let isHanging = false;
  const files = hookFiles(systemFiles, (call, act) => {
    const result = act();
    if (call.kind !== "sync" || !/[0-9a-f]{8}\.wal$/.test(call.path) || isHanging) return result;
    isHanging = true;
    return disk.promise as typeof result;
  });
  const database = await stage.follow({ clock, files });
  const { generation } = database.position!;
  await growQuiet(stage, clock);
  await until(() => isHanging, { what: "a sync" });
  for (let count = 0; count < 4; count++) {
    clock.skip(5000);
    await wait(50);
  }
  disk.reject(systemError("EIO", { kind: "sync", path: database.meta.shadowPath(generation, 0) }));
  await wait(20);
  assert.equal(database.position!.generation, generation);
  return { clock, database, generation };
}

test("LiveDatabase begins a generation, with nothing committed meanwhile, where that sync fails", async () => {
  await using stage = new Stage();
  const { clock, database, generation } = await afterFailedSync(stage);
  await until(() => {
    clock.skip(5000);
    return database.position !== undefined && database.position.generation !== generation;
  }, { what: "a new generation" });
  const snapshot = await keepSnapshot(database);
  stage.insert();
  stage.closeApplication();
  await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
});

test("LiveDatabase that ends before it has seen so leaves no copies that the next start would rely on", async () => {
  await using stage = new Stage();
  const { database, generation } = await afterFailedSync(stage);
  await database.close();
  const next = await stage.follow();
  assert.notEqual(next.position!.generation, generation);
  assert.deepEqual(next.meta.shadowIndexes(generation), []);
});
