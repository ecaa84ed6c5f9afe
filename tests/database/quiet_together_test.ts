/** Many databases that grow quiet at the same time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage, until } from "./stage.ts";
import { isBackfilled } from "./bare_follower.ts";
import { silentMetrics } from "../../src/metrics.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { SharedTicks } from "../../src/runtime/shared_ticks.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";

test("LiveDatabase lets others have their turn between the checkpoints of two quiet databases", async () => {
  await using stages = new AsyncDisposableStack();
  const skipping = new SkippingClock();
  const clock = new SharedTicks(skipping);
  let turnNumber = 0;
  let timer = setImmediate(function turn() {
    turnNumber++;
    timer = setImmediate(turn);
  });
  stages.defer(() => clearImmediate(timer));
  const turnsOfCheckpoints: number[] = [];
  const metrics = {
    ...silentMetrics,
    count(name: string) {
      if (name === "litestream_checkpoint_count") turnsOfCheckpoints.push(turnNumber);
    },
  };
  const all = Array.from({ length: 5 }, () => stages.use(new Stage()));
  for (const stage of all) {
    stage.insert();
    await stage.follow({ clock, metrics });
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  skipping.skip(10_000);
  await until(() => all.every(isBackfilled), { what: "all are checkpointed" });
  assert.ok(turnsOfCheckpoints.length >= all.length);
  assert.equal(new Set(turnsOfCheckpoints).size, turnsOfCheckpoints.length, `${turnsOfCheckpoints}`);
});

test("LiveDatabase is checkpointed, and closed, while the disk of another one takes its time", async () => {
  await using stages = new AsyncDisposableStack();
  const [slow, other] = [stages.use(new Stage()), stages.use(new Stage())];
  const disk = Promise.withResolvers<void>();
  stages.defer(() => disk.resolve());
  let isWaitedFor = false;
  const files = hookFiles(systemFiles, (call, act) => {
    const result = act();
    if (call.kind !== "sync" || !(result instanceof Promise) || call.path !== `${slow.path}-wal`) {
      return result;
    }
    isWaitedFor = true;
    return disk.promise.then(() => result) as typeof result;
  });
  for (const stage of [slow, other]) stage.insert();
  await slow.follow({ files });
  const database = await other.follow();
  // So much that it is brought to the disk before the checkpoint.
  slow.insert(20_000_000);
  await until(() => isWaitedFor, { what: "the disk is waited for" });
  other.insert(20_000_000);
  await until(() => isBackfilled(other), { what: "the other one is checkpointed" });
  assert.equal(isBackfilled(slow), false);
  await database.close();
  disk.resolve();
  await until(() => isBackfilled(slow), { what: "it is checkpointed" });
});
