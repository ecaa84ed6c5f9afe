import { test } from "node:test";
import assert from "node:assert/strict";
import { formatGoDuration, parseGoDuration, toNanoseconds } from "../src/duration.ts";

// Written by hand after Go's rules: https://pkg.go.dev/time#Duration.String
const WRITTEN: [number, string][] = [
  [0, "0s"],
  [0.000001, "1ns"],
  [0.0011, "1.1µs"],
  [0.999999, "999.999µs"],
  [1, "1ms"],
  [2.2, "2.2ms"],
  [300, "300ms"],
  [999.999999, "999.999999ms"],
  [1_000, "1s"],
  [1_500, "1.5s"],
  [1_900, "1.9s"],
  [28_000, "28s"],
  [59_999.5, "59.9995s"],
  [60_000, "1m0s"],
  [90_500, "1m30.5s"],
  [3_600_000, "1h0m0s"],
  [90_061_000, "25h1m1s"],
  [86_400_000 * 365 * 100, "876000h0m0s"],
  [-1_500, "-1.5s"],
  [-0.5, "-500µs"],
];

test("formatGoDuration() writes durations as Go does", () => {
  for (const [durationMs, text] of WRITTEN) assert.equal(formatGoDuration(durationMs), text);
});

test("formatGoDuration() doesn't fail on what is no duration", () => {
  assert.equal(formatGoDuration(Number.NaN), "NaN");
  assert.equal(formatGoDuration(Number.POSITIVE_INFINITY), "Infinity");
});

test("parseGoDuration() reads back what formatGoDuration() writes", () => {
  for (const [durationMs, text] of WRITTEN) {
    assert.ok(Math.abs(parseGoDuration(text) - durationMs) < 1e-9 * Math.max(1, Math.abs(durationMs)), text);
    assert.equal(toNanoseconds(parseGoDuration(text)), toNanoseconds(durationMs), text);
  }
});

test("parseGoDuration() reads signs, fractions, several units, days and weeks", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["+0", 0],
    ["+5s", 5_000],
    ["-5s", -5_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["5.s", 5_000],
    ["1h1h", 7_200_000],
    ["10us", 0.01],
    ["10µs", 0.01],
    ["10μs", 0.01],
    ["3ns", 0.000003],
    ["7d", 604_800_000],
    ["2w", 1_209_600_000],
    ["1w2d3h", 788_400_000],
  ];
  for (const [text, durationMs] of cases) assert.equal(parseGoDuration(text), durationMs, text);
});

test("parseGoDuration() says what is wrong in Go's words", () => {
  const cases: [string, string][] = [
    ["", 'time: invalid duration ""'],
    ["-", 'time: invalid duration "-"'],
    ["x", 'time: invalid duration "x"'],
    ["s", 'time: invalid duration "s"'],
    [".s", 'time: invalid duration ".s"'],
    ["1..5s", 'time: missing unit in duration "1..5s"'],
    [" 1s", 'time: invalid duration " 1s"'],
    ["1s-2s", 'time: unknown unit "s-" in duration "1s-2s"'],
    ["5", 'time: missing unit in duration "5"'],
    ["1h5", 'time: missing unit in duration "1h5"'],
    ["5y", 'time: unknown unit "y" in duration "5y"'],
    ["5 s", 'time: unknown unit " s" in duration "5 s"'],
    ["5constructor", 'time: unknown unit "constructor" in duration "5constructor"'],
    ["300000000h", 'time: invalid duration "300000000h"'],
  ];
  for (const [text, message] of cases) assert.throws(() => parseGoDuration(text), { message }, text);
});
