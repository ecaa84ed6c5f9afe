import { test } from "node:test";
import assert from "node:assert/strict";
import { parseMoment, parseTimestamp } from "../../src/cli/moment.ts";
import { UsageError } from "../../src/errors.ts";

test("parseMoment() counts back from now", () => {
  const now = new Date("2026-03-02T12:00:00.500Z");
  const cases: [string, string][] = [
    ["now", "2026-03-02T12:00:00.500Z"],
    ["0s ago", "2026-03-02T12:00:00.500Z"],
    ["10m ago", "2026-03-02T11:50:00.500Z"],
    ["1h30m ago", "2026-03-02T10:30:00.500Z"],
    ["2d ago", "2026-02-28T12:00:00.500Z"],
    ["1w ago", "2026-02-23T12:00:00.500Z"],
    ["2000-01-01T00:00:00Z", "2000-01-01T00:00:00.000Z"],
  ];
  for (const [text, at] of cases) assert.equal(parseMoment(text, { now }).toISOString(), at, text);
});

test("parseMoment() refuses what is neither a moment nor a duration ago", () => {
  const now = new Date("2026-03-02T12:00:00Z");
  for (
    const text of ["", "ago", "10m", "10 ago", "-10m ago", "10m  before", "yesterday", "Now", "3000w ago"]
  ) {
    assert.throws(() => parseMoment(text, { now }), UsageError, text);
  }
});

test("parseTimestamp() reads moments with a zone", () => {
  const cases: [string, string][] = [
    ["2000-01-01T00:00:00Z", "2000-01-01T00:00:00.000Z"],
    ["2000-01-01T00:00:00.5Z", "2000-01-01T00:00:00.500Z"],
    ["2000-01-01T00:00:00,25Z", "2000-01-01T00:00:00.250Z"],
    ["2000-01-01T00:00:00.123999999Z", "2000-01-01T00:00:00.123Z"],
    ["2000-01-01T00:00:00+02:00", "1999-12-31T22:00:00.000Z"],
    ["2000-01-01T00:00:00-05:30", "2000-01-01T05:30:00.000Z"],
    ["2024-02-29T23:59:59Z", "2024-02-29T23:59:59.000Z"],
  ];
  for (const [text, at] of cases) assert.equal(parseTimestamp(text).toISOString(), at);
});

test("parseTimestamp() refuses moments that don't exist or have no zone", () => {
  const cases = [
    "",
    "2000-01-01",
    "2000-01-01T00:00:00",
    "2000-01-01 00:00:00Z",
    "2000-01-01t00:00:00z",
    "2000-01-01T00:00Z",
    "2000-01-01T00:00:00.Z",
    "2000-13-01T00:00:00Z",
    "2000-00-10T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2000-04-31T00:00:00Z",
    "2000-01-01T24:00:00Z",
    "2000-01-01T00:60:00Z",
    "2000-01-01T00:00:60Z",
    "2000-01-01T00:00:00+24:00",
    "2000-01-01T00:00:00+01:60",
    "2000-01-01T00:00:00+0100",
    "12000-01-01T00:00:00Z",
    "2000-01-01T00:00:00Z\n",
  ];
  for (const text of cases) assert.throws(() => parseTimestamp(text), UsageError, text);
});
