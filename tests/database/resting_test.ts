/** How often a busy database is looked at. */
import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { test } from "node:test";
import { lookAt } from "./bare_follower.ts";
import { keepSnapshot } from "./rebuild.ts";
import { assertNothingLost, Stage, until } from "./stage.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { formatPosition } from "../../src/position.ts";

test("LiveDatabase copies many commits at once while nobody waits, and all of them for whoever asks", async () => {
  await using stage = new Stage();
  stage.insert();
  const neighbour = stage.neighbour();
  await neighbour.sql("SELECT count(*) FROM t");
  let copyCount = 0;
  const files = hookFiles(systemFiles, (call, act) => {
    if (call.kind === "write" && /\.wal(\.tmp)?$/.test(call.path)) copyCount++;
    return act();
  });
  const database = await stage.follow({ files, monitorIntervalMs: 60_000 });
  const snapshot = await keepSnapshot(database);
  copyCount = 0;
  const untilMs = performance.now() + 2000;
  let commitCount = 0;
  while (performance.now() < untilMs) {
    stage.insert();
    commitCount++;
    await wait(4);
  }
  assert.ok(
    copyCount >= 1 && copyCount <= 12,
    `${copyCount} copies of ${commitCount} commits in two seconds`,
  );
  const before = database.changed.token;
  stage.insert();
  await database.changeAfter(before, { signal: AbortSignal.timeout(5000) });
  assert.equal(
    database.position!.offset,
    32 + lookAt(stage.path).mxFrame * 4120,
    "everything is copied that was committed before it was asked",
  );
  await assertNothingLost(database, { snapshot, neighbour });
});

test("LiveDatabase.changeAfter() waits for the next commit, which then comes at once", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow({ monitorIntervalMs: 60_000 });
  for (let round = 0; round < 5; round++) {
    const waiting = database.changeAfter(database.changed.token, { signal: AbortSignal.timeout(5000) });
    await wait(60);
    const before = formatPosition(database.position!);
    stage.insert();
    await waiting;
    await until(() => formatPosition(database.position!) !== before, { what: "it is copied", limitMs: 40 });
  }
  const stopping = new AbortController();
  const waiting = database.changeAfter(database.changed.token, { signal: stopping.signal });
  stopping.abort(new Error("stopping"));
  await assert.rejects(waiting, /stopping/);
});
