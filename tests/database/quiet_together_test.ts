/** Many databases that grow quiet at the same time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage, until } from "./stage.ts";
import { lookAt } from "./bare_follower.ts";
import { silentMetrics } from "../../src/metrics.ts";
import { SharedTicks } from "../../src/runtime/shared_ticks.ts";
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
  const isBackfilled = ({ path }: Stage) => lookAt(path).backfilledCount === lookAt(path).mxFrame;
  await until(() => all.every(isBackfilled), { what: "all are checkpointed" });
  assert.ok(turnsOfCheckpoints.length >= all.length);
  assert.equal(new Set(turnsOfCheckpoints).size, turnsOfCheckpoints.length, `${turnsOfCheckpoints}`);
});
