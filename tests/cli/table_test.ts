import { test } from "node:test";
import assert from "node:assert/strict";
import { formatLag } from "../../src/cli/run_generations.ts";
import { formatJson, formatTable, formatTime } from "../../src/cli/table.ts";

test("formatTable() pads all columns but the last (case 103)", () => {
  assert.equal(formatTable(["a", "name"], []), "a  name\n");
  assert.equal(formatTable(["a", "name"], [["long", "x"], ["", ""]]), "a     name\nlong  x\n      \n");
});

test("formatTable() takes any text and any number of rows", () => {
  const rows = [["ü", "日本語"], ["😀", "x"], ["\uFEFF", "a".repeat(5000)], ["é".repeat(3000), "\0"], [
    "",
    "ß",
  ]];
  const many = Array.from({ length: 500 }, () => rows).flat();
  const expected = [["a", "b"], ...many].map(([first, last]) => `${first!.padEnd(3002)}${last}\n`).join("");
  assert.equal(formatTable(["a", "b"], many), expected);
});

test("formatTime() writes UTC to the second", () => {
  const cases = [
    ["2026-11-22T20:36:08.999Z", "2026-11-22T20:36:08Z"],
    ["2026-11-22T20:36:59.999Z", "2026-11-22T20:36:59Z"],
    ["2026-11-22T20:37:00.000Z", "2026-11-22T20:37:00Z"],
    ["2026-11-22T20:37:00.999Z", "2026-11-22T20:37:00Z"],
    ["2026-11-22T20:37:09.999Z", "2026-11-22T20:37:09Z"],
    ["2026-11-22T20:36:00.001Z", "2026-11-22T20:36:00Z"],
    ["0000-01-01T00:00:00.000Z", "0000-01-01T00:00:00Z"],
    ["1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59Z"],
    ["+010000-01-01T00:00:10.000Z", "+010000-01-01T00:00:10Z"],
  ] as const;
  for (const [at, text] of cases) assert.equal(formatTime(new Date(at)), text);
  for (let nth = 0; nth < 2; nth++) assert.throws(() => formatTime(new Date(Number.NaN)), RangeError);
});

test("formatJson() writes an array that a program reads back", () => {
  assert.deepEqual(JSON.parse(formatJson([])), []);
  assert.deepEqual(JSON.parse(formatJson([{ a: 1 }, { a: 2 }])), [{ a: 1 }, { a: 2 }]);
});

test("formatLag() cuts what doesn't matter at its size (case 103)", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [0.0005, "0s"],
    [0.0125, "12µs"],
    [1, "1ms"],
    [1.75, "1ms"],
    [999.9, "999ms"],
    [1949, "1.9s"],
    [10_001, "10s"],
    [28_900, "28s"],
    [90_061_000, "25h1m1s"],
    [-1549, "-1.5s"],
  ];
  for (const [lagMs, text] of cases) assert.equal(formatLag(lagMs), text, `${lagMs}`);
});
