import { test } from "node:test";
import assert from "node:assert/strict";
import { cpSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { DamagedObjectError, describeError, NotFoundError, StoreError } from "../../src/errors.ts";
import { beforeWhatCameLater, type Bounds } from "../../src/restore/choose.ts";
import { restore, type RestoreOptions } from "../../src/restore/restore.ts";
import { isOwnFailure } from "../../src/restore/unreadable.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { segmentKey, snapshotKey } from "../../src/storage/keys.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { buildReplica, type BuiltReplica, fileHash } from "../builders/replica_builder.ts";
import { failFiles } from "../doubles/failing_files.ts";
import { FaultyStore, type StoreRule } from "../doubles/faulty_store.ts";
import { recordLogs } from "../doubles/recording_logger.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const OLDER = "0000000000000001";
const OLDER_KEY = snapshotKey({ generation: OLDER, index: 0 });

/** A generation of before the built one, of one snapshot: an empty database. */
async function putOlder({ root, client }: BuiltReplica): Promise<void> {
  const raw = new Uint8Array(512);
  raw.set(new TextEncoder().encode("SQLite format 3\0"));
  raw.set([2, 0], 16);
  const at = new Date("2025-12-01");
  const position = { generation: OLDER, index: 0, offset: 0 };
  const note = { kind: "snapshot", ...position, pageSize: 512, pageCount: 1, newestCommitAt: at } as const;
  await client.store.put(OLDER_KEY, encodeObjectBytes(raw, { note }));
  utimesSync(join(root, OLDER_KEY), at, at);
}

/** A replica in a folder of which files can't be read. */
function failing(root: string, code: string, ...keys: string[]): ReplicaClient {
  const rules = keys.map((key) => ({ kind: "read", code, times: Infinity, path: new RegExp(key) } as const));
  return new ReplicaClient(new FileStore({ root, files: failFiles(systemFiles, rules).files }), "failing");
}

function faulty({ client }: BuiltReplica, ...rules: StoreRule[]): ReplicaClient {
  const store = new FaultyStore(client.store);
  store.rules = rules.map((rule) => ({ times: Infinity, ...rule }));
  return new ReplicaClient(store, "failing");
}

/** The hash of what is restored, and the keys in warnings. */
async function restored(options: Omit<RestoreOptions, "outputPath" | "logger">) {
  using folder = temporaryFolder();
  const outputPath = join(folder.path, "out.db");
  const { logger, records } = recordLogs();
  await restore({ ...options, outputPath, logger });
  const warned = records.filter(({ level }) => level === "warn").map(({ fields }) => fields["key"]);
  return { state: fileHash(outputPath), warned };
}

test("restore() takes the newest generation where an object of another can't be read, and says so once", async () => {
  using folder = temporaryFolder();
  const built = await buildReplica({ folder: folder.path });
  await putOlder(built);
  const clients = [
    failing(built.root, "EIO", OLDER_KEY),
    failing(built.root, "EACCES", OLDER_KEY),
    faulty(built, { method: "get", key: new RegExp(OLDER), isOfObject: true }),
  ];
  const target = { kind: "moment", at: new Date("2026-06-01") } as const;
  for (const client of clients) {
    for (const options of [{}, { target }]) {
      const { state, warned } = await restored({ clients: [client], ...options });
      assert.equal(state, built.finalState);
      assert.deepEqual(warned, [OLDER_KEY]);
    }
  }
});

test("restore() is chosen without an object that is gone since it was listed, and fails where it needs it", async () => {
  using folder = temporaryFolder();
  const built = await buildReplica({ folder: folder.path });
  await putOlder(built);
  const { key: last, at } = built.objects.at(-1)!;
  const without = (gone: string) => {
    const store = new FaultyStore(built.client.store);
    store.get = (key, options) => {
      return key === gone ? Promise.reject(new NotFoundError("gone")) : built.client.store.get(key, options);
    };
    return [new ReplicaClient(store)];
  };
  const { state, warned } = await restored({ clients: without(OLDER_KEY) });
  assert.equal(state, built.finalState);
  assert.deepEqual(warned, [OLDER_KEY]);
  for (const target of [undefined, { kind: "moment", at } as const]) {
    await assert.rejects(
      restored({ clients: without(last), target }),
      (error) => describeError(error).includes(last),
    );
  }
});

test("restore() takes no older generation where the end of the newest can't be read", async () => {
  using folder = temporaryFolder();
  const built = await buildReplica({ folder: folder.path });
  await putOlder(built);
  const { key } = built.objects.at(-1)!;
  await assert.rejects(
    restored({ clients: [failing(built.root, "EIO", key)] }),
    (error) => describeError(error).includes(key) && /its disk fails/.test(describeError(error)),
  );
});

test("restore() takes the replica that can be read, unless it has less", async () => {
  using folder = temporaryFolder();
  const built = await buildReplica({ folder: folder.path });
  await putOlder(built);
  const { key, at } = built.objects.at(-1)!;
  const bad = failing(built.root, "EIO", key);
  for (const clients of [[bad, built.client], [built.client, bad]]) {
    assert.equal((await restored({ clients })).state, built.finalState);
    assert.equal((await restored({ clients, target: { kind: "moment", at } })).state, built.finalState);
  }
  // With all of the last index gone nothing tells how much is missing.
  const root = join(folder.path, "behind");
  cpSync(built.root, root, { recursive: true, preserveTimestamps: true });
  for (const { key, index } of built.objects) if (index === 3) rmSync(join(root, key));
  const behind = new ReplicaClient(new FileStore({ root }), "behind");
  for (const clients of [[bad, behind], [behind, bad]]) {
    await assert.rejects(restored({ clients }), (error) => describeError(error).includes(key));
  }
  const earlier = built.objects.findLast(({ index }) => index === 2)!;
  for (const clients of [[bad, behind], [behind, bad]]) {
    const target = { kind: "moment", at: earlier.at } as const;
    assert.equal((await restored({ clients, target })).state, earlier.state);
  }
});

test("restore() fails where all that a store has can't be read", async () => {
  using folder = temporaryFolder();
  const built = await buildReplica({ folder: folder.path });
  await putOlder(built);
  await assert.rejects(
    restored({ clients: [failing(built.root, "EACCES", "generations")] }),
    /permission denied/,
  );
  const away = faulty(built, { method: "get", isAway: true });
  await assert.rejects(restored({ clients: [away] }), /made to fail/);
  const signal = AbortSignal.abort(new Error("enough"));
  const options = {
    client: built.client,
    object: { key: OLDER_KEY, size: 1, createdAt: new Date() },
    signal,
  };
  const others = () => assert.fail("it is over");
  await assert.rejects(isOwnFailure(new StoreError("fails"), { ...options, others }), /enough/);
});

test("isOwnFailure() believes a store that names the object, else another object that can be read", async () => {
  using folder = temporaryFolder();
  const { client, root, generation } = await buildReplica({ folder: folder.path, indexCount: 1 });
  const [object, other] = await client.segments(generation);
  const gone = new DamagedObjectError("key", "gone", { cause: new NotFoundError("gone") });
  const failure = new StoreError("it fails");
  const cases = [
    { error: new StoreError("it is archived", { isOfObject: true }), others: [], expected: true },
    { error: new Error("outer", { cause: failure }), others: [other!], expected: true },
    { error: gone, others: [other!], expected: false },
    { error: failure, others: [], expected: false },
    { error: failure, others: [object!], expected: false },
    { error: failure, others: [{ ...other!, size: 0 }], expected: false },
    { error: failure, others: [{ ...other!, key: "generations/none" }], expected: false },
    { error: failure, others: [{ ...other!, key: "generations/none" }, other!], expected: true },
    { error: new Error("a mistake of ours"), others: [other!], expected: false },
    { error: new DamagedObjectError("key", "damaged"), others: [other!], expected: false },
  ];
  for (const { error, others, expected } of cases) {
    const options = { client, object: object!, others: () => Promise.resolve(others) };
    assert.equal(await isOwnFailure(error, options), expected, JSON.stringify({ error, others }));
  }
  const ended = failing(root, "EIO", "generations");
  const others = () => Promise.reject(new Error("no listing"));
  assert.equal(await isOwnFailure(failure, { client: ended, object: object!, others }), false);
});

test("beforeWhatCameLater() ends what can't be read before what the same store got later", () => {
  const at = (seconds: number) => new Date(seconds * 1000);
  const bounds = (start: number, end: number, stored: [number, number], isNoted: boolean) => ({
    startAt: at(start),
    endAt: at(end),
    isNoted,
    storedStartAt: at(stored[0]),
    storedEndAt: at(stored[1]),
  });
  // The store's clock is ahead by 100 s.
  const before = bounds(10, 20, [110, 120], true);
  const unread = bounds(130, 140, [130, 140], false);
  const behind = bounds(50, 60, [150, 160], true);
  const beside = bounds(35, 70, [135, 170], true);
  const endOf = (all: readonly Bounds[]) =>
    beforeWhatCameLater(all, (other) => other === unread).find((_, nth) => all[nth] === unread)!;
  const cases: [readonly Bounds[], Date, Date][] = [
    [[unread], at(130), at(140)],
    [[before, unread], at(130), at(140)],
    [[before, unread, behind], at(49.999), at(49.999)],
    [[unread, beside], at(69.999), at(69.999)],
    [[unread, { ...behind, isNoted: false }], at(130), at(140)],
  ];
  for (const [all, startAt, endAt] of cases) {
    const found = endOf(all);
    assert.deepEqual([found.startAt, found.endAt], [startAt, endAt]);
  }
  assert.deepEqual(beforeWhatCameLater([before, unread, behind], () => false), [before, unread, behind]);
});

test("restore() to a moment does without an object that it doesn't need", async () => {
  using folder = temporaryFolder();
  const built = await buildReplica({ folder: folder.path, snapshotIndexes: [2] });
  const target = built.objects.findLast(({ index }) => index === 2)!;
  const options = { target: { kind: "moment", at: target.at } } as const;
  for (const { key, index } of built.objects) {
    if (index === 2) continue;
    const { state } = await restored({ clients: [failing(built.root, "EIO", key)], ...options });
    assert.equal(state, target.state, key);
  }
});

test("restore() to a moment is refused where a snapshot shows that it needs what can't be read", async () => {
  using folder = temporaryFolder();
  const built = await buildReplica({ folder: folder.path, snapshotIndexes: [2], snapshotAfter: 1 });
  const { key, at } = built.objects.find(({ index, offset }) => index === 2 && offset === 0)!;
  const options = { target: { kind: "moment", at } } as const;
  assert.ok((await restored({ clients: [built.client], ...options })).state);
  // Listed as of later than the moment.
  await assert.rejects(
    restored({ clients: [failing(built.root, "EIO", key)], ...options }),
    (error) => describeError(error).includes(`${key}: it can't be read, and holds`),
  );
});

test("restore() says that it ends before an object that can't be read", async () => {
  using folder = temporaryFolder();
  const built = await buildReplica({ folder: folder.path, snapshotIndexes: [3] });
  const { generation } = built;
  const last = built.objects.findLast(({ index }) => index === 2)!;
  const key = segmentKey({ generation, index: 3, offset: 0 });
  const target = { kind: "index", index: 2 } as const;
  for (const next of [[key], [snapshotKey({ generation, index: 3 })]]) {
    const client = failing(built.root, "EIO", ...next);
    const isTold = next[0] === key;
    const { state, warned } = await restored({ clients: [client], target });
    assert.equal(state, last.state);
    assert.deepEqual(warned, isTold ? [key] : []);
  }
  const client = failing(built.root, "EIO", key);
  const { state, warned } = await restored({ clients: [client], target: { kind: "moment", at: last.at } });
  assert.equal(state, last.state);
  assert.ok(warned.includes(key));
});
