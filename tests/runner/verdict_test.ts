import { test } from "node:test";
import assert from "node:assert/strict";
import type { TestResult } from "./junit.ts";
import { judge, type RuntimeRun } from "./verdict.ts";

const FILE = "tests/a_test.ts";

function passed(name: string): TestResult {
  return { name, file: FILE, outcome: "passed", message: "" };
}

function run(runtime: RuntimeRun["runtime"], change: Partial<RuntimeRun> = {}): RuntimeRun {
  return { runtime, results: [passed("f()"), passed("g()")], exitCode: 0, remark: "", ...change };
}

const whole = { files: [FILE], rules: { minimumCount: 2 } };

test("judge() adds up two equal runs", () => {
  assert.deepEqual(judge([run("deno"), run("bun")], whole), { passedCount: 4, problems: [] });
});

test("judge() names what makes a run fail", () => {
  const failed: TestResult = { name: "g()", file: FILE, outcome: "failed", message: "1 !== 2" };
  const cases: [string, Partial<RuntimeRun>, string[]][] = [
    ["a failed test", { results: [passed("f()"), failed], exitCode: 1 }, [`bun: ${FILE}: g()\n1 !== 2`]],
    ["a skipped test", { results: [passed("f()"), { ...failed, outcome: "skipped" }] }, [
      `bun: ${FILE}: g(): skipped tests are not allowed`,
    ]],
    ["a test that is missing here", { results: [passed("f()")] }, [
      "bun: 1 tests, at least 2 are expected",
      `${FILE}: g(): ran on deno but not on bun`,
    ]],
    ["a test that is missing there", { results: [passed("f()"), passed("g()"), passed("h()")] }, [
      `${FILE}: h(): ran on bun but not on deno`,
    ]],
    ["a name used twice", { results: [passed("f()"), passed("g()"), passed("g()")] }, [
      'bun: two tests are named "g()"',
    ]],
    ["no report", { results: undefined, exitCode: 1, remark: "killed after 9 s" }, [
      "bun: the test runner left no report (exit code 1, killed after 9 s)",
    ]],
    ["a runner that fails outside of its tests", { exitCode: 1 }, [
      "bun: the test runner failed outside of any test (exit code 1): see its output above",
    ]],
  ];
  for (const [name, change, problems] of cases) {
    assert.deepEqual(judge([run("deno"), run("bun", change)], whole).problems, problems, name);
  }
});

test("judge() finds a file in which no test ran", () => {
  const { problems } = judge([run("deno"), run("bun")], { ...whole, files: [FILE, "tests/b_test.ts"] });
  assert.deepEqual(problems, ["deno: tests/b_test.ts: no test ran", "bun: tests/b_test.ts: no test ran"]);
});

test("judge() neither compares nor counts a part of the suite", () => {
  assert.deepEqual(judge([run("deno", { results: [passed("f()")] })], { files: [FILE] }), {
    passedCount: 1,
    problems: [],
  });
});
