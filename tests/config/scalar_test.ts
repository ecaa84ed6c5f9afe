import assert from "node:assert/strict";
import { test } from "node:test";
import { countOf, durationOf, resolvePlain, sizeOf } from "../../src/config/scalar.ts";

test("resolvePlain() reads YAML 1.1 as the library of Litestream 0.3", () => {
  const kinds: [string, string][] = [
    ...["", "~", "null", "Null", "NULL"].map((text): [string, string] => [text, "null"]),
    ...["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"].map((
      text,
    ): [string, string] => [
      text,
      "true",
    ]),
    ...["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"].map((
      text,
    ): [string, string] => [
      text,
      "false",
    ]),
    ["0", "0"],
    ["-0", "0"],
    ["12", "12"],
    ["+12", "12"],
    ["-12", "-12"],
    ["1_000", "1000"],
    ["0x10", "16"],
    ["-0X1f", "-31"],
    ["010", "8"],
    ["0o17", "15"],
    ["0b101", "5"],
    ["18446744073709551615", "18446744073709551615"],
    ["1.0", "float 1"],
    [".5", "float 0.5"],
    ["5.", "float 5"],
    ["1e3", "float 1000"],
    ["09", "float 9"],
    ["18446744073709551616", "float 18446744073709552000"],
    [".inf", "float Infinity"],
    ["-.INF", "float -Infinity"],
    [".nan", "float NaN"],
    ...["yEs", "nUll", "1:30", "0x", "1e", "1.2.3", "--1", "-", "+", ".", "_", "1 2", "2001-01-01", "a"].map(
      (text): [string, string] => [text, "text"],
    ),
  ];
  for (const [text, expected] of kinds) {
    const plain = resolvePlain(text);
    const found = plain.kind === "float"
      ? `float ${plain.value}`
      : "value" in plain
      ? `${plain.value}`
      : plain.kind;
    assert.equal(found, expected, text);
  }
});

test("countOf() cuts fractions and refuses what is no count", () => {
  const cases: [string, number | undefined][] = [
    ["1_000", 1000],
    ["0x10", 16],
    ["1.0", 1],
    ["1.9", 1],
    ["-3", -3],
    ["1e3", 1000],
    ["1e300", undefined],
    [".nan", undefined],
    [".inf", undefined],
    ["yes", undefined],
    ["", undefined],
    ["abc", undefined],
  ];
  for (const [text, expected] of cases) assert.equal(countOf(resolvePlain(text)), expected, text);
});

test("durationOf() reads Go's durations, days, weeks, and bare numbers as nanoseconds", () => {
  const cases: [string, boolean, number, boolean][] = [
    ["1h30m", true, 5_400_000, false],
    ["1.5h", true, 5_400_000, false],
    ["300ms", false, 300, false],
    ["-2s", true, -2000, false],
    ["1d", true, 86_400_000, false],
    ["2w", true, 1_209_600_000, false],
    ["90", true, 0.00009, true],
    ["1e9", true, 1000, true],
    ["1_000_000", true, 1, true],
    ["0", true, 0, false],
    ["0", false, 0, false],
    ["0.0", true, 0, false],
  ];
  for (const [text, isPlain, durationMs, isBare] of cases) {
    assert.deepEqual(durationOf(text, { isPlain }), { durationMs, isBare }, text);
  }
  for (
    const [text, isPlain] of [["10", false], ["1:30", true], ["yes", true], ["1x", true], [".inf", true], [
      "",
      false,
    ], ["1e19", true]] as const
  ) {
    assert.throws(() => durationOf(text, { isPlain }), Error, text);
  }
});

test("sizeOf() reads bytes with their units", () => {
  const cases: [string, number | undefined][] = [
    ["5000000", 5_000_000],
    ["5_000", 5000],
    ["5M", 5_000_000],
    ["5MB", 5_000_000],
    ["5 mb", 5_000_000],
    ["5MiB", 5_242_880],
    ["1.5Gi", 1_610_612_736],
    ["10M/s", 10_000_000],
    ["10MB/s", 10_000_000],
    ["7b", 7],
    ["1T", 1e12],
    ["0", 0],
    ["-1", undefined],
    ["M", undefined],
    ["5X", undefined],
    ["5i", undefined],
    ["5M 3", undefined],
    ["", undefined],
    ["99999999T", undefined],
  ];
  for (const [text, expected] of cases) assert.equal(sizeOf(text), expected, text);
});
