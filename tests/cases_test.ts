/**
 * The cases of the format's test list, 1 to 114, each as a test that carries its number: `(case 7)`, `(cases 5, 6)`, or
 * `(7)` at the end of a test's name.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const CASE_COUNT = 114;

/** What has no test, and why. */
const EXCEPTIONS: ReadonlyMap<number, string> = new Map([
  [107, "the command has no -exec yet"],
  [109, "addr is read, and served by no command yet"],
  [110, "as 109"],
]);

/** The numbers that the code of a test file carries; comments carry none. */
function casesIn(text: string): number[] {
  const code = text.replace(/\/\*\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const lists = [
    ...code.matchAll(/\(cases? (\d+(?:, \d+(?![\d.]))*)/g),
    ...code.matchAll(/^\s*test\(\s*(?:"[^"\n]*|`[^`\n]*) \((\d+)\)["`]/gm),
  ].map(([, list]) => list!);
  // Sections of the list of faults, such as 11.13, are no cases.
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

test("every case from 1 to 114 has a test, or a reason why not", () => {
  const found = numbersInTests();
  const all = Array.from({ length: CASE_COUNT }, (_, at) => at + 1);
  assert.deepEqual(all.filter((number) => !found.has(number) && !EXCEPTIONS.has(number)), []);
});

test("casesIn() reads numbers of tests, and of nothing else", () => {
  const text = [
    "/** A comment (case 1). */",
    "// Another (case 2).",
    'test("one (case 3)", () => {});',
    'test("two (cases 4, 5), and more", () => {});',
    'test("three (case 88, 11.13)", () => {});',
    "test(`four (110)`, () => {});",
    'database.exec("INSERT INTO t VALUES (7)");',
  ];
  assert.deepEqual(casesIn(text.join("\n")), [3, 4, 5, 88, 110]);
});
