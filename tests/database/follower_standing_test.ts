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

test("Follower.mostFrames() is where the reader rather stays, once that is copied a number of bytes more", async () => {
  await using stage = new Stage();
  stage.insert();
  const stayFromPages = lookAt(stage.path).mxFrame + 1;
  using bare = bareFollower(stage, systemFiles, { stayFromPages });
  const mostFrames = () => bare.follower.mostFrames(lookAt(stage.path), { maxBytes: 1 << 20 });
  assert.equal(mostFrames(), stayFromPages, "without a shadow WAL");
  await bare.follower.startGeneration();
  assert.equal(mostFrames(), stayFromPages);
  stage.insert();
  await bare.follower.catchUp();
  assert.equal(mostFrames(), lookAt(stage.path).mxFrame + Math.ceil((1 << 20) / 4120));
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

test("Follower.step() in a hurry leaves the reader where it is, and the next one moves it", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  const before = follower.readers.standing;
  for (let count = 0; count < 3; count++) {
    stage.insert();
    const copied = follower.copiedBytes;
    assert.deepEqual(follower.step({ isHurried: true }), { hasCopied: true, hasMore: false });
    assert.ok(follower.copiedBytes > copied);
    assert.equal(follower.readers.standing, before);
  }
  assert.deepEqual(follower.step(), { hasCopied: false, hasMore: false });
  assert.equal(follower.readers.standing!.after.mxFrame, lookAt(stage.path).mxFrame);
});

test("Follower.isInTheWay until two readers stood frozen at moments that no checkpointer spans", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  await follower.catchUp();
  // All is backfilled up to where our reader stands.
  stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
  assert.equal(lookAt(stage.path).backfilledCount, lookAt(stage.path).mxFrame);
  follower.step();
  for (let count = 0; count < 3; count++) follower.step();
  assert.ok(follower.isInTheWay, "moves within one turn meet the same checkpointer");
  await new Promise((resolve) => setTimeout(resolve, 12));
  follower.step();
  assert.ok(!follower.isInTheWay);
});
