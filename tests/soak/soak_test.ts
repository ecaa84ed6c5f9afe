/** A short round of the campaign; `WALBROOK_SOAK_SEED` repeats one. `deno task soak` plays the long ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import process from "node:process";
import { recordFigure } from "../figures.ts";
import { playCampaign } from "./campaign.ts";
import { FAULTS } from "./faults/all.ts";

const LOOK_COUNT = 2;

test("walbrook loses nothing in a round of the campaign", async () => {
  const seed = Number(process.env["WALBROOK_SOAK_SEED"] ?? Date.now() % 1_000_000);
  const { tally, folder } = await playCampaign({
    seed,
    minutes: 1,
    roundCount: 1,
    lookCount: LOOK_COUNT,
    faultMs: 12_000,
    leastFaultCount: 4,
    leastCommitCount: 200,
    pointCount: 6,
    litestreamCount: 4,
    rate: 600,
    settleLimitMs: 120_000,
    hasStore: true,
    // A request without an answer is given up after half a minute, which is too long for this round.
    scenarios: FAULTS.map(({ name }) => name).filter((name) => name !== "store-silent"),
  });
  // Each problem begins with the folder of its round.
  const report = (what: string) =>
    [
      what,
      `WALBROOK_SOAK_SEED=${seed} repeats it; the evidence is in ${folder}`,
      ...tally.problems,
      `faults: ${tally.faults}; restores: ${tally.restores}; refused: ${tally.refusals}`,
    ].join("\n");
  assert.ok(tally.problems.length === 0, report("lost or wrong:"));
  assert.ok(tally.commits >= 200, report(`only ${tally.commits} commits`));
  assert.ok(tally.restores.sum > 10, report(`only ${tally.restores.sum} restores`));
  assert.ok(tally.faults.sum >= 4, report(`only ${tally.faults.sum} faults`));
  // Two replicas.
  assert.equal(tally.window.length, 2 * LOOK_COUNT, report("looks at the window are missing:"));
  const behindMs = tally.window.map((look) => look.behindMs);
  assert.ok(Math.min(...behindMs) >= 0 && Math.max(...behindMs) > 0, report(`behind by ${behindMs}`));
  recordFigure("behind under steady writing, ms, at most", Math.max(...behindMs));
  recordFigure(
    "campaign, one round",
    `seed ${seed}: ${tally.commits} commits, ${tally.faults.sum} faults, ${tally.restores.sum} restores, 0 lost`,
  );
});
