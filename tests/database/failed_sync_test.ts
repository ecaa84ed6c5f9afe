/** A disk that fails to keep what was copied: the system drops it, tells so once, and says "synced" at the next try. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bareFollower } from "./bare_follower.ts";
import { assertNothingLost, keepSnapshot, Stage, until } from "./stage.ts";
import { checkpointPolitely, Writers } from "../../src/database/checkpoint.ts";
import { ContinuityLostError } from "../../src/database/continuity.ts";
import { syncAhead } from "../../src/database/sync_ahead.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles, type FailRule, systemError } from "../doubles/failing_files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";

const SHADOW = /[0-9a-f]{8}\.wal(\.tmp)?$/;
const REASON = /^the shadow wal can't be brought to the disk: EIO/;

function isLost(error: unknown): boolean {
  return error instanceof ContinuityLostError && REASON.test(error.message);
}

/** More frames than a checkpoint syncs by itself. */
function insertMany(stage: Stage): void {
  stage.insert(2100 * 4096);
}

test("LiveDatabase begins a generation where the end of an index can't be synced, although the next try succeeds", async () => {
  await using stage = new Stage();
  stage.insert();
  const { files, failed } = failFiles(systemFiles, [{ kind: "sync", code: "EIO", path: SHADOW }]);
  const database = await stage.follow({ files, limits: { intervalMs: 1 } });
  const { generation } = database.position!;
  await until(async () => {
    stage.insert();
    await database.settle();
    return failed.length === 1;
  }, { what: "an index to end" });
  await database.settle();
  assert.notEqual(database.position!.generation, generation);
  assert.deepEqual(database.meta.shadowIndexes(generation), [], "nobody reads it any more");
  const snapshot = await keepSnapshot(database);
  stage.insert();
  stage.closeApplication();
  await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
  const [warning] = stage.records.filter(({ level }) => level === "warn");
  assert.equal(warning!.message, "sync: continuity lost, a new generation starts");
  assert.match(String(warning!.fields["reason"]), REASON);
});

test("LiveDatabase is loud while a disk keeps nothing, and begins a generation once it does", async () => {
  await using stage = new Stage();
  stage.insert();
  const rules: FailRule[] = [];
  const { files, failed } = failFiles(systemFiles, rules);
  const database = await stage.follow({ files, limits: { intervalMs: 1 } });
  const { generation } = database.position!;
  rules.push({ kind: "sync", code: "EIO", times: Infinity, path: /litestream/ });
  await until(async () => {
    stage.insert();
    await database.settle();
    return failed.length > 4;
  }, { what: "several tries" });
  assert.equal(database.position, undefined);
  assert.match(database.lastError, /EIO/);
  rules.pop();
  await database.settle();
  assert.equal(database.state.kind, "live");
  assert.notEqual(database.position!.generation, generation);
});

test("ShadowWal.beginIndex() never counts a failed sync as one that may succeed", async () => {
  await using stage = new Stage();
  stage.insert();
  const { files, failed } = failFiles(systemFiles, [{ kind: "sync", code: "EIO", path: SHADOW }]);
  using bare = bareFollower(stage, files);
  const { follower } = bare;
  await follower.startGeneration();
  stage.application.exec("PRAGMA wal_checkpoint(FULL)");
  for (let round = 0; round < 3; round++) await follower.catchUp();
  stage.insert();
  for (let round = 0; round < 3; round++) await assert.rejects(follower.catchUp(), isLost);
  assert.equal(failed.length, 1);
  assert.equal(follower.shadow.index, 0);
});

test("checkpointPolitely() ends the generation whose copy can't be synced ahead", async () => {
  await using stage = new Stage();
  stage.insert();
  const rules: FailRule[] = [{ kind: "sync", code: "EIO", path: /db-wal$/ }];
  const { files, failed } = failFiles(systemFiles, rules);
  using bare = bareFollower(stage, files);
  using writers = new Writers(bare.live);
  const { follower } = bare;
  await follower.startGeneration();
  insertMany(stage);
  await checkpointPolitely({ follower, writers });
  assert.equal(failed.length, 1, "what SQLite relies on is SQLite's to judge");
  insertMany(stage);
  rules.push({ kind: "sync", code: "EIO", path: SHADOW });
  await assert.rejects(checkpointPolitely({ follower, writers }), isLost);
  await assert.rejects(follower.catchUp(), isLost);
});

test("syncAhead() takes no notice of a copy that it can't open", async () => {
  await using stage = new Stage();
  stage.insert();
  const rules: FailRule[] = [];
  using bare = bareFollower(stage, failFiles(systemFiles, rules).files);
  const { follower } = bare;
  await follower.startGeneration();
  rules.push({ kind: "open", code: "EMFILE", path: SHADOW });
  await syncAhead(follower, () => false);
  await follower.catchUp();
});

test("syncAhead() that nobody waits for any more still tells what failed", async () => {
  await using stage = new Stage();
  stage.insert();
  const hanging = Promise.withResolvers<never>();
  let isHanging = false;
  const files = hookFiles(systemFiles, (call, act) => {
    if (call.kind !== "sync" || !SHADOW.test(call.path)) return act();
    isHanging = true;
    return hanging.promise as ReturnType<typeof act>;
  });
  using bare = bareFollower(stage, files);
  const { follower } = bare;
  await follower.startGeneration();
  await syncAhead(follower, () => isHanging);
  await follower.catchUp();
  hanging.reject(systemError("EIO", { kind: "sync", path: follower.shadow.path(0) }));
  await until(() => follower.catchUp().then(() => false, isLost), { what: "the failure to count" });
});
