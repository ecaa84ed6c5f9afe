/** The cases of the format's test list, 1 to 114, each as a test that carries its number: `(case 7)`, `(cases 5, 6)`. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const CASE_COUNT = 114;

/** The numbers that the code of a test file carries; comments carry none. */
function casesIn(text: string): number[] {
  const code = text.replace(/\/\*\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  // What has a point in it, such as 11.13, is a section and no case.
  const lists = Array.from(code.matchAll(/\(cases? (\d+(?:, \d+(?![\d.]))*)/g), ([, list]) => list!);
  return lists.flatMap((list) => list.split(", ")).map(Number);
}

function numbersInTests(): Set<number> {
  const numbers = new Set<number>();
  for (const name of readdirSync(FOLDER, { recursive: true }).map(String)) {
    if (!name.endsWith(".ts") || name.endsWith("cases_test.ts")) continue;
    for (const number of casesIn(readFileSync(join(FOLDER, name), "utf8"))) numbers.add(number);
  }
  return numbers;
}

test("every case from 1 to 114 has a test", () => {
  const found = numbersInTests();
  const all = Array.from({ length: CASE_COUNT }, (_, at) => at + 1);
  assert.deepEqual(all.filter((number) => !found.has(number)), []);
});

test("casesIn() reads numbers of tests, and of nothing else", () => {
  const text = [
    "/** A comment (case 1). */",
    "// Another (case 2).",
    'test("one (case 3)", () => {});',
    'test("two (cases 4, 5), and more", () => {});',
    'test("three (case 88, 11.13)", () => {});',
    'database.exec("INSERT INTO t VALUES (7)");',
  ];
  assert.deepEqual(casesIn(text.join("\n")), [3, 4, 5, 88]);
});
