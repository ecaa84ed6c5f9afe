import { test } from "node:test";
import assert from "node:assert/strict";
import { UploadPace } from "../../src/replicate/upload_pace.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";

const paceAt = (now: number) => {
  const clock = new StoppedClock(now);
  return { clock, pace: new UploadPace({ intervalMs: 1000, clock }) };
};

test("UploadPace lets the first round begin at once", () => {
  assert.ok(paceAt(5).pace.restMs <= 0);
});

test("UploadPace.sent() rests an interval for each upload, two at most, from when the last one began", () => {
  for (const [count, restMs] of [[1, 850], [2, 1850], [3, 1850], [40, 1850]] as const) {
    const { clock, pace } = paceAt(100);
    pace.sent({ count, firstStartMs: 0, lastStartMs: 50 });
    clock.advance(100);
    assert.equal(pace.restMs, restMs, `after ${count}`);
  }
});

test("UploadPace.caughtUp() rests one interval from when the first upload began, however many there were", () => {
  for (const count of [1, 2, 40]) {
    const { pace } = paceAt(700);
    pace.caughtUp({ count, firstStartMs: 100, lastStartMs: 650 });
    assert.equal(pace.restMs, 400, `after ${count}`);
  }
});
