import { test } from "node:test";
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { readAll } from "../../src/bytes.ts";
import { decodeObjectBytes, encodeObjectBytes } from "../../src/codec/object.ts";
import { NoBackupsError } from "../../src/errors.ts";
import { lookAtNote } from "../../src/restore/moments.ts";
import type { RestoreTarget } from "../../src/restore/plan.ts";
import { restore } from "../../src/restore/restore.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { buildReplica, BUILT_FROM, type BuiltReplica, fileHash } from "../builders/replica_builder.ts";
import { CountingStore } from "../doubles/counting_store.ts";
import { FaultyStore } from "../doubles/faulty_store.ts";
import { type MemoryObject, MemoryStore } from "../doubles/memory_store.ts";
import { recordLogs } from "../doubles/recording_logger.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** Give every file below `path` the same time, as copying a replica does. */
function flattenTimes(path: string, at: Date): void {
  for (const name of readdirSync(path)) {
    const below = join(path, name);
    if (statSync(below).isDirectory()) flattenTimes(below, at);
    else utimesSync(below, at, at);
  }
}

async function stateAt(replica: BuiltReplica, folder: string, at: Date): Promise<string> {
  const outputPath = join(folder, `at-${at.getTime()}-${Math.random()}.db`);
  const summary = await restore({ clients: [replica.client], outputPath, target: { kind: "moment", at } });
  assert.ok(summary.momentAt <= at, `${summary.momentAt.toISOString()} > ${at.toISOString()}`);
  return fileHash(outputPath);
}

/** The state of the last object that is not later than `at`. */
function expectedAt(replica: BuiltReplica, at: Date): string | undefined {
  return replica.objects.filter((object) => object.at <= at).at(-1)?.state;
}

for (const [when, copiedAt] of [["before all", "2020-01-01"], ["after all", "2030-01-01"]] as const) {
  test(`restore() to each moment is exact when file times lie ${when}`, async () => {
    using folder = temporaryFolder();
    const replica = await buildReplica({ folder: folder.path, snapshotIndexes: [1, 3] });
    flattenTimes(replica.root, new Date(copiedAt));
    for (const object of replica.objects) {
      for (const ms of [0, 1, 500, 999]) {
        const at = new Date(object.at.getTime() + ms);
        assert.equal(
          await stateAt(replica, folder.path, at),
          expectedAt(replica, at),
          `${object.key} + ${ms} ms`,
        );
      }
    }
  });
}

/** Take the note out of an object, as if Litestream had stored it. */
async function stripNote({ client: { store } }: BuiltReplica, { key }: { key: string }): Promise<void> {
  const { raw } = decodeObjectBytes(await readAll(await store.get(key), { limit: 1e7 }));
  await store.put(key, encodeObjectBytes(raw));
}

test("restore() to a moment of ours goes by notes where Litestream began the generation and a copy lost the times", async () => {
  for (const strippedCount of [2, 4, 6]) {
    using folder = temporaryFolder();
    const replica = await buildReplica({ folder: folder.path, snapshotIndexes: [1, 3] });
    for (const object of replica.objects.slice(0, strippedCount)) await stripNote(replica, object);
    flattenTimes(replica.root, new Date("2030-01-01"));
    const ours = replica.objects.slice(strippedCount);
    for (const { key, at } of ours) {
      assert.equal(await stateAt(replica, folder.path, at), expectedAt(replica, at), key);
    }
    const before = new Date(ours[0]!.at.getTime() - 1);
    await assert.rejects(stateAt(replica, folder.path, before), NoBackupsError);
  }
});

test("restore() of a copied replica takes the generation whose notes tell its time, and says which one it passes over", async () => {
  using folder = temporaryFolder();
  const build = (name: string, options: { withNotes: boolean; seed: number }) => {
    mkdirSync(join(folder.path, name));
    return buildReplica({ folder: join(folder.path, name), ...options });
  };
  const litestreams = await build("litestreams", { withNotes: false, seed: 2 });
  const ours = await build("ours", { withNotes: true, seed: 3 });
  const other = "fedcba9876543210";
  const [from, to] = [[litestreams, litestreams.generation], [ours, other]] as const;
  cpSync(join(from[0].root, "generations", from[1]), join(to[0].root, "generations", to[1]), {
    recursive: true,
  });
  flattenTimes(ours.root, new Date("2030-01-01"));
  const targets: RestoreTarget[] = [
    { kind: "latest" },
    { kind: "moment", at: new Date("2040-01-01") },
    { kind: "moment", at: ours.objects.at(-1)!.at },
  ];
  for (const [nth, target] of targets.entries()) {
    const { logger, records } = recordLogs();
    const outputPath = join(folder.path, `${nth}.db`);
    await restore({ clients: [ours.client], outputPath, target, logger });
    assert.equal(fileHash(outputPath), ours.finalState, target.kind);
    const warned = records.filter(({ level }) => level === "warn");
    assert.deepEqual(
      warned.map(({ fields }) => [fields["generation"], fields["other"]]),
      // By the store's times the other one had not begun then.
      nth === 2 ? [] : [[ours.generation, other]],
    );
    for (const { message } of warned) assert.match(message, /-generation$/);
  }
  const outputPath = join(folder.path, "named.db");
  await restore({ clients: [ours.client], outputPath, generation: other });
  assert.equal(fileHash(outputPath), litestreams.finalState);
});

test("restore() to a moment goes by the store's times where there are no notes", async () => {
  using folder = temporaryFolder();
  const replica = await buildReplica({ folder: folder.path, withNotes: false });
  for (const { key, at } of replica.objects) utimesSync(join(replica.root, key), at, at);
  for (const { at } of replica.objects) {
    assert.equal(await stateAt(replica, folder.path, at), expectedAt(replica, at));
  }
});

test("restore() to a moment before the first snapshot finds nothing, after the last commit finds all (case 76)", async () => {
  using folder = temporaryFolder();
  const replica = await buildReplica({ folder: folder.path });
  const before = new Date(BUILT_FROM.getTime() - 1);
  await assert.rejects(stateAt(replica, folder.path, before), NoBackupsError);
  assert.equal(await stateAt(replica, folder.path, new Date("2040-01-01")), replica.finalState);
});

test("restore() to a moment reads few notes of many segments", async () => {
  using folder = temporaryFolder();
  const replica = await buildReplica({
    folder: folder.path,
    indexCount: 4,
    segmentsPerIndex: 64,
    pageSize: 512,
    withStates: false,
  });
  const store = new CountingStore(new FileStore({ root: replica.root }));
  const at = new Date(BUILT_FROM.getTime() + 100_500);
  const outputPath = join(folder.path, "out.db");
  const summary = await restore({
    clients: [new ReplicaClient(store)],
    outputPath,
    target: { kind: "moment", at },
  });
  assert.equal(summary.segmentCount, 100);
  assert.equal(summary.momentAt.getTime(), BUILT_FROM.getTime() + 100_000);
  const notes = store.gets.filter((key) => key.endsWith("+"));
  // The bounds of the generation, and log2(256) steps with the boundary twice.
  assert.ok(notes.length <= 14, `${notes.length} range requests`);
  assert.equal(store.gets.length - notes.length, 101);
  // Snapshots before segments: while replication goes on, the WAL that a listed snapshot needs is listed too.
  const prefix = `generations/${replica.generation}/`;
  assert.deepEqual(store.lists, ["generations/", `${prefix}snapshots/`, `${prefix}wal/`]);
});

test("restore() to an index reads nothing that it does not need", async () => {
  using folder = temporaryFolder();
  const replica = await buildReplica({ folder: folder.path });
  const store = new CountingStore(new FileStore({ root: replica.root }));
  const outputPath = join(folder.path, "out.db");
  const target = { kind: "index", index: 1 } as const;
  await restore({ clients: [new ReplicaClient(store)], outputPath, target });
  const expected = replica.objects.filter((object) => object.index === 1).at(-1)?.state;
  assert.equal(fileHash(outputPath), expected);
  // Snapshot, two times three segments, and the note of what follows: it proves that index 1 is whole.
  assert.deepEqual(store.gets.filter((key) => key.endsWith("+")), [
    `generations/${replica.generation}/wal/00000002_00000000.wal.lz4+`,
  ]);
  assert.equal(store.gets.length, 8);
});

test("lookAtNote() calls doubtful what can't tell its moment, and passes on what the store says", async () => {
  using folder = temporaryFolder();
  const { client, objects, generation } = await buildReplica({ folder: folder.path, indexCount: 1 });
  const [stored] = await client.segments(generation);
  const bytes = await readAll(await client.store.get(stored!.key), { limit: 1e7 });
  const memory = new Map<string, MemoryObject>();
  const look = async (bytes: Uint8Array, isGone = false) => {
    memory.set(stored!.key, { bytes, createdAt: new Date(0), isGone });
    const object = { ...stored!, size: bytes.length };
    const { note, isDoubtful } = await lookAtNote(new ReplicaClient(new MemoryStore(memory)), object);
    return [note?.newestCommitAt.getTime(), isDoubtful];
  };
  const flipped = bytes.slice();
  flipped[20]! ^= 1;
  assert.deepEqual(await look(bytes), [objects[1]!.at.getTime(), false]);
  assert.deepEqual(await look(encodeObjectBytes(decodeObjectBytes(bytes).raw)), [undefined, false]);
  assert.deepEqual(await look(flipped), [undefined, true]);
  assert.deepEqual(await look(new Uint8Array(0)), [undefined, true]);
  assert.deepEqual(await look(bytes.slice(0, 9)), [undefined, true]);
  await assert.rejects(look(bytes, true), /gone since it was listed/);
  const store = new FaultyStore(client.store);
  store.rules.push({ method: "get", message: "no answer" });
  await assert.rejects(lookAtNote(new ReplicaClient(store), stored!), /no answer/);
});

test("restore() says when the first segment that it leaves out can't tell its moment", async () => {
  using folder = temporaryFolder();
  const { client, objects } = await buildReplica({ folder: folder.path, indexCount: 1 });
  const [, first, second] = objects;
  const stored = await readAll(await client.store.get(second!.key), { limit: 1e7 });
  const warnings = async (name: string, bytes: Uint8Array) => {
    await client.store.put(second!.key, bytes);
    const later = new Date(second!.at.getTime() + 500);
    utimesSync(join(folder.path, "replica", second!.key), later, later);
    const { logger, records } = recordLogs();
    const outputPath = join(folder.path, name);
    await restore({ clients: [client], outputPath, target: { kind: "moment", at: first!.at }, logger });
    assert.equal(fileHash(outputPath), first!.state);
    return records.filter(({ level }) => level === "warn").map(({ message, fields }) =>
      `${message}: ${fields["key"]}`
    );
  };
  assert.deepEqual(await warnings("a.db", stored), []);
  const told = [
    `the first segment that is left out has no sound note: it may be of before the moment asked for: ${
      second!.key
    }`,
  ];
  const flipped = stored.slice();
  flipped[20]! ^= 1;
  assert.deepEqual(await warnings("b.db", flipped), told);
  assert.deepEqual(await warnings("c.db", encodeObjectBytes(decodeObjectBytes(stored).raw)), told);
  assert.deepEqual(await warnings("d.db", new Uint8Array(0)), told);
});

test("restore() to an index says when nothing shows that it is whole", async () => {
  using folder = temporaryFolder();
  const { client, objects } = await buildReplica({ folder: folder.path, indexCount: 3 });
  const warnings = async (name: string) => {
    const { logger, records } = recordLogs();
    const outputPath = join(folder.path, name);
    await restore({ clients: [client], outputPath, target: { kind: "index", index: 0 }, logger });
    return records.filter(({ level }) => level === "warn").map(({ message, fields }) =>
      `${message}: ${fields["missing"]}`
    );
  };
  assert.deepEqual(await warnings("a.db"), []);
  const first = objects.find(({ index, offset }) => index === 1 && offset === 0)!;
  await client.store.delete([first.key]);
  assert.deepEqual(await warnings("b.db"), [
    `nothing shows that the index is whole: what follows it is missing: ${first.key}`,
  ]);
});
