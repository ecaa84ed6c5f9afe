import assert from "node:assert/strict";
import { test } from "node:test";
import { type Aim, aimFor, AIMS, FLOORS, isOf } from "../../bench/aims.ts";
import { hasMoved } from "../../bench/calibration.ts";
import { judgeCell, ratiosOf } from "../../bench/judge.ts";
import { METRICS } from "../../bench/metrics.ts";
import type { CellResult, Round, Sample, SideName } from "../../bench/result.ts";

function round(values: Partial<Record<SideName, number>>, metric = "wallSeconds"): Round {
  const samples: Partial<Record<SideName, Sample>> = {};
  for (const [name, value] of Object.entries(values)) {
    samples[name as SideName] = { values: { [metric]: value } };
  }
  return { calibrationMs: [10, 10], samples };
}

function cell(rounds: readonly Round[], more: Partial<CellResult> = {}): CellResult {
  return {
    id: "B1/text-256",
    title: "snapshot",
    scale: 256e6,
    rounds,
    droppedRounds: [],
    wantedCount: 5,
    ...more,
  };
}

const wallOf = (judged: ReturnType<typeof judgeCell>) =>
  judged.judgements.find(({ metric }) => metric === "wallSeconds")!;

test("judgeCell() judges by the bound, not by the median", () => {
  const good = [0.3, 0.35, 0.4, 0.42, 0.49].map((ours) => round({ ours, litestream: 1 }));
  const { ratio, aims } = wallOf(judgeCell(cell(good), "bun"));
  assert.equal(ratio?.median, 0.4);
  assert.deepEqual(aims.map(({ isMet }) => isMet), [true]);
  const lucky = [0.3, 0.35, 0.4, 0.42, 0.51].map((ours) => round({ ours, litestream: 1 }));
  assert.deepEqual(wallOf(judgeCell(cell(lucky), "bun")).aims.map(({ isMet }) => isMet), [false]);
  // 0.51 is within 1.3 times the aim.
  assert.deepEqual(wallOf(judgeCell(cell(lucky), "deno")).aims.map(({ isMet }) => isMet), [true]);
});

test("judgeCell() takes each ratio within its round", () => {
  const rounds = [[1, 4], [2, 8], [3, 12]].map(([ours, litestream]) =>
    round({ ours: ours!, litestream: litestream! })
  );
  const { ratio, ours, litestream } = wallOf(judgeCell(cell(rounds), "bun"));
  assert.deepEqual([ratio?.least, ratio?.most], [0.25, 0.25]);
  assert.deepEqual([ours?.median, litestream], [2, 8]);
});

test("ratiosOf() compares with the lighter of two peers, and with nothing that is 0", () => {
  assert.deepEqual(ratiosOf([round({ ours: 3, litestream: 4, peer05: 2 })], "wallSeconds"), [1.5]);
  assert.deepEqual(ratiosOf([round({ ours: 3, litestream: 0 }), round({ ours: 3 })], "wallSeconds"), []);
});

test("judgeCell() tells the distance from the floor", () => {
  const rounds = [round({ ours: 3.3 * 0.256 * 2, litestream: 9 })];
  assert.ok(Math.abs(wallOf(judgeCell(cell(rounds), "bun")).floorDistance! - 2) < 1e-9);
});

test("judgeCell() has no number for a cell with a problem, and isn't complete with too few rounds", () => {
  const rounds = [round({ ours: 1, litestream: 4 })];
  const broken = judgeCell(cell(rounds, { problem: "other pages" }), "bun");
  assert.deepEqual([broken.judgements.length, broken.isComplete], [0, false]);
  assert.equal(judgeCell(cell(rounds), "bun").isComplete, false);
  assert.equal(judgeCell(cell(rounds, { wantedCount: 1 }), "bun").isComplete, true);
});

test("an aim from below is judged by the lower bound", () => {
  const rounds = [0.79, 0.9, 0.9, 0.9, 0.9].map((ours) => round({ ours }, "writerShare"));
  const judged = judgeCell(cell(rounds, { id: "B7/autocheckpoint-0" }), "bun");
  assert.deepEqual(judged.judgements[0]!.aims.map(({ isMet }) => isMet), [false]);
});

test("aimFor() widens aims on Deno alone", () => {
  const aim: Aim = { cell: "B1/*", metric: "wallSeconds", of: "ratio", atMost: 1 };
  assert.equal(aimFor(aim, "exe").atMost, 1);
  assert.equal(aimFor(aim, "deno").atMost, 1.3);
  assert.equal(aimFor({ ...aim, atLeast: 1.3 }, "deno").atLeast, 1);
});

test("isOf() matches ids by one star", () => {
  const cases: [string, string, boolean][] = [
    ["B8/1", "B8/1", true],
    ["B8/1", "B8/100", false],
    ["B8/*", "B8/100", true],
    ["B3/s3-*ms", "B3/s3-20ms", true],
    ["B3/s3-*ms", "B3/s3-capped", false],
    ["B1/*", "B11/version", false],
  ];
  for (const [pattern, id, expected] of cases) assert.equal(isOf(pattern, id), expected, `${pattern} ${id}`);
});

test("each aim has a limit and each metric of aims and floors is known", () => {
  for (const { metric } of [...AIMS, ...FLOORS]) assert.ok(metric in METRICS);
  for (const aim of AIMS) assert.ok((aim.atMost === undefined) !== (aim.atLeast === undefined), aim.cell);
});

test("hasMoved() allows 15 % in both directions", () => {
  const cases: [number, number, boolean][] = [[10, 11.4, false], [11.4, 10, false], [10, 11.6, true], [
    11.6,
    10,
    true,
  ]];
  for (const [before, after, expected] of cases) assert.equal(hasMoved([before, after]), expected);
});
