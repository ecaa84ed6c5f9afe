import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { joinRuns, type TimedRun } from "./execute.ts";
import { ALONE, HEAVY, planStages } from "./stages.ts";

test("planStages() runs each file once: servers after what needs none, what is heavy later, what measures time last and alone", () => {
  const files = [
    "tests/cli/lag_test.ts",
    "tests/a_test.ts",
    "tests/s3_test.ts",
    "tests/database/hostile_test.ts",
  ];
  assert.deepEqual(planStages(files, (file) => file.includes("s3")), [
    { name: "side by side", files: ["tests/a_test.ts"], isSideBySide: true },
    { name: "with servers", files: ["tests/s3_test.ts"], isSideBySide: true },
    { name: "heavy", files: ["tests/database/hostile_test.ts"], isSideBySide: true },
    { name: "alone", files: ["tests/cli/lag_test.ts"], isSideBySide: false },
  ]);
  assert.deepEqual(planStages(["tests/a_test.ts"], () => false).map(({ name }) => name), ["side by side"]);
});

test("planStages() knows only files that are there", () => {
  const root = new URL("../../", import.meta.url);
  for (const path of [...ALONE, ...HEAVY]) assert.ok(existsSync(new URL(path, root)), path);
});

test("joinRuns() adds stages up and hides neither a failure nor a missing report", () => {
  const run = (change: Partial<TimedRun>): TimedRun => ({
    runtime: "bun",
    results: [],
    exitCode: 0,
    remark: "",
    elapsedMs: 1,
    ...change,
  });
  const result = { name: "f()", file: "a", outcome: "passed", message: "" } as const;
  assert.deepEqual(joinRuns([run({ results: [result] }), run({ exitCode: 3, remark: "killed" })]), {
    ...run({ results: [result] }),
    exitCode: 3,
    remark: "killed",
    elapsedMs: 2,
  });
  assert.equal(joinRuns([run({}), run({ results: undefined })]).results, undefined);
});
