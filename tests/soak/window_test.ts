import assert from "node:assert/strict";
import { test } from "node:test";
import { Tally } from "./tally.ts";
import { windowOf } from "./window.ts";

test("windowOf() is the time between the newest commit and the newest that the replica held", () => {
  const at = (held: number) => windowOf({ newest: { at: 5000 }, held: { at: held }, syncIntervalMs: 100 });
  assert.deepEqual(at(4850), { behindMs: 150, syncIntervalMs: 100 });
  assert.deepEqual(at(5000), { behindMs: 0, syncIntervalMs: 100 });
  assert.deepEqual(at(5003), { behindMs: 0, syncIntervalMs: 100 });
});

test("Tally.lines() states the window, and what of it is beyond the sync-interval", () => {
  const tally = new Tally();
  for (const behindMs of [10, 120, 700]) tally.window.push({ behindMs, syncIntervalMs: 600 });
  tally.window.push({ behindMs: 150, syncIntervalMs: 20 });
  const line = tally.lines({ seed: 1, elapsedMs: 1 }).find((text) => text.startsWith("behind"));
  assert.equal(
    line,
    "behind the newest commit under steady writing, 4 looks: median 120 ms, 95 % 150 ms, at most 700 ms; " +
      "beyond the sync-interval: median -480 ms, 95 % 100 ms, at most 130 ms",
  );
});
