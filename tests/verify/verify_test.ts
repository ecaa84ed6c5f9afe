import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { decodeObjectBytes, encodeObjectBytes } from "../../src/codec/object.ts";
import { EncryptionError, NoBackupsError } from "../../src/errors.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import type { ReadOptions, ReadPart, StoreOptions } from "../../src/storage/object_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import type { GenerationReport } from "../../src/verify/report.ts";
import { type VerifyOptions, verifyReplica } from "../../src/verify/verify.ts";
import { exitCodeOf } from "../../src/cli/run_verify.ts";
import { formatReport } from "../../src/cli/verify_text.ts";
import { cipherFor, makeAgeKey } from "../age.ts";
import { addOwnCollation } from "../builders/own_collation.ts";
import { buildReplica, BUILT_FROM } from "../builders/replica_builder.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { Bench } from "../replicate/bench_of_one.ts";

const SMALL = { indexCount: 3, segmentsPerIndex: 2, snapshotIndexes: [2], withStates: false, pageSize: 512 };

async function onlyGeneration(client: ReplicaClient, options: VerifyOptions = {}): Promise<GenerationReport> {
  const { generations } = await verifyReplica(client, options);
  assert.equal(generations.length, 1);
  return generations[0]!;
}

test("verifyReplica() proves a whole replica and says what it rests on", async () => {
  using folder = temporaryFolder();
  const { client, objects } = await buildReplica({ folder: folder.path, ...SMALL });
  const seen: { doneBytes: number; totalBytes: number }[] = [];
  const report = await onlyGeneration(client, { isDeep: true, progress: (progress) => seen.push(progress) });
  assert.deepEqual(report.damages, []);
  assert.deepEqual(report.findings, []);
  assert.deepEqual(report.continuity, { proven: 2, evident: 0, unproven: 0 });
  assert.equal(report.pointCount, objects.length);
  assert.equal(report.reachableCount, objects.length);
  assert.deepEqual(report.earliestAt, BUILT_FROM);
  assert.deepEqual(report.latestAt, objects.at(-1)!.at);
  assert.equal(report.comparedSnapshotCount, 1);
  // At the end of the first snapshot's index, at the second snapshot, and at the end.
  assert.equal(report.integrityCheckCount, 3);
  assert.equal(seen.at(-1)!.doneBytes, report.bytes);
  assert.equal(seen.at(-1)!.totalBytes, report.bytes);
});

test("verifyReplica() calls steps without notes evident, and proves nothing by them", async () => {
  using folder = temporaryFolder();
  const { client } = await buildReplica({ folder: folder.path, ...SMALL, withNotes: false });
  const report = await onlyGeneration(client, { isDeep: true });
  assert.deepEqual(report.damages, []);
  assert.deepEqual(report.continuity, { proven: 0, evident: 2, unproven: 0 });
});

test("verifyReplica() deep finds a page that a snapshot without a note has not got from the WAL", async () => {
  using folder = temporaryFolder();
  const { client, root, objects } = await buildReplica({ folder: folder.path, ...SMALL, withNotes: false });
  const { key } = objects.findLast(({ offset }) => offset === undefined)!;
  const { raw } = decodeObjectBytes(new Uint8Array(readFileSync(join(root, key))));
  // Some of them, but not all, are written by the WAL that follows.
  for (let at = 1023; at < raw.length; at += 512) raw[at]! ^= 1;
  writeFileSync(join(root, key), encodeObjectBytes(raw));
  assert.deepEqual((await onlyGeneration(client)).damages, []);
  const { damages } = await onlyGeneration(client, { isDeep: true });
  assert.equal(damages[0]?.key, key);
  assert.match(
    damages[0]!.reason,
    /^page \d+ is (not|neither) what the snapshot of index 00000000 and the wal from there/,
  );
});

test("verifyReplica() deep finds an older page in a snapshot without a note although the WAL brings a newer one", async () => {
  using folder = temporaryFolder();
  const { client, root, objects } = await buildReplica({ folder: folder.path, ...SMALL, withNotes: false });
  const snapshots = objects.filter(({ offset }) => offset === undefined);
  const [first, last] = [snapshots[0]!, snapshots.at(-1)!].map(({ key }) =>
    decodeObjectBytes(new Uint8Array(readFileSync(join(root, key)))).raw
  );
  const wal = objects.filter(({ index, offset }) => index === 2 && offset !== undefined).map(({ key }) =>
    decodeObjectBytes(new Uint8Array(readFileSync(join(root, key)))).raw
  );
  // The first page is rewritten by each transaction; what it was at the start is nothing that index 2 brings.
  const pageSize = SMALL.pageSize;
  assert.equal(new DataView(wal[0]!.buffer).getUint32(32), 1);
  const damaged = last!.slice();
  damaged.set(first!.subarray(0, pageSize));
  writeFileSync(join(root, snapshots.at(-1)!.key), encodeObjectBytes(damaged));
  assert.deepEqual((await onlyGeneration(client)).damages, []);
  const { damages } = await onlyGeneration(client, { isDeep: true });
  assert.equal(damages[0]?.key, snapshots.at(-1)!.key);
  assert.match(damages[0]!.reason, /^page 1 is neither .* nor what the wal of its own index brings/);
  // A page that the WAL of its index brings it may have.
  const newer = last!.slice();
  newer.set(wal[0]!.subarray(32 + 24, 32 + 24 + pageSize));
  writeFileSync(join(root, snapshots.at(-1)!.key), encodeObjectBytes(newer));
  assert.deepEqual((await onlyGeneration(client, { isDeep: true })).damages, []);
});

test("verifyReplica() has SQLite look at what is restored", async () => {
  using folder = temporaryFolder();
  const { client, root, objects } = await buildReplica({
    folder: folder.path,
    ...SMALL,
    segmentsPerIndex: 1,
  });
  for (const { key } of objects.slice(1)) rmSync(join(root, key));
  const { key } = objects[0]!;
  const { note, raw } = decodeObjectBytes(new Uint8Array(readFileSync(join(root, key))));
  // The root page of the table is no page of a B-tree any more.
  raw.fill(0xff, 512, 1024);
  writeFileSync(join(root, key), encodeObjectBytes(raw, { note }));
  assert.deepEqual((await onlyGeneration(client)).damages, []);
  const { damages } = await onlyGeneration(client, { isDeep: true });
  assert.equal(damages[0]?.key, key);
  assert.match(damages[0]!.reason, /^what is restored from it fails SQLite's integrity check: /);
});

test("verifyReplica() deep says that only the application could check the schema", async () => {
  await using bench = new Bench();
  addOwnCollation(bench.path);
  await bench.run();
  await bench.current();
  await bench.stop();
  const report = await verifyReplica(bench.replica.direct, { isDeep: true });
  assert.equal(report.isProven, true);
  const [finding, ...others] = report.generations[0]!.findings;
  assert.deepEqual(others, []);
  assert.equal(finding!.kind, "extension");
  assert.match(finding!.message, /^SQLite can't check .*: no such collation sequence: mine$/);
  assert.equal(exitCodeOf([report]), 0);
});

test("verifyReplica() proves nothing of generations that are all deleted while it looks", async () => {
  using folder = temporaryFolder();
  const { client } = await buildReplica({ folder: folder.path, ...SMALL });
  const objects = client.objects.bind(client);
  client.objects = async (...asked) => {
    const found = await objects(...asked);
    rmSync(join(client.store.place, "generations"), { recursive: true, force: true });
    return found;
  };
  await assert.rejects(verifyReplica(client), NoBackupsError);
});

test("exitCodeOf() and the verdict claim no proof of what could not be looked at", async () => {
  using folder = temporaryFolder();
  const { client } = await buildReplica({ folder: folder.path, ...SMALL });
  const whole = await verifyReplica(client);
  const finding = { kind: "unchecked", key: "k", message: "m", count: 1 } as const;
  const unchecked = {
    ...whole,
    isProven: false,
    generations: whole.generations.map((generation) => ({ ...generation, findings: [finding] })),
  };
  const damage = { key: "k", reason: "r", cost: { pointCount: 1, isEarlierPossible: false } };
  const damaged = {
    ...unchecked,
    generations: unchecked.generations.map((generation) => ({ ...generation, damages: [damage] })),
  };
  const unseen = { replica: "r", place: "p", error: "e" };
  assert.deepEqual(
    [[whole], [whole, unchecked], [whole, unseen], [unseen, damaged]].map((results) => exitCodeOf(results)),
    [0, 2, 2, 1],
  );
  assert.match(formatReport(unchecked), /: no damage found, but not all of it could be looked at\n$/);
});

test("verifyReplica() proves what walbrook wrote while an application was busy", async () => {
  await using bench = new Bench();
  bench.insert();
  await bench.run();
  await bench.current();
  for (let round = 0; round < 6; round++) {
    bench.insert("y".repeat(round * 5000));
    await bench.current();
    if (round === 2) await bench.restartWal((index) => index > 0);
    if (round % 2 === 1) await bench.loop.snapshot({ signal: AbortSignal.timeout(10_000) });
  }
  await bench.restartWal((index) => index > 1);
  await bench.stop();
  const report = await onlyGeneration(bench.replica.direct, { isDeep: true });
  assert.deepEqual(report.damages, []);
  assert.deepEqual(report.findings, []);
  assert.ok(report.snapshotCount > 1, "only one snapshot");
  assert.ok(report.comparedSnapshotCount > 0, "nothing was compared");
  assert.ok(report.continuity.proven > 0);
  assert.equal(report.continuity.evident + report.continuity.unproven, 0);
});

test("verifyReplica() lists what no restore looks at", async () => {
  using folder = temporaryFolder();
  const { client, root, objects, generation } = await buildReplica({ folder: folder.path, ...SMALL });
  rmSync(join(root, objects[0]!.key));
  const of = (name: string) => join(root, "generations", generation, "wal", name);
  writeFileSync(of("00000000_00000000.wal.lz4.tmp"), "");
  writeFileSync(of("notes.txt"), "");
  const report = await verifyReplica(client);
  assert.equal(report.isProven, true);
  const [orphans] = report.generations[0]!.findings;
  assert.equal(orphans?.kind, "leftover");
  assert.equal(orphans?.key, objects[1]!.key);
  assert.equal(orphans?.count, 4);
  assert.deepEqual(
    report.findings.map(({ kind, key, count }) => ({ kind, key, count })),
    ["notes.txt", "00000000_00000000.wal.lz4.tmp"].map((name) => ({
      kind: "leftover",
      key: `generations/${generation}/wal/${name}`,
      count: 1,
    })),
  );
});

test("verifyReplica() finds WAL without any snapshot", async () => {
  using folder = temporaryFolder();
  const { client, root, objects } = await buildReplica({
    folder: folder.path,
    ...SMALL,
    snapshotIndexes: [],
  });
  rmSync(join(root, objects[0]!.key));
  const report = await onlyGeneration(client);
  assert.deepEqual(report.damages.map(({ key }) => key), [objects[0]!.key]);
  assert.equal(report.reachableCount, 0);
});

/** A whole generation, whose first snapshot is of `BUILT_FROM`, beside WAL of another one without its snapshot. */
async function besideSnapshotless(
  folder: string,
  { wal: { committedAt, storedAt = committedAt }, withNotes = true }: {
    wal: { committedAt: Date; storedAt?: Date };
    withNotes?: boolean;
  },
) {
  const { root, client, generation: whole, objects } = await buildReplica({ folder, ...SMALL, withNotes });
  const first = objects.find(({ offset }) => offset === 0)!;
  const { raw } = decodeObjectBytes(new Uint8Array(readFileSync(join(root, first.key))));
  const generation = "fedcba9876543210";
  const note = { kind: "segment", generation, index: 0, offset: 0, newestCommitAt: committedAt } as const;
  const path = join(root, first.key.replace(whole, generation));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, encodeObjectBytes(raw, withNotes ? { note } : {}));
  utimesSync(path, storedAt, storedAt);
  return { root, client, whole, generation, segmentKey: first.key.replace(whole, generation) };
}

const EARLIER = new Date(BUILT_FROM.getTime() - 1);
const LATER = new Date(Date.now() + 86_400_000);

for (
  const [when, { kind, ...options }] of [
    ["begins after the others", { kind: "beginning", wal: { committedAt: LATER } }],
    ["begins after the others, but was copied before", {
      kind: "beginning",
      wal: { committedAt: LATER, storedAt: EARLIER },
    }],
    ["begins after the others, without notes", {
      kind: "beginning",
      wal: { committedAt: LATER },
      withNotes: false,
    }],
    ["is from the middle of another", {
      kind: "beginning",
      wal: { committedAt: new Date(BUILT_FROM.getTime() + 1000) },
    }],
    ["ends before another begins", { kind: "leftover", wal: { committedAt: EARLIER, storedAt: LATER } }],
    ["ends before another begins, without notes", {
      kind: "leftover",
      wal: { committedAt: EARLIER },
      withNotes: false,
    }],
    ["ends with the commit that another begins with", { kind: "leftover", wal: { committedAt: BUILT_FROM } }],
  ] as const
) {
  test(`verifyReplica() calls it a ${kind} where a generation without a snapshot ${when}`, async () => {
    using folder = temporaryFolder();
    const { client, generation, segmentKey } = await besideSnapshotless(folder.path, options);
    const report = await verifyReplica(client);
    const isLeftover = kind === "leftover";
    assert.equal(report.isProven, isLeftover);
    assert.equal(exitCodeOf([report]), isLeftover ? 0 : 2);
    const own = report.generations.find((other) => other.generation === generation)!;
    assert.deepEqual(own.damages, []);
    const key = isLeftover ? segmentKey : `generations/${generation}/snapshots/00000000.snapshot.lz4`;
    assert.deepEqual(own.findings.map(({ kind, key }) => [kind, key]), [[kind, key]]);
  });
}

test("verifyReplica() proves nothing by a generation without a snapshot alone", async () => {
  using folder = temporaryFolder();
  const { client, whole, generation } = await besideSnapshotless(folder.path, {
    wal: { committedAt: EARLIER },
  });
  const report = await verifyReplica(client, { generation });
  assert.deepEqual(report.generations.map(({ findings }) => findings[0]?.kind), ["leftover"]);
  assert.equal(report.isProven, false);
  assert.equal((await verifyReplica(client, { generation: whole })).isProven, true);
});

test("verifyReplica() finds damage where no generation has a snapshot", async () => {
  using folder = temporaryFolder();
  const { root, client, whole } = await besideSnapshotless(folder.path, { wal: { committedAt: EARLIER } });
  rmSync(join(root, "generations", whole, "snapshots"), { recursive: true });
  const report = await verifyReplica(client);
  assert.deepEqual(report.generations.map(({ damages }) => damages.length), [1, 1]);
  assert.equal(exitCodeOf([report]), 1);
});

test("verifyReplica() up to a moment looks at no generation without a snapshot that began later", async () => {
  using folder = temporaryFolder();
  const { client, generation } = await besideSnapshotless(folder.path, { wal: { committedAt: LATER } });
  const to = new Date(BUILT_FROM.getTime() + 60_000);
  const report = await verifyReplica(client, { to });
  assert.ok(!report.generations.some((other) => other.generation === generation));
  assert.equal(report.isProven, true);
});

test("verifyReplica() reads only what a stretch of time needs", async () => {
  using folder = temporaryFolder();
  const { client, root, objects } = await buildReplica({ folder: folder.path, ...SMALL });
  const [early, late] = [objects[2]!, objects.at(-1)!];
  const spoil = (key: string) => writeFileSync(join(root, key), "");
  const found = async (options: VerifyOptions) =>
    (await onlyGeneration(client, options)).damages.map(({ key }) => key);
  spoil(late.key);
  assert.deepEqual(await found({ to: objects[3]!.at }), []);
  assert.deepEqual(await found({ from: objects[3]!.at }), [late.key]);
  spoil(early.key);
  const second = objects.findLast(({ offset }) => offset === undefined)!;
  assert.deepEqual(await found({ from: second.at }), [late.key]);
  assert.deepEqual(await found({ to: objects[3]!.at }), [early.key]);
  await assert.rejects(verifyReplica(client, { to: new Date(BUILT_FROM.getTime() - 1) }), NoBackupsError);
});

test("verifyReplica() says when it can't look", async () => {
  using folder = temporaryFolder();
  const empty = new ReplicaClient(new FileStore({ root: join(folder.path, "nothing") }));
  await assert.rejects(verifyReplica(empty), NoBackupsError);
  const { client, root } = await buildReplica({ folder: folder.path, ...SMALL });
  await assert.rejects(verifyReplica(client, { generation: "00000000000000ff" }), NoBackupsError);
  const cipher = cipherFor(makeAgeKey());
  const sealed = new ReplicaClient(new FileStore({ root }), "sealed", { cipher });
  await assert.rejects(verifyReplica(sealed), EncryptionError);
  const files: Files = { ...systemFiles, freeBytes: () => Promise.resolve(100) };
  const temporaryPath = join(folder.path, "temporary");
  mkdirSync(temporaryPath);
  await assert.rejects(
    verifyReplica(client, { isDeep: true, files, temporaryPath }),
    /^FetchError: -deep restores the database: it needs \d+ bytes and only 100 are free/,
  );
});

/** Deletes objects at the first read, as retention on another machine can. */
class RetainedStore extends FileStore {
  keys: readonly string[] = [];

  override async get(key: string, options: StoreOptions = {}): Promise<ReadableStream<Uint8Array>> {
    await this.#retain();
    return await super.get(key, options);
  }

  override async read(key: string, options: ReadOptions): Promise<ReadPart> {
    await this.#retain();
    return await super.read(key, options);
  }

  async #retain(): Promise<void> {
    const { keys } = this;
    this.keys = [];
    await this.delete(keys);
  }
}

test("verifyReplica() looks again when retention takes objects away meanwhile", async () => {
  using folder = temporaryFolder();
  const { root, objects } = await buildReplica({ folder: folder.path, ...SMALL });
  const store = new RetainedStore({ root });
  store.keys = objects.filter(({ index }) => index < 2).map(({ key }) => key);
  const report = await onlyGeneration(new ReplicaClient(store), { isDeep: true });
  assert.deepEqual(report.damages, []);
  assert.equal(report.snapshotCount, 1);
});
