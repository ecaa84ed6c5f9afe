import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { Mutex, Semaphore, sleep } from "../../src/async.ts";
import { buildReplica } from "../builders/replica_builder.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";
import { until } from "../doubles/until.ts";
import { AgedBench, HOUR_MS, LIMITS as limits, NEVER } from "./aged_bench.ts";
import { Bench } from "./bench_of_one.ts";

test("Retainer removes what is behind the newest snapshot past the cut-off, and logs what it deleted (case 88, 11.13, 11.28)", async () => {
  await using bench = new AgedBench();
  await bench.history(60, 50, 30, 1);
  const [first, second, third, fourth] = await bench.snapshotIndexes();
  await bench.retainer.check(NEVER);
  assert.deepEqual(await bench.snapshotIndexes(), [third, fourth]);
  const segments = await bench.replica.direct.segments(bench.generation);
  assert.equal(Math.min(...segments.map(({ index }) => index)), third);
  const deleted = bench.logs.records.filter(({ message }) => message === "snapshot deleted");
  assert.deepEqual(deleted.map(({ fields }) => fields["index"]), [first, second]);
  const [wal] = bench.logs.records.filter(({ message }) => message === "wal segmented deleted before");
  assert.equal(wal?.fields["index"], third);
  assert.deepEqual(await bench.rowsAgo(24), ["at 50", "at 30"]);
  assert.deepEqual(await bench.rowsAgo(0), ["at 50", "at 30", "at 1"]);
  await bench.assertRestores();
});

test("Retainer takes a snapshot when all are past the cut-off, and removes the old one when that has aged (case 89)", async () => {
  await using bench = new AgedBench();
  await bench.history(30);
  bench.insert("new");
  await bench.current();
  const before = await bench.snapshotIndexes();
  const { index } = bench.database.position!;
  await bench.restartWal((now) => now > index);
  await bench.retainer.check(NEVER);
  const both = await bench.snapshotIndexes();
  assert.equal(both.length, 2);
  assert.equal(both[0], before[0]);
  // The replica is looked at again once the new one is past the cut-off, and not before.
  bench.clock.offsetMs = 23 * HOUR_MS;
  const calls = bench.store.calls.length;
  await bench.retainer.check(NEVER);
  assert.equal(bench.store.calls.length, calls);
  bench.clock.offsetMs = 25 * HOUR_MS;
  await bench.retainer.check(NEVER);
  assert.deepEqual(await bench.snapshotIndexes(), [both[1]]);
  await bench.assertRestores();
});

test("Retainer takes no snapshot that would take the place of the one of its index, and its moments", async () => {
  await using bench = new AgedBench();
  bench.insert();
  // Whoever reads for long keeps the WAL from being restarted.
  using reader = new DatabaseSync(bench.path);
  reader.exec("BEGIN; SELECT * FROM t");
  await bench.history(60);
  await bench.ago(40, () => {
    bench.insert("then");
    return Promise.resolve();
  });
  bench.insert("now");
  await bench.current();
  const puts = bench.store.of("put", /snapshots/).length;
  await bench.retainer.check(NEVER);
  assert.equal(bench.store.of("put", /snapshots/).length, puts);
  assert.deepEqual(await bench.rowsAgo(24), ["then"]);
  assert.deepEqual(await bench.rowsAgo(0), ["then", "now"]);
});

test("Retainer goes on taking snapshots after a clock was far ahead", async () => {
  await using bench = new AgedBench();
  await bench.history(30);
  bench.clock.offsetMs = 10 * 365 * 24 * HOUR_MS;
  bench.insert("in ten years");
  await bench.current();
  for (const day of [0, 1, 2]) {
    bench.clock.offsetMs = day * 25 * HOUR_MS;
    const { index } = bench.database.position!;
    await bench.restartWal((now) => now > index);
    await bench.retainer.check(NEVER);
    assert.equal((await bench.snapshotIndexes()).length, day + 2);
  }
  await bench.assertRestores();
});

test("Retainer lists no more replicas at once than it may, but for a snapshot that it takes", async () => {
  await using bench = new AgedBench();
  await bench.history(30);
  const { index } = bench.database.position!;
  await bench.restartWal((now) => now > index);
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  bench.store.rules.push({ method: "put", key: /snapshots/, gate });
  const listings = new Semaphore(1);
  const held = await listings.acquire();
  const before = bench.store.calls.length;
  const checked = bench.retainerWith(new Mutex(), listings).check(NEVER);
  await sleep(20);
  assert.equal(bench.store.calls.length, before);
  held[Symbol.dispose]();
  await until(() => bench.store.of("put", /snapshots/).length > 1, "the snapshot that is due");
  (await listings.acquire())[Symbol.dispose]();
  open();
  await checked;
  assert.equal((await bench.snapshotIndexes()).length, 2);
});

test("Retainer costs an idle database nothing: no snapshot, and no request once all has been seen", async () => {
  await using bench = new AgedBench();
  await bench.history(30);
  const puts = bench.store.of("put").length;
  await bench.retainer.check(NEVER);
  assert.equal(bench.store.of("put").length, puts);
  assert.equal(bench.store.of("delete").length, 0);
  const calls = bench.store.calls.length;
  for (let day = 1; day < 5; day++) {
    bench.clock.offsetMs = day * 24 * HOUR_MS;
    await bench.retainer.check(NEVER);
  }
  assert.equal(bench.store.calls.length, calls);
  bench.clock.offsetMs = 0;
  assert.deepEqual(await bench.rowsAgo(24), []);
});

test("Retainer deletes an old generation that no moment needs, the current one never (case 90)", async () => {
  await using bench = new AgedBench();
  await bench.history(60);
  const old = bench.generation;
  await bench.stop();
  bench.forgetGeneration();
  await bench.ago(30, async () => {
    await bench.begin();
    bench.insert("in the new one");
  });
  const current = bench.generation;
  assert.notEqual(current, old);
  assert.equal((await bench.replica.direct.generations()).length, 2);
  await bench.retainer.check(NEVER);
  assert.deepEqual(await bench.replica.direct.generations(), [current]);
  assert.equal(bench.logged("generation deleted"), 1);
  await bench.assertRestores();
});

test("Retainer keeps an old generation while a moment within retention needs it (case 90, 11.13)", async () => {
  await using bench = new AgedBench();
  await bench.history(60);
  await bench.ago(55, async () => {
    bench.insert("in the old one");
    await bench.current();
  });
  await bench.stop();
  bench.forgetGeneration();
  await bench.ago(10, () => bench.begin());
  await bench.retainer.check(NEVER);
  assert.ok(bench.store.of("listFolders").length > 0);
  assert.equal((await bench.replica.direct.generations()).length, 2);
  assert.equal(bench.store.of("delete").length, 0);
  assert.deepEqual(await bench.rowsAgo(20), ["in the old one"]);
});

test("Retainer leaves a generation alone that somebody else writes at the same time, and warns once (11.14)", async () => {
  await using bench = new AgedBench();
  await bench.history(60, 50);
  await using other = new Bench({ limits });
  await other.run();
  await other.current();
  const [key] = (await other.replica.direct.snapshots(other.generation)).map(({ key }) => key);
  await bench.replica.files.put(key!, await other.replica.files.get(key!));
  bench.insert();
  await bench.current();
  await bench.retainer.check(NEVER);
  bench.insert();
  await bench.current();
  await bench.retainer.check(NEVER);
  assert.ok((await bench.replica.direct.generations()).includes(other.generation));
  const warnings = bench.logs.records.filter(({ level, message }) =>
    level === "warn" && message.startsWith("another machine")
  );
  assert.deepEqual(warnings.map(({ fields }) => fields["generation"]), [other.generation]);
});

test("Retainer takes no generation of before a copy of the replica for one that somebody else writes", async () => {
  await using bench = new AgedBench();
  await bench.history(60, 50);
  const { generation } = bench;
  await bench.stop();
  mkdirSync(join(bench.folder, "old"));
  const old = await buildReplica({ folder: join(bench.folder, "old"), withNotes: false, indexCount: 1 });
  const generations = join(bench.replica.path, "generations");
  cpSync(join(old.root, "generations", old.generation), join(generations, old.generation), {
    recursive: true,
  });
  // As a copy of a minute ago leaves them.
  const at = new Date(Date.now() - 60_000);
  for (const entry of readdirSync(generations, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) utimesSync(join(entry.parentPath, entry.name), at, at);
  }
  await bench.begin();
  bench.insert();
  await bench.current();
  assert.equal(bench.generation, generation);
  await bench.retainer.check(NEVER);
  assert.ok((await bench.replica.direct.generations()).includes(old.generation));
  const warnings = bench.logs.records.filter(({ level }) => level === "warn");
  assert.deepEqual(warnings.map(({ message }) => message), []);
});

test("Retainer leaves a generation alone that begins while it waits for its turn, or for its snapshot", async () => {
  for (const waitsFor of ["turn", "snapshot"] as const) {
    await using bench = new AgedBench();
    await bench.history(30);
    bench.insert();
    await bench.current();
    const old = bench.generation;
    const due = Promise.withResolvers<void>();
    const first = Promise.withResolvers<void>();
    bench.store.rules.push({ method: "put", key: new RegExp(`${old}/snapshots`), gate: due.promise });
    bench.store.rules.push({ method: "put", key: /snapshots/, times: Infinity, gate: first.promise });
    const turn = new Mutex();
    const held = await turn.acquire();
    const checked = bench.retainerWith(turn).check(NEVER);
    if (waitsFor === "snapshot") {
      held[Symbol.dispose]();
      await until(() => bench.store.of("put", /snapshots/).length > 1, "the snapshot that is due");
    }
    await bench.database.restartGeneration(old, "the test wants it");
    bench.insert();
    await until(() => bench.store.of("put", new RegExp(`${bench.generation}/wal`)).length > 0, "its WAL");
    held[Symbol.dispose]();
    due.resolve();
    await checked;
    assert.deepEqual(bench.store.of("delete"), [], waitsFor);
    first.resolve();
    await bench.current();
    await bench.assertRestores();
  }
});

test("Retainer leaves WAL alone whose first snapshot somebody else is still sending", async () => {
  await using bench = new AgedBench();
  await bench.history(60, 50);
  await using other = new Bench({ limits });
  await other.run();
  other.insert();
  await other.current();
  const [segment] = await other.replica.direct.segments(other.generation);
  await bench.replica.files.put(segment!.key, await other.replica.files.get(segment!.key));
  bench.insert();
  await bench.current();
  await bench.retainer.check(NEVER);
  assert.ok((await bench.replica.direct.generations()).includes(other.generation));
  // A day later nobody sends it any more.
  bench.clock.offsetMs = 25 * HOUR_MS;
  await bench.retainer.check(NEVER);
  assert.deepEqual(await bench.replica.direct.generations(), [bench.generation]);
});

test("Retainer broken off in the middle leaves a replica that restores, and finishes the next time", async () => {
  for (const nth of [1, 2, 3]) {
    await using bench = new AgedBench();
    await bench.history(60, 50, 30, 1);
    bench.store.rules.push({ method: "delete", nth, times: Infinity });
    await assert.rejects(bench.retainer.check(NEVER), /delete (snapshots|wal segments) before index/);
    assert.deepEqual(await bench.rowsAgo(24), ["at 50", "at 30"]);
    assert.deepEqual(await bench.rowsAgo(0), ["at 50", "at 30", "at 1"]);
    bench.store.mend();
    await bench.retainer.check(NEVER);
    const indexes = await bench.snapshotIndexes();
    assert.equal(indexes.length, 2);
    const segments = await bench.replica.direct.segments(bench.generation);
    assert.equal(Math.min(...segments.map(({ index }) => index)), indexes[0]);
    await bench.assertRestores();
  }
});

test("Retainer has a snapshot stored where a rule of the bucket has taken the only one", async () => {
  await using bench = new AgedBench();
  await bench.history(30);
  const [snapshot] = await bench.replica.direct.snapshots(bench.generation);
  await bench.replica.files.delete([snapshot!.key]);
  bench.insert();
  await bench.current();
  await bench.retainer.check(NEVER);
  await bench.current();
  assert.equal((await bench.snapshotIndexes()).length, 1);
  const lost = bench.logs.records.filter(({ message }) => message.startsWith("the replica has lost"));
  assert.deepEqual(lost.map(({ level }) => level), ["error"]);
  await bench.assertRestores();
});

test("Retainer deletes nothing when what would be left does not restore", async () => {
  await using bench = new AgedBench();
  await bench.history(60, 50, 30, 1);
  const before = await bench.snapshotIndexes();
  const segments = await bench.replica.direct.segments(bench.generation);
  const needed = segments.find(({ index }) => index === before[2])!;
  await bench.replica.files.delete([needed.key]);
  await bench.retainer.check(NEVER);
  assert.deepEqual(await bench.snapshotIndexes(), before);
  assert.equal(
    bench.logs.records.filter(({ message }) => message.startsWith("retention keeps more")).length,
    1,
  );
});

test("Retainer does nothing and complains of nothing while there is no generation (11.19)", async () => {
  await using bench = new Bench({ isEmpty: true });
  await bench.run();
  await bench.replicator!.duties[0]!.retainer.check(NEVER);
  assert.equal(bench.store.calls.length, 0);
  assert.deepEqual(bench.logs.records.filter(({ level }) => level === "error"), []);
});

test("Retainer with retention 0 never looks; a longer check interval gives way to retention (case 91)", async () => {
  const clock = new StoppedClock();
  await using bench = new Bench({ limits });
  await bench.run({ duties: { clock, retention: { retentionMs: 0, checkIntervalMs: 1000 } } });
  await bench.current();
  assert.equal(clock.nextMs, undefined);
  await bench.stop();
  await bench.run({ duties: { clock, retention: { retentionMs: 5000, checkIntervalMs: HOUR_MS } } });
  await bench.current();
  assert.equal(clock.nextMs, 5000);
  bench.store.calls.length = 0;
  await clock.advance(4999);
  assert.equal(bench.store.calls.length, 0);
  await clock.advance(1);
  await until(() => bench.store.of("listFolders").length === 1, "the first check");
});

test("Retainer logs a failure and goes on at the next interval", async () => {
  const clock = new StoppedClock();
  await using bench = new Bench({ limits });
  await bench.run({ duties: { clock, retention: { retentionMs: 24 * HOUR_MS, checkIntervalMs: HOUR_MS } } });
  await bench.current();
  bench.store.calls.length = 0;
  bench.store.rules.push({ method: "listFolders" });
  await clock.advance(HOUR_MS);
  await until(() => bench.logged("retainer error") === 1, "the error");
  await until(() => clock.nextMs === HOUR_MS, "the next wait");
  await clock.advance(HOUR_MS);
  await until(() => bench.store.of("listFolders").length === 2, "the next check");
});
