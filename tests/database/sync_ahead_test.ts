/** What is brought to the disk before anybody has to wait for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { lookAt } from "./bare_follower.ts";
import { Stage, until } from "./stage.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";

test("LiveDatabase brings its copy to the disk after a quiet time, so that the next commit needn't wait for that", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const synced: { readonly name: string; readonly isBeside: boolean }[] = [];
  const files = hookFiles(systemFiles, (call, act) => {
    const result = act();
    if (call.kind === "sync" && /\.wal(\.tmp)?$/.test(call.path)) {
      synced.push({ name: call.path.slice(-12), isBeside: result instanceof Promise });
    }
    return result;
  });
  const database = await stage.follow({ clock, files });
  const isCheckpointed = () => lookAt(stage.path).backfilledCount === lookAt(stage.path).mxFrame;
  for (const index of [0, 1, 2]) {
    await until(() => database.position?.index === index, { what: "the index" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    clock.skip(5000);
    await until(() => isCheckpointed() && synced.length > 0, { what: "a checkpoint" });
    await new Promise((resolve) => setTimeout(resolve, 50));
    stage.insert();
    await until(() => database.position!.index > index, { what: "the next index" });
    assert.deepEqual(synced.splice(0), [{ name: `0000000${index}.wal`, isBeside: true }]);
  }
  // What came after that is not on the disk by it.
  stage.insert();
  await database.settle();
  stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
  await database.settle();
  stage.insert();
  await database.settle();
  assert.equal(database.position!.index, 4);
  assert.deepEqual(synced.map(({ isBeside }) => isBeside), [false]);
});
