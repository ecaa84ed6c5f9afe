import assert from "node:assert/strict";
import { test } from "node:test";
import { chosenCells, parseArguments } from "../../bench/arguments.ts";
import { ROWS } from "../../bench/rows/rows.ts";

const rows = Object.keys(ROWS);

test("there are twelve rows in order", () => {
  assert.deepEqual(rows, Array.from({ length: 12 }, (_, at) => `B${at + 1}`));
});

test("parseArguments() takes rows, cells and options", () => {
  const nothing = parseArguments([], rows);
  assert.deepEqual([nothing.rows, nothing.mode, nothing.as, nothing.isDefaults], [
    rows,
    "standard",
    "deno",
    false,
  ]);
  const some = parseArguments(
    ["B7", "--full", "B1/text-64", "--as", "bun", "--defaults", "--peer-05", "x"],
    rows,
  );
  assert.deepEqual(some, {
    rows: ["B1", "B7"],
    cells: ["B1/text-64"],
    mode: "full",
    as: "bun",
    isDefaults: true,
    peer05Path: "x",
  });
  const quick = parseArguments(["--quick"], rows);
  assert.ok(!quick.rows.includes("B10") && quick.rows.includes("B1"));
  assert.deepEqual(parseArguments(["--quick", "B10"], rows).rows, ["B10"]);
});

test("parseArguments() refuses what it doesn't know in one line", () => {
  const cases: [string[], RegExp][] = [
    [["B13"], /^B13: no such row or option; usage: /],
    [["B13/x"], /^B13\/x: no such row/],
    [["--fast"], /^--fast: no such row/],
    [["--as"], /^--as: a value is missing/],
    [["--quick", "--full"], /exclude each other/],
  ];
  for (const [words, expected] of cases) {
    assert.throws(
      () => parseArguments(words, rows),
      (error: Error) => expected.test(error.message) && !error.message.includes("\n"),
    );
  }
});

test("chosenCells() takes a cell that is named whole alone, and else all that begin so", () => {
  const ids = ["B8/1", "B8/100", "B8/1000"];
  assert.deepEqual([...chosenCells(["B8/100"], ids)], ["B8/100"]);
  assert.deepEqual([...chosenCells(["B8/10"], ids)], ["B8/100", "B8/1000"]);
  assert.deepEqual([...chosenCells([], ids)], ids);
  assert.deepEqual([...chosenCells(["B8/2"], ids)], []);
});
