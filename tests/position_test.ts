import assert from "node:assert/strict";
import { test } from "node:test";
import {
  alignToFrame,
  comparePositions,
  formatIndex,
  formatPosition,
  frameSize,
  isGeneration,
  MAX_INDEX,
  newGeneration,
  walSize,
} from "../src/position.ts";

test("formatPosition() writes the index in hex and the offset in decimal (case 8)", () => {
  assert.equal(formatPosition(undefined), "");
  const generation = "d3fec2d6d6dfa285";
  assert.equal(formatPosition({ generation, index: 1, offset: 568 }), `${generation}/00000001:568`);
  assert.equal(
    formatPosition({ generation, index: 0x3e8, offset: 2 ** 40 }),
    `${generation}/000003e8:1099511627776`,
  );
});

test("formatIndex() writes eight digits or more", () => {
  const cases: [number, string][] = [
    [0, "00000000"],
    [1000, "000003e8"],
    [MAX_INDEX, "7fffffff"],
    [2 ** 32, "100000000"],
  ];
  for (const [index, text] of cases) assert.equal(formatIndex(index), text);
});

test("isGeneration() takes 16 lowercase hex digits (case 7)", () => {
  const cases: [string, boolean][] = [
    ["0123456789abcdef", true],
    ["0123456789ABCDEF", false],
    ["0123456789abcde", false],
    ["0123456789abcdef0", false],
    ["0123456789abcdeg", false],
    ["0123456789abcdef\n", false],
    ["", false],
  ];
  for (const [name, expected] of cases) assert.equal(isGeneration(name), expected, JSON.stringify(name));
});

test("newGeneration() gives another generation each time", () => {
  const names = new Set(Array.from({ length: 100 }, newGeneration));
  assert.equal(names.size, 100);
  for (const name of names) assert.ok(isGeneration(name), name);
});

test("alignToFrame() goes down to a frame boundary (case 9)", () => {
  for (const pageSize of [512, 4096, 65536]) {
    const frame = frameSize(pageSize);
    assert.equal(frame, pageSize + 24);
    const cases: [number, number][] = [
      [0, 0],
      [31, 0],
      [32, 32],
      [32 + frame - 1, 32],
      [32 + frame, 32 + frame],
      [32 + 2 * frame + 5, 32 + 2 * frame],
      [32 + 2 ** 40 * frame, 32 + 2 ** 40 * frame],
    ];
    for (const [size, aligned] of cases) assert.equal(alignToFrame(size, { pageSize }), aligned, `${size}`);
  }
});

test("walSize() is the header and its frames", () => {
  assert.equal(walSize(0, { pageSize: 4096 }), 32);
  assert.equal(walSize(1000, { pageSize: 4096 }), 32 + 1000 * 4120);
});

test("comparePositions() puts the index before the offset", () => {
  const at = (index: number, offset: number) => ({ index, offset });
  const sorted = [at(0, 0), at(0, 32), at(0, 2 ** 40), at(1, 0), at(10, 5), at(10, 6)];
  assert.deepEqual([...sorted].reverse().sort(comparePositions), sorted);
  assert.equal(comparePositions(at(3, 4), at(3, 4)), 0);
});
