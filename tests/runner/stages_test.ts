import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { joinRuns, type TimedRun } from "./execute.ts";
import { ALONE, HEAVY, LONG, planStages, SHARED } from "./stages.ts";

const both = {
  runtimes: ["deno", "bun"],
  needsServers: (file: string) => file.includes("s3"),
  laneCount: 4,
} as const;

test("planStages() keeps apart what would slow down others, and last of all, alone, what measures time", () => {
  const files = ["tests/cli/lag_test.ts", "tests/a_test.ts", "tests/database/hostile_test.ts"];
  const on = (runtime: "deno" | "bun", file: string) => ({ runtime, files: [file], needsServers: false });
  assert.deepEqual(planStages(files, both), [
    { name: "together", jobs: [on("deno", "tests/a_test.ts"), on("bun", "tests/a_test.ts")], laneCount: 4 },
    { name: "heavy", jobs: [on("deno", HEAVY[0]!), on("bun", HEAVY[0]!)], laneCount: 2 },
    { name: "alone", jobs: [on("deno", ALONE[0]!), on("bun", ALONE[0]!)], laneCount: 1 },
  ]);
  assert.deepEqual(planStages(["tests/a_test.ts"], { ...both, runtimes: ["bun"] }), [
    { name: "together", jobs: [on("bun", "tests/a_test.ts")], laneCount: 4 },
  ]);
});

test("planStages() starts the long files first and what is shared once more last, servers after what needs none", () => {
  const files = ["tests/a_test.ts", "tests/s3_test.ts", LONG[1]!, SHARED[0]!];
  const [stage] = planStages(files, both);
  assert.deepEqual(stage!.jobs.map(({ runtime, files, needsServers }) => [runtime, ...files, needsServers]), [
    ["deno", SHARED[0], false],
    ["deno", LONG[1], false],
    ["bun", LONG[1], false],
    ["deno", "tests/a_test.ts", false],
    ["bun", "tests/a_test.ts", false],
    ["deno", "tests/s3_test.ts", true],
    ["bun", "tests/s3_test.ts", true],
    ["bun", SHARED[0], false],
  ]);
});

test("planStages() gives each file once to each runtime, whatever their number", () => {
  for (const count of [0, 1, 7, 8, 9, 16, 17, 50]) {
    const short = Array.from({ length: count }, (_, at) => `tests/${at}_test.ts`);
    const files = [...short, ...ALONE, ...HEAVY, ...LONG, "tests/s3_test.ts"];
    const jobs = planStages(files, both).flatMap((stage) => stage.jobs);
    for (const runtime of both.runtimes) {
      const given = jobs.filter((job) => job.runtime === runtime).flatMap((job) => job.files);
      assert.deepEqual(given.sort(), [...files].sort(), `${count} on ${runtime}`);
    }
    assert.ok(jobs.every((job) => job.files.length >= 1 && job.files.length <= 8), `${count}`);
  }
});

test("planStages() knows only files that are there, and each in one list", () => {
  const root = new URL("../../", import.meta.url);
  const listed = [...ALONE, ...HEAVY, ...LONG];
  for (const path of listed) assert.ok(existsSync(new URL(path, root)), path);
  assert.equal(new Set(listed).size, listed.length);
  for (const path of SHARED) assert.ok(LONG.includes(path), path);
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
  assert.deepEqual(joinRuns("bun", [run({ results: [result] }), run({ exitCode: 3, remark: "killed" })]), {
    ...run({ results: [result] }),
    exitCode: 3,
    remark: "killed",
    elapsedMs: 2,
  });
  assert.equal(joinRuns("bun", [run({}), run({ results: undefined })]).results, undefined);
});
