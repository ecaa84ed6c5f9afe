import assert from "node:assert/strict";
import { readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Semaphore } from "../../src/async.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";
import { until } from "../doubles/until.ts";
import { Bench } from "./bench_of_one.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const NO_RETENTION = { retentionMs: 0 };
/** Checkpoints only when a test asks for one. */
const limits = { minPages: 1e9, maxPages: 0, intervalMs: 0 };

/** A bench with a snapshot that is so many minutes old, started again. */
async function startedAgain(bench: Bench, ageMinutes: number): Promise<StoppedClock> {
  bench.insert();
  await bench.run();
  await bench.current();
  // What is not in the database file yet keeps the WAL, and the generation, while nobody looks.
  bench.insert();
  await bench.current();
  const { generation } = bench;
  await bench.stop();
  const at = new Date(Date.now() - ageMinutes * MINUTE_MS);
  const [snapshot] = await bench.replica.direct.snapshots(generation);
  utimesSync(join(bench.replica.path, snapshot!.key), at, at);
  const clock = new StoppedClock();
  bench.insert();
  await bench.run({ duties: { clock, snapshotIntervalMs: HOUR_MS, retention: NO_RETENTION } });
  await bench.current();
  assert.equal(bench.generation, generation);
  return clock;
}

const isSnapshot = /snapshots\/.*\.lz4$/;
const taken = (bench: Bench) => bench.store.of("put", isSnapshot).length - 1;

test("Snapshotter counts from the last snapshot: 50 minutes old of an hour, the next is 10 minutes away (case 92)", async () => {
  await using bench = new Bench({ limits });
  const clock = await startedAgain(bench, 50);
  await until(() => clock.nextMs !== undefined, "the wait");
  assert.ok(Math.abs(clock.nextMs! - 10 * MINUTE_MS) < MINUTE_MS, `${clock.nextMs}`);
  const [adjusted] = bench.logs.records.filter(({ message }) => message === "snapshot interval adjusted");
  const previous = Date.parse(String(adjusted!.fields["previous"]));
  assert.equal(Date.parse(String(adjusted!.fields["next"])) - previous, HOUR_MS);
  await clock.advance(9 * MINUTE_MS);
  assert.equal(taken(bench), 0);
  await clock.advance(2 * MINUTE_MS);
  await until(() => taken(bench) === 1, "the snapshot");
  await until(() => clock.nextMs !== undefined && bench.logged("snapshot written") === 2, "the next wait");
  // From then on each hour.
  assert.ok(clock.nextMs! > 45 * MINUTE_MS && clock.nextMs! < 62 * MINUTE_MS, `${clock.nextMs}`);
  await bench.assertRestores();
});

test("Snapshotter takes one at once when the last is older than the interval (case 92)", async () => {
  await using bench = new Bench({ limits });
  const clock = await startedAgain(bench, 90);
  await until(() => clock.nextMs === 0, "the wait");
  await clock.advance(0);
  await until(() => taken(bench) === 1, "the snapshot");
  await bench.assertRestores();
});

test("Snapshotter waits no longer than its interval where the clock was set back since the last one", async () => {
  await using bench = new Bench({ limits });
  const clock = await startedAgain(bench, -1000 * 60);
  await until(() => clock.nextMs !== undefined, "the wait");
  const [adjusted] = bench.logs.records.filter(({ message }) => message === "snapshot interval adjusted");
  const toldMs = Date.parse(String(adjusted!.fields["next"])) - clock.now();
  assert.deepEqual([clock.nextMs, toldMs], [HOUR_MS, HOUR_MS]);
  bench.store.rules.push({ method: "put", key: isSnapshot });
  await clock.advance(HOUR_MS);
  await until(() => bench.logged("snapshotter error") === 1 && clock.nextMs !== undefined, "the error");
  // A try that failed is repeated soon.
  await clock.advance(MINUTE_MS);
  await until(() => clock.nextMs === 0, "the next try");
  await clock.advance(0);
  await until(() => taken(bench) === 2 && bench.logged("snapshot written") === 2, "the snapshot");
  await bench.assertRestores();
});

test("Snapshotter takes none while nothing changes, and one as soon as something does", async () => {
  const clock = new StoppedClock();
  await using bench = new Bench({ limits });
  bench.insert();
  await bench.run({
    clock: systemClock,
    duties: { clock, snapshotIntervalMs: HOUR_MS, retention: NO_RETENTION },
  });
  await bench.current();
  await until(() => clock.nextMs !== undefined, "the wait");
  const calls = bench.store.calls.length;
  await clock.advance(5 * HOUR_MS);
  await bench.database.settle();
  assert.equal(bench.store.calls.length, calls);
  bench.insert();
  await bench.current();
  await until(() => taken(bench) === 1, "the snapshot");
  await bench.assertRestores();
});

test("Snapshotter without an interval takes none", async () => {
  const clock = new StoppedClock();
  await using bench = new Bench({ limits });
  await bench.run({ duties: { clock, retention: NO_RETENTION } });
  await bench.current();
  assert.equal(clock.nextMs, undefined);
});

test("Snapshotter tries again after a failure, and says so", async () => {
  const clock = new StoppedClock();
  await using bench = new Bench({ limits });
  await bench.run({ duties: { clock, snapshotIntervalMs: HOUR_MS, retention: NO_RETENTION } });
  await bench.current();
  await until(() => clock.nextMs !== undefined, "the wait");
  bench.insert();
  await bench.current();
  bench.store.rules.push({ method: "put", key: isSnapshot });
  await clock.advance(HOUR_MS + MINUTE_MS);
  await until(() => bench.logged("snapshotter error") === 1 && clock.nextMs !== undefined, "the error");
  await clock.advance(MINUTE_MS);
  await until(() => bench.logged("snapshot written") === 2, "the snapshot");
  await bench.assertRestores();
});

test("takeSnapshot() stages on the local disk and lets the WAL go while a slow store takes it (11.24)", async () => {
  await using bench = new Bench({ limits });
  bench.insert();
  await bench.run({ stagePath: bench.folder });
  await bench.current();
  bench.insert();
  await bench.current();
  const gate = Promise.withResolvers<void>();
  bench.store.rules.push({ method: "put", key: isSnapshot, gate: gate.promise });
  const snapshot = bench.loop.snapshot({ signal: new AbortController().signal });
  await until(() => bench.store.of("put", isSnapshot).length === 2, "the upload");
  const { index } = bench.database.position!;
  // Two restarts: a reader that stood for the snapshot would allow one at most.
  await bench.restartWal((now) => now >= index + 2);
  gate.resolve();
  assert.equal((await snapshot)!.position.index, index);
  assert.deepEqual(readdirSync(bench.folder).filter((name) => name.endsWith(".tmp")), []);
  await bench.assertRestores();
});

test("takeSnapshot() twice at once for one replica stores each under its own name", async () => {
  await using bench = new Bench({ limits });
  bench.insert();
  await bench.run({ stagePath: bench.folder, snapshots: new Semaphore(2) });
  await bench.current();
  const staged = () => readdirSync(bench.folder).filter((name) => name.endsWith(".tmp")).length;
  const gate = Promise.withResolvers<void>();
  bench.store.rules.push({ method: "put", key: /wal\/.*\.lz4$/, gate: gate.promise });
  const { signal } = new AbortController();
  const positions = [];
  const snapshots = [];
  // Both wait for the WAL that they need.
  for (const count of [1, 2]) {
    const { index } = bench.database.position!;
    await bench.restartWal((now) => now > index, []);
    positions.push(bench.database.position!.index);
    snapshots.push(bench.loop.snapshot({ signal }));
    await until(() => staged() === count, `${count} staged snapshots`);
  }
  gate.resolve();
  const stored = await Promise.all(snapshots);
  assert.deepEqual(stored.map((snapshot) => snapshot!.position.index), positions);
  assert.equal(staged(), 0);
  for (const { index, note } of await bench.replica.snapshots(bench.generation)) {
    assert.equal(note!.index, index);
  }
  await bench.assertRestores();
});

test("takeSnapshot() without staging holds the WAL while the store takes it", async () => {
  await using bench = new Bench({ limits });
  bench.insert();
  await bench.run();
  await bench.current();
  bench.insert();
  await bench.current();
  const gate = Promise.withResolvers<void>();
  bench.store.rules.push({ method: "put", key: isSnapshot, gate: gate.promise });
  const snapshot = bench.loop.snapshot({ signal: new AbortController().signal });
  await until(() => bench.store.of("put", isSnapshot).length === 2, "the upload");
  const { index } = bench.database.position!;
  for (let round = 0; round < 10; round++) {
    bench.application!.exec("PRAGMA wal_checkpoint(PASSIVE)");
    bench.insert();
    await bench.current();
  }
  assert.ok(bench.database.position!.index <= index + 1);
  gate.resolve();
  assert.equal((await snapshot)!.position.index, index);
  await bench.assertRestores();
});
