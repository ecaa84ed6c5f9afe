/** A short round of the campaign; `WALBROOK_SOAK_SEED` repeats one. `deno task soak` plays the long ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import process from "node:process";
import { recordFigure } from "../figures.ts";
import { playCampaign } from "./campaign.ts";
import { FAULTS } from "./faults/all.ts";

test("walbrook loses nothing in a round of the campaign", async () => {
  const seed = Number(process.env["WALBROOK_SOAK_SEED"] ?? Date.now() % 1_000_000);
  const { tally, folder } = await playCampaign({
    seed,
    minutes: 1,
    roundCount: 1,
    faultMs: 12_000,
    pointCount: 6,
    litestreamCount: 4,
    rate: 600,
    settleLimitMs: 120_000,
    hasStore: true,
    // A request without an answer is given up after half a minute, which is too long for this round.
    scenarios: FAULTS.map(({ name }) => name).filter((name) => name !== "store-silent"),
  });
  // Each problem begins with the folder of its round.
  const report = [
    `WALBROOK_SOAK_SEED=${seed} repeats it; the evidence is in ${folder}`,
    ...tally.problems,
    `faults: ${tally.faults}`,
  ];
  assert.ok(tally.problems.length === 0, report.join("\n"));
  assert.ok(tally.commits > 100, `${tally.commits} commits`);
  assert.ok(tally.restores.sum > 10, `${tally.restores.sum} restores`);
  assert.ok(tally.faults.sum > 3, `${tally.faults.sum} faults`);
  recordFigure(
    "campaign, one round",
    `seed ${seed}: ${tally.commits} commits, ${tally.faults.sum} faults, ${tally.restores.sum} restores, 0 lost`,
  );
});
