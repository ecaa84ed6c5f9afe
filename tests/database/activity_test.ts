import assert from "node:assert/strict";
import { test } from "node:test";
import { Activity, type Flow } from "../../src/database/activity.ts";
import type { WalIndex } from "../../src/wal/wal_index.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";

/** The wal-index after so many commits. */
function afterCommits(count: number): WalIndex {
  return {
    mxFrame: count,
    pageCount: 1,
    pageSize: 4096,
    frameChecksum: [0, 0],
    salts: [1, 2],
    change: count >>> 0,
    backfilledCount: 0,
    readMarks: [],
  };
}

test("Activity.flowTo() tells the end of commits, and where half of them stay away, by what came before", async () => {
  const cases:
    readonly (readonly [what: string, steps: readonly (readonly [ms: number, count: number])[], Flow])[] = [
      ["steady", [[40, 80], [40, 80]], "usual"],
      ["steady and slow", [[40, 8], [100, 20]], "gentle"],
      ["after a quiet time", [[40, 1], [5000, 200]], "usual"],
      ["just half", [[40, 8], [40, 4]], "gentle"],
      ["just half of many", [[40, 80], [40, 40]], "usual"],
      ["less than half", [[40, 8], [40, 3]], "fewer"],
      ["less than half of many", [[40, 80], [40, 39]], "fewer"],
      ["the same in a quarter of the time", [[40, 16], [10, 4]], "gentle"],
      ["few were to be expected", [[40, 3], [40, 1]], "gentle"],
      ["fewer than usual only once", [[40, 8], [40, 3], [10, 1]], "gentle"],
      ["none", [[40, 8], [40, 0]], "none"],
      ["none twice", [[40, 8], [40, 0], [20, 0]], "none"],
      ["some again", [[40, 8], [40, 0], [20, 1]], "fewer"],
      ["a counter that goes round", [[40, 8], [40, 0xffffffff], [40, 8]], "fewer"],
    ];
  for (const [what, steps, expected] of cases) {
    const clock = new StoppedClock();
    const activity = new Activity(clock);
    activity.begin();
    let total = 5;
    activity.flowTo(afterCommits(total));
    let flow: Flow | undefined;
    for (const [ms, count] of steps) {
      await clock.advance(ms);
      flow = activity.flowTo(afterCommits(total = (total + count) >>> 0));
    }
    assert.equal(flow, expected, what);
  }
});

test("Activity.flowTo() takes a first look for one that found commits", () => {
  const activity = new Activity(new StoppedClock());
  assert.equal(activity.flowTo(afterCommits(5)), "usual");
  assert.equal(activity.flowTo(afterCommits(5)), "none");
});
