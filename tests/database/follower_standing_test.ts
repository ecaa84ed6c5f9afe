/** What a follower says of itself: what it has not copied, whether its reader is to stay, what is its own. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { test } from "node:test";
import { bareFollower, lookAt, tornFiles } from "./bare_follower.ts";
import { Stage } from "./stage.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";

test("Follower.uncopiedBytes counts what was committed since, and nothing where that can't be read", async () => {
  await using stage = new Stage();
  stage.insert();
  const { torn, files } = tornFiles();
  let isFailing = false;
  const failing = hookFiles(files, (call, act) => {
    if (isFailing && call.kind === "read" && call.path.endsWith("-shm")) throw new Error("no read");
    return act();
  });
  using bare = bareFollower(stage, failing);
  await bare.follower.startGeneration();
  assert.equal(bare.follower.uncopiedBytes, 0);
  const before = lookAt(stage.path).mxFrame;
  stage.insert();
  const frames = lookAt(stage.path).mxFrame - before;
  assert.ok(frames > 0);
  assert.equal(bare.follower.uncopiedBytes, frames * (4096 + 24));
  torn.isTorn = () => true;
  assert.equal(bare.follower.uncopiedBytes, 0);
  torn.isTorn = () => false;
  isFailing = true;
  assert.equal(bare.follower.uncopiedBytes, 0);
  isFailing = false;
  assert.equal(bare.follower.uncopiedBytes, frames * (4096 + 24));
});

test("Follower.isCrowding() from where the reader rather stays until that is copied", async () => {
  await using stage = new Stage();
  stage.insert();
  const { mxFrame } = lookAt(stage.path);
  using bare = bareFollower(stage, systemFiles, { stayFromPages: mxFrame + 1 });
  assert.equal(bare.follower.isCrowding(lookAt(stage.path)), false);
  await bare.follower.startGeneration();
  stage.insert();
  assert.equal(bare.follower.isCrowding(lookAt(stage.path)), true);
  await bare.follower.catchUp();
  assert.equal(bare.follower.isCrowding(lookAt(stage.path)), false);
});

test("Follower.isCrowding() knows no shadow WAL before a generation", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage, systemFiles, { stayFromPages: 1 });
  assert.equal(bare.follower.isCrowding(lookAt(stage.path)), true);
});

test("Follower.ownPaths has the folder alone until the shadow WAL has a file", async () => {
  await using stage = new Stage();
  stage.insert();
  stage.application.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  using bare = bareFollower(stage);
  await bare.follower.startGeneration();
  const folder = dirname(bare.follower.shadow.path(0));
  assert.deepEqual(bare.follower.ownPaths, [bare.meta.path, folder]);
  stage.insert();
  await bare.follower.catchUp();
  assert.deepEqual(bare.follower.ownPaths, [bare.meta.path, folder, bare.follower.shadow.path(0)]);
});
