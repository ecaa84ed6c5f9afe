import { test } from "node:test";
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { concatBytes } from "../../src/bytes.ts";
import { restore } from "../../src/restore/restore.ts";
import { formatIndex } from "../../src/position.ts";
import { segmentKey } from "../../src/storage/keys.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { OffsetClock, SkippingClock } from "../doubles/moved_clock.ts";
import { until } from "../doubles/until.ts";
import { Bench } from "./bench_of_one.ts";

test("ReplicaLoop begins a generation with one snapshot and the WAL's own bytes (case 46)", async () => {
  await using bench = new Bench();
  bench.insert();
  await bench.run();
  await bench.current();
  bench.insert();
  await bench.current();
  const { generation, index, offset } = bench.database.position!;
  assert.deepEqual(await bench.replica.direct.generations(), [generation]);
  const [snapshot, ...others] = await bench.replica.snapshots(generation);
  assert.equal(others.length, 0);
  assert.equal(snapshot!.index, 0);
  const segments = await bench.wholeSegments(generation);
  assert.equal(segments[0]!.offset, 0);
  const bytes = concatBytes(segments.filter((segment) => segment.index === index).map(({ raw }) => raw));
  assert.deepEqual(bytes, new Uint8Array(readFileSync(`${bench.path}-wal`)).slice(0, offset));
});

test("ReplicaLoop: a WAL that restarts becomes the next index, byte for byte, with the end of the one before (case 46)", async () => {
  await using bench = new Bench();
  bench.insert();
  await bench.run();
  await bench.current();
  const before = bench.database.position!;
  await bench.restartWal((index) => index > before.index);
  const { generation, index, offset } = bench.database.position!;
  assert.equal(index, before.index + 1);
  const segments = await bench.wholeSegments(generation);
  const newest = segments.filter((segment) => segment.index === index);
  const wal = new Uint8Array(readFileSync(`${bench.path}-wal`)).slice(0, offset);
  assert.deepEqual(concatBytes(newest.map(({ raw }) => raw)), wal);
  const old = segments.filter((segment) => segment.index === before.index).at(-1)!;
  assert.equal(newest[0]!.note!.previousEnd!.length, old.offset + old.raw.length);
  assert.equal(newest[0]!.note!.previousEnd!.index, before.index);
  await bench.assertRestores();
});

test("ReplicaLoop.snapshot() labels each snapshot with the index of its time, and there are no others (case 49)", async () => {
  await using bench = new Bench();
  bench.insert();
  await bench.run();
  await bench.current();
  const { generation, index } = bench.database.position!;
  const indexes = [index];
  for (let round = 0; round < 2; round++) {
    await bench.restartWal((now) => now > indexes.at(-1)!);
    const taken = await bench.loop.snapshot({ signal: new AbortController().signal });
    indexes.push(taken!.position.index);
  }
  const listed = await bench.replica.direct.snapshots(generation);
  assert.deepEqual(listed.map((snapshot) => snapshot.index), indexes);
  assert.equal(new Set(indexes).size, 3);
  await bench.assertRestores();
});

test("ReplicaLoop waits without a request or an error while there is no database (case 47)", async () => {
  await using bench = new Bench({ isEmpty: true });
  await bench.run();
  await bench.database.settle();
  assert.equal(bench.store.calls.length, 0);
  assert.equal(bench.loop.isCurrent, false);
  assert.deepEqual(bench.logs.records.filter(({ level }) => level === "error"), []);
  assert.equal(bench.logged("waiting for the database"), 1);
  bench.openApplication();
  bench.insert();
  await until(() => bench.loop.isCurrent, "the database to be replicated");
  await bench.assertRestores();
});

test("ReplicaLoop goes on where the last segment ends, and stores nothing twice (case 48)", async () => {
  await using bench = new Bench();
  bench.insert();
  await bench.run();
  await bench.current();
  const { generation } = bench;
  const end = bench.loop.position;
  await bench.stop();
  const segments = await bench.wholeSegments(generation);
  bench.store.calls.length = 0;
  await bench.run();
  await bench.current();
  assert.equal(bench.generation, generation);
  assert.deepEqual(bench.loop.position, end);
  assert.equal(bench.store.of("put").length, 0);
  assert.equal(bench.store.of("get").length, 1);
  bench.insert();
  await bench.current();
  assert.equal((await bench.wholeSegments(generation)).length, segments.length + 1);
  await bench.assertRestores();
});

test("ReplicaLoop lists once at the start of a generation and never again (case 55)", async () => {
  await using bench = new Bench();
  await bench.run();
  await bench.current();
  for (let round = 0; round < 5; round++) {
    bench.insert();
    await bench.current();
  }
  assert.ok(bench.store.of("put").length >= 6);
  assert.equal(bench.store.of("list").length, 1);
  // Whether there is a generation to go on with, as the meta directory knows of none; and what times others have.
  assert.equal(bench.store.of("listFolders").length, 2);
  assert.equal(bench.store.of("get").length, 0);
});

/** A bench with a generation of hours ahead, and one of now after it, which is being replicated. */
async function afterTheFuture(): Promise<Bench> {
  const clock = new OffsetClock();
  const bench = new Bench({ clock });
  clock.offsetMs = 3 * 3_600_000;
  await bench.run();
  bench.insert("from the future");
  await bench.current();
  await bench.stop();
  clock.offsetMs = 0;
  rmSync(join(bench.folder, ".app.db-litestream"), { recursive: true });
  // Nor can the live WAL prove that the generation could go on.
  bench.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  await bench.run();
  bench.insert("of now");
  await bench.current();
  return bench;
}

test("ReplicaLoop: after a clock that was hours ahead the newest commit is still what a restore takes", async () => {
  await using bench = await afterTheFuture();
  assert.equal(
    bench.logged("the replica has commits from the future, ours will count as later: check the clock"),
    1,
  );
  assert.equal((await bench.replica.direct.generations()).length, 2);
  await bench.assertRestores();
});

test("ReplicaLoop: a generation that another program began after a clock was ahead is what a restore takes", async () => {
  await using bench = await afterTheFuture();
  const { generation } = bench;
  await bench.stop();
  // What Litestream stores has no notes.
  const { direct, files } = bench.replica;
  const stored = [...await direct.snapshots(generation), ...await direct.segments(generation)];
  for (const { key } of stored) {
    await files.put(key, encodeObjectBytes((await bench.replica.object(key)).raw));
  }
  await bench.run();
  bench.insert("later still");
  await bench.current();
  assert.equal((await direct.generations()).length, 2);
  await bench.assertRestores();
});

test("ReplicaLoop: a generation with which another program went on after a clock was ahead is what a restore takes", async () => {
  const clock = new OffsetClock();
  await using bench = new Bench({ clock });
  clock.offsetMs = 3 * 3_600_000;
  await bench.run();
  bench.insert("from the future");
  await bench.current();
  await bench.stop();
  clock.offsetMs = 0;
  rmSync(join(bench.folder, ".app.db-litestream"), { recursive: true });
  bench.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  await bench.run();
  for (const body of ["one", "two", "three"]) {
    bench.insert(body);
    await bench.current();
  }
  const { generation } = bench;
  await bench.stop();
  // Litestream takes its first snapshot in the index where we took ours, and what it stores has no notes.
  const { direct, files } = bench.replica;
  const stored = [...await direct.snapshots(generation), ...(await direct.segments(generation)).slice(-1)];
  for (const { key } of stored) {
    await files.put(key, encodeObjectBytes((await bench.replica.object(key)).raw));
  }
  const outputPath = join(bench.folder, "between.db");
  await restore({ clients: [direct], outputPath });
  using restored = new DatabaseSync(outputPath);
  const { body } = restored.prepare("SELECT body FROM t ORDER BY id DESC LIMIT 1").get()!;
  assert.equal(body, "three");
  await bench.run();
  bench.insert("later still");
  await bench.current();
  await bench.assertRestores();
});

test("ReplicaLoop makes no request while nothing changes (case 55)", async () => {
  await using bench = new Bench();
  await bench.run();
  await bench.current();
  const count = bench.store.calls.length;
  for (let turn = 0; turn < 20; turn++) await bench.database.settle();
  // Another connection's transaction that changes nothing.
  bench.application!.exec("BEGIN IMMEDIATE; ROLLBACK");
  await bench.current();
  assert.equal(bench.store.calls.length, count);
});

test("ReplicaLoop sends the first change at once, then once an interval", async () => {
  const syncIntervalMs = 400;
  // Each restart of the WAL makes a segment of its own: none here.
  const limits = { minPages: 1e9, maxPages: 0, intervalMs: 0 };
  await using bench = new Bench({ syncIntervalMs, limits });
  bench.insert();
  await bench.run();
  await bench.current();
  bench.insert();
  await bench.current();
  const startedAt = performance.now();
  // Longer than an interval after the last upload: a quiet time.
  await until(() => performance.now() - startedAt > syncIntervalMs + 50, "the quiet time");
  bench.store.calls.length = 0;
  const committedAt = performance.now();
  bench.insert();
  await until(() => bench.store.of("put").length > 0, "the first upload");
  const firstDelay = bench.store.of("put")[0]!.begunAt - committedAt;
  assert.ok(firstDelay < syncIntervalMs / 2, `the first change was sent after ${firstDelay} ms`);
  // A writer that never rests, for some intervals.
  while (performance.now() - committedAt < 4 * syncIntervalMs) {
    bench.insert();
    await delay(1);
  }
  const starts = bench.store.of("put").map(({ begunAt }) => begunAt);
  assert.ok(starts.length >= 3 && starts.length <= 5, `${starts.length} uploads in 4 intervals`);
  for (const [at, start] of starts.entries()) {
    if (at > 0) {
      assert.ok(start - starts[at - 1]! >= syncIntervalMs * 0.8, `${start - starts[at - 1]!} ms apart`);
    }
  }
  await bench.assertRestores();
});

test("ReplicaLoop tries a failed upload again without a change, says so once, and leaves no gap (case 50)", async () => {
  await using bench = new Bench();
  await bench.run();
  await bench.current();
  bench.store.rules.push({ method: "put", times: 4 });
  bench.insert();
  await until(() => bench.store.of("put").filter(({ failed }) => failed).length === 4, "four failures");
  await bench.current();
  assert.equal(bench.logged("monitor error"), 1);
  assert.equal(bench.logged("replica works again"), 1);
  assert.equal(bench.loop.lastError, "");
  await bench.wholeSegments(bench.generation);
  await bench.assertRestores();
});

test("ReplicaLoop pauses longer and longer while a replica is dead, and lives on after", async () => {
  await using bench = new Bench();
  await bench.run({ backoff: { firstMs: 40, longestMs: 10_000, random: () => 0 } });
  await bench.current();
  bench.store.rules.push({ method: "put", times: Infinity }, { method: "list", nth: 1, times: 0 });
  for (let round = 0; round < 50; round++) {
    bench.insert();
    await bench.database.settle();
  }
  await until(() => bench.store.of("put").filter(({ failed }) => failed).length >= 5, "five failures");
  const failures = bench.store.of("put").filter(({ failed }) => failed);
  for (let at = 1; at < 5; at++) {
    const pause = failures[at]!.begunAt - failures[at - 1]!.begunAt;
    assert.ok(pause >= 40 * 2 ** (at - 1) - 5, `pause ${at} was ${pause} ms`);
  }
  assert.equal(bench.logged("monitor error"), 1);
  assert.equal(bench.loop.lastError, "made to fail");
  bench.store.mend();
  await bench.current();
  await bench.assertRestores();
});

test("ReplicaLoop never pauses for more than five seconds, however long a replica fails", async () => {
  const asked: number[] = [];
  const after: Clock["after"] = (ms, act) => {
    // Other timers are those of duties.
    if (ms < 1000 || ms > 60_000) return systemClock.after(ms, act);
    asked.push(ms);
    return systemClock.after(5, act);
  };
  await using bench = new Bench({ clock: { ...systemClock, after } });
  await bench.run({ backoff: { random: () => 0 } });
  await bench.current();
  bench.store.rules.push({ method: "put", times: Infinity });
  asked.length = 0;
  bench.insert();
  await bench.database.settle();
  await until(() => bench.store.of("put").filter(({ failed }) => failed).length >= 8, "eight failures");
  assert.deepEqual(asked.slice(0, 7), [1000, 2000, 4000, 5000, 5000, 5000, 5000]);
});

test("ReplicaLoop: a lost answer of a PUT makes neither a gap nor other bytes under its name", async () => {
  await using bench = new Bench();
  await bench.run();
  await bench.current();
  for (let round = 0; round < 5; round++) {
    bench.store.rules = [{ method: "put", afterwards: true }];
    bench.insert(`row ${round}`);
    await until(() => bench.loop.lastError !== "", "the lost answer");
    // More than was in the upload whose answer is lost.
    bench.insert(`more ${round}`);
    await bench.current();
  }
  const keys = bench.store.of("put").map(({ key }) => key);
  assert.equal(new Set(keys).size, keys.length, "a name was stored to twice");
  await bench.wholeSegments(bench.generation);
  await bench.assertRestores();
});

test("ReplicaLoop: an upload that breaks off in the middle shows nothing under its name (case 51)", async () => {
  await using bench = new Bench();
  await bench.run();
  await bench.current();
  bench.store.rules = [{ method: "put", times: 3, afterBytes: 70_000 }];
  bench.insert("x".repeat(20) + Array.from({ length: 200_000 }, () => Math.random()).join());
  await until(() => bench.store.of("put").some(({ failed }) => failed), "the failure");
  const key = bench.store.of("put").find(({ failed }) => failed)!.key;
  await assert.rejects(bench.replica.files.get(key));
  await bench.current();
  await bench.replica.object(key);
  await bench.assertRestores();
});

test("ReplicaLoop stores the newest segment again when it is truncated (case 52)", async () => {
  await using bench = new Bench();
  await bench.run();
  await bench.current();
  bench.insert();
  await bench.current();
  const { generation } = bench;
  await bench.stop();
  const newest = (await bench.replica.direct.segments(generation)).at(-1)!;
  const path = `${bench.replica.path}/${newest.key}`;
  const whole = readFileSync(path);
  for (const size of [0, 1, whole.length >> 1, whole.length - 1]) {
    await bench.replica.files.put(newest.key, whole.subarray(0, size));
    await bench.run();
    await bench.current();
    assert.equal(bench.generation, generation);
    assert.deepEqual((await bench.replica.object(newest.key)).raw.length > 0, true);
    await bench.stop();
  }
  assert.equal(bench.logged("the newest segment can't be read, it is stored again"), 4);
  await bench.wholeSegments(generation);
  await bench.assertRestores();
});

test("ReplicaLoop: a connection that breaks while the newest segment is read doesn't make it a damaged one", async () => {
  await using bench = new Bench();
  await bench.run();
  await bench.current();
  bench.insert();
  await bench.current();
  await bench.stop();
  bench.store.calls.length = 0;
  bench.store.rules = [{ method: "get", times: 2, afterBytes: 10 }];
  await bench.run();
  await bench.current();
  assert.equal(bench.store.of("get").length, 3);
  assert.equal(bench.store.of("put").length, 0);
  assert.equal(bench.logged("the newest segment can't be read, it is stored again"), 0);
});

test("ReplicaLoop goes on after a segment that holds the header only (case 53)", async () => {
  await using bench = new Bench();
  bench.insert();
  bench.store.rules = [{ method: "put", times: Infinity }];
  await bench.run();
  await until(() => bench.loop.lastError !== "", "the failure");
  const { generation, index } = bench.database.position!;
  await bench.stop(100).catch(() => {});
  bench.store.mend();
  const header = new Uint8Array(readFileSync(`${bench.path}-wal`)).slice(0, 32);
  const key = segmentKey({ generation, index, offset: 0 });
  await bench.replica.files.put(key, encodeObjectBytes(header));
  await bench.run();
  await bench.current();
  assert.equal(bench.generation, generation);
  const segments = await bench.wholeSegments(generation);
  assert.deepEqual(segments.slice(0, 2).map(({ offset }) => offset), [0, 32]);
  await bench.assertRestores();
});

test("ReplicaLoop starts a generation, and says why, when the replica is ahead", async () => {
  await using bench = new Bench();
  bench.insert();
  await bench.run();
  await bench.current();
  const { generation, index, offset } = bench.database.position!;
  await bench.stop();
  const [first] = await bench.replica.segments(generation);
  await bench.replica.files.put(
    segmentKey({ generation, index, offset }),
    encodeObjectBytes(first!.raw.subarray(32)),
  );
  await bench.run();
  await until(() => bench.generation !== generation && bench.loop.isCurrent, "a new generation");
  assert.ok(bench.logs.records.some(({ fields }) => String(fields["reason"]).includes("replica is at")));
  await bench.assertRestores();
});

test("ReplicaLoop starts a generation, and says why, when the replica comes from another history", async () => {
  await using bench = new Bench();
  bench.insert();
  await bench.run();
  await bench.current();
  const { generation } = bench;
  await bench.stop();
  const newest = (await bench.replica.segments(generation)).at(-1)!;
  const other = newest.raw.slice();
  const frame = other.length - (4096 + 24);
  other[frame + 20]! ^= 1;
  await bench.replica.files.put(segmentKey({ ...newest, generation }), encodeObjectBytes(other));
  await bench.run();
  await until(() => bench.generation !== generation && bench.loop.isCurrent, "a new generation");
  assert.ok(bench.logs.records.some(({ fields }) => String(fields["reason"]).includes("another history")));
  await bench.assertRestores();
});

test("ReplicaLoop cuts what is large into segments that end at frames", async () => {
  const segmentBytes = 100_000;
  await using bench = new Bench({ segmentBytes });
  for (let row = 0; row < 30; row++) bench.insert("x".repeat(20_000));
  await bench.run();
  await bench.current();
  const segments = await bench.wholeSegments(bench.generation);
  assert.ok(segments.length > 5);
  for (const { raw, offset } of segments) {
    assert.ok(raw.length <= segmentBytes);
    assert.equal((raw.length - (offset === 0 ? 32 : 0)) % (4096 + 24), 0);
  }
  await bench.assertRestores();
});

/** Overwrite a byte of the newest shadow file, `back` bytes before its end. */
function damageShadow(bench: Bench, back: number): string {
  const { generation, index } = bench.database.position!;
  const path = bench.database.meta.shadowPath(generation, index);
  const bytes = readFileSync(path);
  const at = bytes.length - back;
  const file = openSync(path, "r+");
  writeSync(file, Uint8Array.of(bytes[at]! ^ 0x40), 0, 1, at);
  closeSync(file);
  return path;
}

for (const [what, back] of [["page", 100], ["salt", 4096 + 24 - 9], ["checksum", 4096 + 24 - 20]] as const) {
  test(`ReplicaLoop never shows a segment of a damaged shadow file: a ${what} (case 54)`, async () => {
    await using bench = new Bench();
    await bench.run();
    await bench.current();
    const { generation } = bench;
    const before = await bench.replica.segments(generation);
    bench.store.rules = [{ method: "put", times: Infinity }];
    bench.insert("lost on the way");
    await until(() => bench.loop.lastError !== "", "the failure");
    const path = damageShadow(bench, back);
    bench.store.mend();
    await until(() => bench.generation !== generation && bench.loop.isCurrent, "a new generation");
    assert.deepEqual((await bench.replica.segments(generation)).length, before.length);
    const said = bench.logs.records.find(({ message }) => message.includes("can't go on"));
    assert.ok(String(said!.fields["reason"]).includes(path), String(said!.fields["reason"]));
    assert.match(String(said!.fields["reason"]), what === "salt" ? /salt mismatch/ : /checksum mismatch/);
    await bench.assertRestores();
  });
}

test("ReplicaLoop: a large damaged segment breaks off in the middle of its stream and isn't shown", async () => {
  await using bench = new Bench();
  await bench.run();
  await bench.current();
  const { generation } = bench;
  bench.store.rules = [{ method: "put", times: Infinity }];
  bench.insert(Array.from({ length: 150_000 }, () => Math.random()).join());
  await until(() => bench.loop.lastError !== "", "the failure");
  const key = bench.store.of("put").at(-1)!.key;
  damageShadow(bench, 4096);
  bench.store.mend();
  await until(() => bench.generation !== generation && bench.loop.isCurrent, "a new generation");
  await assert.rejects(bench.replica.files.get(key));
  await bench.assertRestores();
});

test("ReplicaLoop: a snapshot has the WAL that it needs sent without a rest before", async () => {
  await using bench = new Bench({ syncIntervalMs: 3_600_000 });
  await bench.run();
  await bench.current();
  bench.insert();
  await bench.database.settle();
  assert.ok(await bench.loop.snapshot({ signal: AbortSignal.timeout(10_000) }));
  await bench.assertRestores();
});

test("ReplicaLoop: a snapshot is shown only after the WAL that it needs, which goes on meanwhile", async () => {
  await using bench = new Bench();
  for (let row = 0; row < 50; row++) bench.insert("x".repeat(10_000));
  const gate = Promise.withResolvers<void>();
  bench.store.rules = [{ method: "put", key: /snapshot/, gate: gate.promise }];
  await bench.run();
  const isBegun = () => bench.store.of("put", /snapshot/).length > 0;
  await until(isBegun, "the snapshot");
  const { generation } = bench;
  const uploadedBefore = bench.store.of("put", /\/wal\//).filter(({ endedAt }) => endedAt !== undefined);
  for (let round = 0; round < 5; round++) {
    bench.insert(`during ${round}`);
    const end = bench.database.position!;
    await bench.database.settle();
    const target = bench.database.position!;
    assert.notDeepEqual(end, target);
    await until(() => bench.loop.position!.offset === target.offset, "the WAL to be uploaded meanwhile");
    assert.equal(bench.loop.isCurrent, false, "current without a snapshot");
  }
  assert.equal((await bench.replica.direct.snapshots(generation)).length, 0);
  gate.resolve();
  await bench.current();
  const [snapshot] = await bench.replica.snapshots(generation);
  const { note } = snapshot!;
  assert.ok(note?.kind === "snapshot");
  assert.equal(note.pageCount * note.pageSize, snapshot!.raw.length);
  const segments = await bench.wholeSegments(generation);
  const uploaded = segments.filter(({ index }) => index === snapshot!.index).slice(0, uploadedBefore.length);
  const end = uploaded.at(-1)!;
  assert.ok(end.offset + end.raw.length >= note.offset, "the snapshot began before its WAL was uploaded");
  await bench.assertRestores();
});

test("ReplicaLoop tries a failed snapshot again, and says so once", async () => {
  await using bench = new Bench();
  bench.insert();
  bench.store.rules = [{ method: "put", key: /snapshot/, times: 3, afterBytes: 5 }];
  await bench.run();
  await until(() => bench.loop.lastError === "made to fail", "the failure");
  assert.equal(bench.loop.isCurrent, false);
  await bench.current();
  assert.equal(bench.logged("snapshotter error"), 1);
  assert.equal(bench.logged("replica works again"), 1);
  assert.equal((await bench.replica.direct.snapshots(bench.generation)).length, 1);
  await bench.assertRestores();
});

test("ReplicaLoop: a dead replica is one trouble, not one for the WAL and one for the snapshot", async () => {
  await using bench = new Bench();
  bench.insert();
  bench.store.rules = [{ method: "put", times: Infinity }];
  await bench.run();
  await until(() => bench.store.of("put").length >= 4, "some tries");
  assert.equal(bench.logged("monitor error"), 1);
  assert.equal(bench.logged("snapshotter error"), 0);
  assert.equal(bench.store.of("put", /snapshot/).length, 0);
  bench.store.mend();
  await bench.current();
  await bench.assertRestores();
});

test("ReplicaLoop gives up the snapshot of a generation that ended, and takes one of the new", async () => {
  await using bench = new Bench();
  bench.insert();
  const gate = Promise.withResolvers<void>();
  bench.store.rules = [{ method: "put", key: /snapshot/, gate: gate.promise }];
  await bench.run();
  await until(() => bench.store.of("put", /snapshot/).length > 0, "the snapshot");
  const old = bench.generation;
  await bench.database.restartGeneration(old, "a test wants it");
  gate.resolve();
  await until(() => bench.generation !== old && bench.loop.isCurrent, "the new generation");
  assert.equal((await bench.replica.direct.snapshots(bench.generation)).length, 1);
  await bench.assertRestores();
});

test("Replicator: replicas don't wait for one another, and shadow files stay for the slowest", async () => {
  await using bench = new Bench({ replicaCount: 2 });
  const [fast, slow] = bench.replicas;
  bench.insert();
  await bench.run();
  await bench.current();
  slow!.store.rules = [{ method: "put", times: Infinity }];
  const [fastLoop, slowLoop] = bench.replicator!.replicas;
  await bench.restartWal((index) => index === 4, [fastLoop!]);
  assert.equal(slowLoop!.lastError, "made to fail");
  const { generation, index } = bench.database.position!;
  const indexes = () => bench.database.meta.shadowIndexes(generation);
  assert.deepEqual(indexes(), Array.from({ length: index + 1 }, (_, at) => at));
  slow!.store.mend();
  await bench.current();
  await until(() => indexes()[0] === index - 1, () => `shadow files to go: ${indexes()}`);
  await bench.wholeSegments(generation, slow!);
  await bench.assertRestores(fast!);
  await bench.assertRestores(slow!);
});

test("Replicator: a replica that was dead from the start needs no old WAL once it lives", async () => {
  await using bench = new Bench({ replicaCount: 2 });
  const [fast, slow] = bench.replicas;
  slow!.store.rules = [{ method: "put", times: Infinity }];
  await bench.run();
  const [fastLoop] = bench.replicator!.replicas;
  await bench.restartWal((index) => index === 4, [fastLoop!]);
  slow!.store.mend();
  await bench.current();
  const segments = await bench.wholeSegments(bench.generation, slow!);
  const [snapshot] = await slow!.snapshots(bench.generation);
  assert.ok(segments[0]!.index <= snapshot!.index && segments[0]!.offset === 0);
  await bench.assertRestores(slow!);
  await bench.assertRestores(fast!);
});

test("ReplicaLoop: times in notes never go back, also when the clock does", async () => {
  let offsetMs = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + offsetMs };
  await using bench = new Bench({ clock });
  await bench.run();
  await bench.current();
  const startedAt = clock.now();
  for (const step of [0, 3_600_000, -7_200_000, 0]) {
    offsetMs += step;
    bench.insert();
    await bench.current();
  }
  const { generation } = bench;
  await bench.stop();
  offsetMs = -86_400_000;
  await bench.run();
  await bench.current();
  bench.insert();
  await bench.current();
  assert.equal(bench.generation, generation);
  const segments = await bench.wholeSegments(generation);
  const times = segments.map(({ note }) => note!.newestCommitAt.getTime());
  assert.deepEqual(times, times.toSorted((left, right) => left - right));
  assert.ok(times.at(-1)! > startedAt + 3_000_000, "the hour forward is not in the notes");
  const [snapshot] = await bench.replica.snapshots(generation);
  const at = snapshot!.note!.newestCommitAt.getTime();
  assert.ok(at > Date.now() - 60_000 && at <= Date.now(), `the snapshot's note says ${new Date(at)}`);
});

test("ReplicaLoop: a snapshot's note doesn't claim commits that came after it", async () => {
  await using bench = new Bench();
  bench.insert();
  const gate = Promise.withResolvers<void>();
  bench.store.rules = [{ method: "put", key: /\/wal\//, gate: gate.promise }];
  await bench.run();
  await until(() => bench.store.of("put").length > 0, "the first segment");
  // The snapshot has begun and waits for that segment; a commit that comes meanwhile isn't in it.
  const begunAt = Date.now() + 200;
  await until(() => Date.now() > begunAt + 50, "some time to pass");
  bench.insert("later");
  await bench.database.settle();
  gate.resolve();
  await bench.current();
  const [snapshot] = await bench.replica.snapshots(bench.generation);
  assert.ok(snapshot!.note!.newestCommitAt.getTime() <= begunAt);
  await bench.assertRestores();
});

test("Replicator.finish() tries the last upload again", async () => {
  await using bench = new Bench();
  await bench.run();
  await bench.current();
  bench.store.rules = [{ method: "put", times: 3 }];
  bench.insert();
  await bench.assertRestores();
});

test("Replicator.finish() names the replica that stays behind, and why", async () => {
  await using bench = new Bench({ replicaCount: 2 });
  await bench.run();
  await bench.current();
  bench.replicas[1]!.store.rules = [{ method: "put", times: Infinity, message: "no space" }];
  bench.insert();
  await assert.rejects(bench.stop(300), (error: Error) => {
    assert.match(error.message, /app\.db: the last commits are not in replica-1: no space$/);
    return true;
  });
  await bench.assertRestores(bench.replicas[0]!);
});

test("Replicator.finish() says that the last commits could not be read, and why", async () => {
  await using bench = new Bench({ isEmpty: true });
  bench.openApplication().exec("PRAGMA locking_mode = EXCLUSIVE; INSERT INTO t (body) VALUES ('unseen')");
  await bench.run();
  await assert.rejects(
    bench.stop(),
    /app\.db: the last commits could not be read: the database is locked: its application keeps everybody else out$/,
  );
});

test("Replicator.finish() says so when somebody else writes into the shadow WAL just before", async () => {
  await using bench = new Bench();
  await bench.run();
  await bench.current();
  const { generation, index } = bench.database.position!;
  const shadow = join(bench.folder, ".app.db-litestream", "generations", generation, "wal");
  writeFileSync(join(shadow, `${formatIndex(index + 1)}.wal`), "foreign");
  bench.insert("unseen");
  await assert.rejects(bench.stop(), /app\.db: the last commits could not be read: /);
});

test("Replicator.finish() takes up the file that was put in the database's place just before", async () => {
  await using bench = new Bench();
  await bench.run();
  bench.insert("of the first file");
  await bench.current();
  bench.application!.close();
  bench.application = undefined;
  const otherPath = `${bench.path}.other`;
  using other = new DatabaseSync(otherPath);
  other.exec("PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)");
  other.exec("INSERT INTO t (body) VALUES ('of the other file')");
  other.close();
  for (const end of ["", "-wal", "-shm"]) rmSync(bench.path + end, { force: true });
  renameSync(otherPath, bench.path);
  await bench.stop();
  const outputPath = `${bench.path}.restored`;
  await restore({ clients: [bench.replica.direct], outputPath });
  using restored = new DatabaseSync(outputPath);
  assert.deepEqual(
    restored.prepare("SELECT body FROM t").all().map(({ body }) => body),
    ["of the other file"],
  );
});

test("Replicator.finish() finishes the snapshot that has begun, with commits that still come", async () => {
  await using bench = new Bench({ syncIntervalMs: 60_000 });
  bench.insert();
  const gate = Promise.withResolvers<void>();
  bench.store.rules = [{ method: "put", key: /snapshot/, gate: gate.promise }];
  await bench.run();
  await until(() => bench.store.of("put", /snapshot/).length > 0, "the snapshot");
  bench.insert("before the end");
  const stopped = bench.stop();
  bench.insert("after the signal");
  gate.resolve();
  await stopped;
  await bench.assertRestores();
});

test("ReplicaLoop: the snapshot of a database whose WAL is empty says when it was seen", async () => {
  await using bench = new Bench();
  bench.insert();
  bench.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  const startedAt = Date.now();
  await bench.run();
  await bench.current();
  const [snapshot] = await bench.replica.snapshots(bench.generation);
  assert.ok(snapshot!.note!.newestCommitAt.getTime() >= startedAt);
  await bench.assertRestores();
});

test("ReplicaLoop sends what was copied of a database that is deleted before it was sent", async () => {
  const clock = new SkippingClock();
  await using bench = new Bench({ clock });
  await bench.run();
  await bench.current();
  const { generation } = bench;
  bench.store.rules = [{ method: "put", times: Infinity }];
  bench.insert("the last words");
  await until(() => bench.loop.lastError !== "", "the failure");
  // Not looked at yet by anybody: it is in the -wal only.
  bench.insert("and one more");
  for (const end of ["", "-wal", "-shm"]) rmSync(bench.path + end);
  // What surrounds a quiet database is looked at each 5 s.
  clock.skip(5000);
  await until(() => bench.database.state.kind === "waiting", "the loss to be seen");
  bench.store.mend();
  await bench.stop();
  const outputPath = `${bench.path}.restored`;
  await restore({ clients: [bench.replica.direct], outputPath, generation });
  using restored = new DatabaseSync(outputPath);
  const rows = restored.prepare("SELECT body FROM t ORDER BY id").all();
  assert.deepEqual(rows.map(({ body }) => body), ["the last words", "and one more"]);
});

test("ReplicaLoop begins anew when a deleted database comes back", async () => {
  const clock = new SkippingClock();
  await using bench = new Bench({ clock });
  bench.insert();
  await bench.run();
  await bench.current();
  const { generation } = bench;
  bench.application!.close();
  for (const end of ["", "-wal", "-shm"]) rmSync(bench.path + end, { force: true });
  // What surrounds a quiet database is looked at each 5 s.
  clock.skip(5000);
  await until(() => bench.database.state.kind === "waiting", "the loss to be seen");
  bench.openApplication();
  bench.insert("another life");
  await until(
    () => bench.database.position?.generation !== generation && bench.loop.isCurrent,
    "the new database to be replicated",
  );
  await bench.assertRestores();
});

test("ReplicaLoop says that somebody removed the replica, and makes it restorable again", async () => {
  for (const next of ["segment", "snapshot"] as const) {
    await using bench = new Bench();
    bench.insert();
    await bench.run();
    await bench.current();
    rmSync(bench.replica.path, { recursive: true });
    if (next === "segment") bench.insert();
    else {
      const signal = AbortSignal.timeout(10_000);
      await assert.rejects(bench.loop.snapshot({ signal }), { name: "NotFoundError" });
    }
    await until(
      async () => (await bench.replica.direct.snapshots(bench.generation)).length === 1,
      `a new snapshot after a lost ${next}`,
    );
    await bench.current();
    await bench.assertRestores();
    const told = bench.logs.records.filter(({ level, fields }) =>
      level === "error" && /somebody removed its folder/.test(String(fields["error"]))
    );
    // That of the snapshot is told by whoever asked for it.
    assert.equal(told.length, next === "segment" ? 1 : 0);
  }
});
