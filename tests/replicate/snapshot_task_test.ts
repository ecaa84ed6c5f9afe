/** A first snapshot whose generation ends before it is stored. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../doubles/until.ts";
import { Bench } from "./bench_of_one.ts";

/** A task that never lets anything else run would otherwise hang the test too. */
const MOST_TRIES = 500;

test("SnapshotTask of a generation that has ended lets everything else go on until its replica has found that out", async () => {
  await using bench = new Bench();
  bench.insert();
  bench.store.rules = [{ method: "put", key: /snapshot/, times: Infinity }];
  await bench.run();
  await until(() => bench.loop.lastError === "made to fail", "the snapshot to fail");
  const { database } = bench;
  const openSnapshot = database.openSnapshot.bind(database);
  let tries = 0;
  database.openSnapshot = () => {
    if (++tries > MOST_TRIES) throw new Error("tried all the time");
    return openSnapshot();
  };
  // The store takes its time to say what it has of the new generation.
  const gate = Promise.withResolvers<void>();
  bench.store.rules.push({ method: "list", gate: gate.promise, times: Infinity });
  try {
    await database.restartGeneration(bench.generation, "made to begin anew");
    // Longer than the longest pause after a failure.
    await delay(500);
    assert.ok(tries < 50, `tried ${tries} times`);
  } finally {
    bench.store.mend();
    gate.resolve();
  }
  await bench.current();
  assert.equal((await bench.replica.direct.snapshots(bench.generation)).length, 1);
  await bench.assertRestores();
});

test("SnapshotTask collects what taking up databases needed, at each sixteenth, on Bun", async () => {
  const bun = (globalThis as { Bun?: { gc: (isSync: boolean) => unknown } }).Bun;
  const { gc } = bun ?? {};
  let collectedCount = 0;
  if (bun !== undefined) {
    bun.gc = (isSync) => {
      collectedCount++;
      return gc!(isSync);
    };
  }
  try {
    await using bench = new Bench();
    bench.insert();
    await bench.run();
    await bench.current();
    for (let count = 1; count < 16; count++) {
      await bench.database.restartGeneration(bench.generation, "made to begin anew");
      await bench.current();
    }
  } finally {
    if (bun !== undefined) bun.gc = gc!;
  }
  assert.equal(collectedCount, bun === undefined ? 0 : 1);
});
