import { test } from "node:test";
import assert from "node:assert/strict";
import { yieldToEvents } from "../../src/runtime/clock.ts";
import { SharedTicks } from "../../src/runtime/shared_ticks.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";

/** A stopped clock that counts the timers which were asked of it. */
class CountedClock extends StoppedClock {
  everyCount = 0;

  override every(ms: number, act: () => void): Disposable {
    this.everyCount++;
    return super.every(ms, act);
  }
}

test("SharedTicks.every() needs one timer for all who tick equally often", async () => {
  const clock = new CountedClock();
  const ticks = new SharedTicks(clock);
  const calls: string[] = [];
  const held = Array.from({ length: 100 }, (_, at) => ticks.every(1000, () => calls.push(`${at}`)));
  ticks.every(300, () => calls.push("other"));
  assert.equal(clock.everyCount, 2);
  await clock.advance(1000);
  assert.equal(calls.filter((call) => call !== "other").length, 100);
  assert.equal(calls.filter((call) => call === "other").length, 3);
  for (const one of held) one[Symbol.dispose]();
  calls.length = 0;
  await clock.advance(1000);
  assert.ok(calls.every((call) => call === "other"));
  assert.ok(clock.nextMs! <= 300, "the timer of the hundred is gone");
});

test("SharedTicks.every() calls nobody who was disposed of meanwhile, and the others once more", async () => {
  const clock = new StoppedClock();
  const ticks = new SharedTicks(clock);
  const calls: string[] = [];
  const act = () => calls.push("same");
  const first = ticks.every(10, act);
  ticks.every(10, () => {
    second[Symbol.dispose]();
    second[Symbol.dispose]();
  });
  const second = ticks.every(10, act);
  await clock.advance(20);
  assert.deepEqual(calls, ["same", "same"]);
  first[Symbol.dispose]();
  await clock.advance(20);
  assert.equal(calls.length, 2);
});

test("SharedTicks.every() calls many in parts, so that events have their turn in between", async () => {
  const clock = new StoppedClock();
  const ticks = new SharedTicks(clock);
  let turn = 0;
  const turnOf = new Map<number, number>();
  const held = Array.from({ length: 1000 }, (_, at) =>
    ticks.every(1000, () => {
      assert.ok(!turnOf.has(at), "called once");
      turnOf.set(at, turn);
      // Calls off the last one, whose turn has not come.
      if (at === 500) held[999]![Symbol.dispose]();
    }));
  await clock.advance(1000);
  for (; turnOf.size < 999 && turn < 50; turn++) await yieldToEvents();
  assert.equal(turnOf.size, 999);
  assert.ok(turn >= 5, `in ${turn} parts`);
  assert.deepEqual([...turnOf.keys()], Array.from({ length: 999 }, (_, at) => at));
});
