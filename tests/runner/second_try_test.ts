import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestResult } from "./junit.ts";
import { filesToTryAgain, withSecondTry } from "./second_try.ts";
import type { RuntimeRun } from "./verdict.ts";

function result(file: string, outcome: TestResult["outcome"]): TestResult {
  return { file, name: `test of ${file}`, outcome, message: "" };
}

function run(...results: TestResult[]): RuntimeRun {
  return { runtime: "deno", results, exitCode: 1, remark: "" };
}

test("filesToTryAgain() takes the few files that failed", () => {
  const given = [
    { run: run(result("a", "failed"), result("b", "passed")), files: ["a", "b"] },
    { run: run(result("c", "passed")), files: ["c"] },
  ];
  assert.deepEqual(filesToTryAgain(given), [["a"], []]);
});

test("filesToTryAgain() takes nothing when much is broken, all of a runner that left no report", () => {
  const many = ["a", "b", "c", "d", "e", "f", "g", "h"];
  const broken = (files: string[]) => ({ run: run(...files.map((file) => result(file, "failed"))), files });
  assert.deepEqual(filesToTryAgain([broken(many)]), [many]);
  assert.deepEqual(filesToTryAgain([broken(many), broken(["i"])]), [[], []]);
  const silent = { run: { ...run(), results: undefined }, files: ["j", "k"] };
  assert.deepEqual(filesToTryAgain([silent, broken(many.slice(1))]), [["j", "k"], many.slice(1)]);
  assert.deepEqual(filesToTryAgain([silent, broken(many)]), [[], []]);
});

test("withSecondTry() puts the second results in the place of the first, and keeps a second failure", () => {
  const first = run(result("a", "failed"), result("b", "passed"));
  const better = withSecondTry(first, {
    second: { ...run(result("a", "passed")), exitCode: 0 },
    files: ["a"],
  });
  assert.deepEqual(better.results?.map(({ outcome }) => outcome), ["passed", "passed"]);
  assert.equal(better.exitCode, 0);
  const worse = withSecondTry(first, { second: run(result("a", "failed")), files: ["a"] });
  assert.deepEqual(worse.results?.map(({ outcome }) => outcome), ["passed", "failed"]);
  assert.equal(worse.exitCode, 1);
});

test("a suite that several files share is reported once, and its failures stay", () => {
  const shared = { ...result("shared", "passed"), name: "ours" };
  const others = { ...result("shared", "passed"), name: "of another file" };
  const better = withSecondTry(run(result("a", "failed"), shared, others), {
    second: run(result("a", "passed"), shared),
    files: ["a"],
  });
  assert.deepEqual(better.results?.map(({ name }) => name), ["of another file", "test of a", "ours"]);
  assert.deepEqual(
    filesToTryAgain([{ run: run({ ...shared, outcome: "failed" }, result("a", "failed")), files: ["a"] }]),
    [[]],
  );
});
