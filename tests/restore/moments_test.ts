import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { NoBackupsError } from "../../src/errors.ts";
import { restore } from "../../src/restore/restore.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { buildReplica, BUILT_FROM, type BuiltReplica, fileHash } from "../builders/replica_builder.ts";
import { CountingStore } from "../doubles/counting_store.ts";
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
