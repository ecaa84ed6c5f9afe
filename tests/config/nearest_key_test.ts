import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, nearestName } from "../../src/config/nearest_key.ts";

test("editDistance() counts letters, and neighbours that are swapped as one", () => {
  const cases: [string, string, number][] = [
    ["", "", 0],
    ["abc", "abc", 0],
    ["abc", "", 3],
    ["", "ab", 2],
    ["retention", "retension", 1],
    ["path", "paht", 1],
    ["bucket", "buket", 1],
    ["kitten", "sitting", 3],
  ];
  for (const [from, to, expected] of cases) assert.equal(editDistance(from, to), expected, `${from} ${to}`);
});

test("nearestName() finds what was meant, and nothing where nothing is near", () => {
  const known = ["path", "url", "retention", "access-key-id", "secret-access-key", "sync-interval"];
  const cases: [string, string | undefined][] = [
    ["paht", "path"],
    ["Retention", "retention"],
    ["accessKeyId", "access-key-id"],
    ["access_key", "access-key-id"],
    ["uri", "url"],
    ["sync-intervall", "sync-interval"],
    ["foo", undefined],
    ["", undefined],
    ["completely-different", undefined],
    ["x".repeat(100_000), undefined],
  ];
  for (const [name, expected] of cases) assert.equal(nearestName(name, known), expected, name.slice(0, 40));
});
