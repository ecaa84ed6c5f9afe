import { test } from "node:test";
import assert from "node:assert/strict";
import { remind, type Reminder } from "../../src/replicate/reminder.ts";

/** Minutes at which something is said of what is bad from minute 0 on, looked at each minute. */
function saidAt(minutes: number): number[] {
  const said: number[] = [];
  let reminder: Reminder | undefined;
  for (let minute = 0; minute <= minutes; minute++) {
    const step = remind(reminder, { isBad: true, nowMs: minute * 60_000, firstGapMs: 300_000 });
    if (step.say === "bad") said.push(minute);
    reminder = step.next;
  }
  return said;
}

test("remind() says what stays bad once, then with gaps that double up to six hours", () => {
  assert.deepEqual(saidAt(1_500), [0, 5, 15, 35, 75, 155, 315, 635, 995, 1355]);
});

test("remind() says that it is good again, and only after it was bad", () => {
  const good = { isBad: false, nowMs: 0, firstGapMs: 1 };
  assert.deepEqual(remind(undefined, good), { say: undefined, next: undefined });
  const { next } = remind(undefined, { ...good, isBad: true });
  assert.deepEqual(remind(next, good), { say: "good again", next: undefined });
});
