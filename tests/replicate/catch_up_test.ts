/** What a replica does once its store is back. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { until } from "../doubles/until.ts";
import { Bench } from "./bench_of_one.ts";

/** Longer than any wait of these tests. */
const SYNC_INTERVAL_MS = 40_000;

/** No pause of these tests ends by itself. */
const LONGEST_PAUSE_MS = 600_000;

/** Have a replica that stores no segment, and something to store. */
async function goAway(bench: Bench): Promise<void> {
  await bench.run();
  await bench.current();
  await bench.stop();
  bench.store.rules = [{ method: "put", key: /\/wal\//, times: Infinity }];
  // Not before: the rest after the first upload would be as long.
  await bench.run({ syncIntervalMs: SYNC_INTERVAL_MS });
  bench.insert();
  await until(() => bench.loop.lastError !== "", "the outage");
}

const storedSegments = (bench: Bench) =>
  bench.store.of("put", /\/wal\//).filter(({ endedAt, failed }) => endedAt !== undefined && !failed).length;

test("ReplicaLoop: a round that ends an outage counts as one upload, from its start", async () => {
  const rests: number[] = [];
  const after: Clock["after"] = (ms, act) => {
    if (ms > SYNC_INTERVAL_MS / 2 && ms <= 2 * SYNC_INTERVAL_MS) rests.push(ms);
    return systemClock.after(ms, act);
  };
  await using bench = new Bench({ clock: { ...systemClock, after } });
  await goAway(bench);
  const before = storedSegments(bench);
  await bench.restartWal((index) => index === 3, []);
  bench.store.mend();
  await bench.current();
  assert.ok(storedSegments(bench) - before >= 3);
  await until(() => rests.length > 0, "the rest before what comes after");
  assert.deepEqual(rests.filter((ms) => ms > SYNC_INTERVAL_MS), []);
  await bench.assertRestores();
});

test("ReplicaLoop: what comes while a store answers slowly where it stands is caught up with in the same round", async () => {
  await using bench = new Bench();
  await goAway(bench);
  const gate = Promise.withResolvers<void>();
  bench.store.rules = [{ method: "list", times: Infinity, gate: gate.promise }];
  const asked = bench.store.of("list").length;
  await until(() => bench.store.of("list").length > asked, "the listing");
  await bench.restartWal((index) => index === 2, []);
  gate.resolve();
  // Another round would come after the sync interval only.
  await bench.current();
  await bench.assertRestores();
});

test("ReplicaLoop: a pause ends as soon as something answers where nothing did, and no other pause does", async () => {
  for (const isAway of [true, false]) {
    await using bench = new Bench();
    const answering = Promise.withResolvers<void>();
    const signals: AbortSignal[] = [];
    bench.store.answering = ({ signal }) => {
      signals.push(signal);
      return answering.promise;
    };
    await bench.run();
    await bench.current();
    await bench.stop();
    bench.store.rules = [{ method: "put", key: /\/wal\//, times: Infinity, isAway }];
    const backoff = { firstMs: LONGEST_PAUSE_MS, longestMs: LONGEST_PAUSE_MS, awayMs: LONGEST_PAUSE_MS };
    await bench.run({ backoff });
    bench.insert();
    await until(() => bench.loop.lastError !== "", "the outage");
    bench.store.mend();
    if (isAway) {
      await until(() => signals.length > 0, "the wait");
      answering.resolve();
      await bench.current();
      assert.ok(signals.every(({ aborted }) => aborted), "nobody waits any more");
      await bench.assertRestores();
    } else assert.equal(signals.length, 0);
  }
});
