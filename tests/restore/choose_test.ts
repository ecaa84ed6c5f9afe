import { test } from "node:test";
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readAll } from "../../src/bytes.ts";
import { DamagedObjectError, describeError, NoBackupsError, NotFoundError } from "../../src/errors.ts";
import { decodeObjectBytes, encodeObjectBytes } from "../../src/codec/object.ts";
import { type LogFields, type Logger, silentLogger } from "../../src/logger.ts";
import {
  type Bounds,
  boundsOf,
  chooseBounds,
  chooseGeneration,
  inStoredOrder,
  notedBounds,
  withoutCopied,
} from "../../src/restore/choose.ts";
import type { RestoreTarget } from "../../src/restore/plan.ts";
import { restore, type RestoreOptions } from "../../src/restore/restore.ts";
import { segmentKey, snapshotKey } from "../../src/storage/keys.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import type { ObjectStore } from "../../src/storage/object_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { buildReplica, fileHash } from "../builders/replica_builder.ts";
import { FaultyStore } from "../doubles/faulty_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until as waitUntil } from "../doubles/until.ts";

const latest = { kind: "latest" } as const;
const until = (seconds: number) => ({ kind: "moment", at: new Date(seconds * 1000) }) as const;

function bounds(name: string, start: number, end: number): Bounds & { name: string } {
  return { name, startAt: new Date(start * 1000), endAt: new Date(end * 1000) };
}

const OLD = bounds("old", 0, 100);
const NEW = bounds("new", 50, 200);

test("chooseBounds() takes the latest end, up to the moment, then the latest start", () => {
  const cases = [
    { all: [OLD, NEW], target: latest, expected: "new" },
    { all: [NEW, OLD], target: latest, expected: "new" },
    { all: [OLD, bounds("late but short", 60, 90)], target: latest, expected: "old" },
    { all: [OLD, NEW], target: until(49), expected: "old" },
    { all: [OLD, NEW], target: until(50), expected: "new" },
    { all: [NEW, OLD], target: until(60), expected: "new" },
    { all: [OLD, NEW], target: until(1000), expected: "new" },
    { all: [OLD, bounds("gap", 150, 160)], target: until(120), expected: "old" },
    { all: [OLD, NEW], target: until(-1), expected: undefined },
    { all: [], target: latest, expected: undefined },
  ];
  for (const { all, target, expected } of cases) {
    assert.equal(chooseBounds(all, target)?.name, expected, JSON.stringify({ all, target }));
  }
});

test("boundsOf() ends no generation before it begins, whatever the store's clock says of what follows", async () => {
  const generation = "0123456789abcdef";
  const snapshot = { key: "snapshot", size: 1, createdAt: new Date(1000), generation, index: 0 };
  const segment = { key: "segment", size: 1, createdAt: new Date(2000), generation, index: 0, offset: 0 };
  const later = { ...snapshot, key: "later", createdAt: new Date(3000), index: 1 };
  const inventory = { generation, snapshots: [snapshot, later], segments: [segment] };
  const noted = { at: new Date(9000), isNoted: true, offset: 0 };
  const momentOf = ({ key, createdAt }: { key: string; createdAt: Date }) =>
    Promise.resolve(key === "snapshot" ? noted : { at: createdAt, isNoted: false, offset: 0 });
  const bounds = {
    startAt: noted.at,
    endAt: noted.at,
    notedEndAt: noted.at,
    isNoted: false,
    storedStartAt: new Date(1000),
    storedEndAt: new Date(3000),
  };
  assert.deepEqual(await boundsOf(inventory, momentOf), bounds);
});

test("boundsOf() finds the last note where Litestream went on without any, with few looks", async () => {
  const generation = "0123456789abcdef";
  // What Litestream stores under the name of our first snapshot replaces it.
  const snapshots = [{ key: "snapshot", size: 1, createdAt: new Date(500), generation, index: 0 }];
  for (const notedCount of [0, 1, 2, 500, 997, 998, 999]) {
    const segments = Array.from({ length: 1000 }, (_, index) => {
      const createdAt = new Date(1000 + index);
      return { key: `${index}`, size: 1, createdAt, generation, index, offset: 0 };
    });
    const looked = new Set<string>();
    const momentOf = ({ key, createdAt }: { key: string; createdAt: Date }) => {
      looked.add(key);
      const isNoted = key !== "snapshot" && Number(key) < notedCount;
      return Promise.resolve({ at: isNoted ? new Date(1e6 + Number(key)) : createdAt, isNoted, offset: 0 });
    };
    const { startAt, endAt } = await boundsOf({ generation, snapshots, segments }, momentOf);
    assert.equal(startAt.getTime(), 500);
    assert.equal(endAt.getTime(), notedCount === 0 ? 1999 : 1e6 + notedCount - 1, `${notedCount} notes`);
    assert.ok(looked.size <= 25, `${looked.size} looks`);
  }
});

test("boundsOf() begins what Litestream began and we went on with by the first note, with few looks", async () => {
  const generation = "0123456789abcdef";
  const createdAt = new Date(2e6);
  const snapshots = [{ key: "snapshot", size: 1, createdAt, generation, index: 0 }];
  for (const unnotedCount of [1, 2, 500, 998, 999]) {
    const segments = Array.from(
      { length: 1000 },
      (_, nth) => ({ key: `${nth}`, size: 1, createdAt, generation, index: 0, offset: nth }),
    );
    const looked = new Set<string>();
    const momentOf = ({ key }: { key: string }) => {
      looked.add(key);
      const isNoted = Number(key) >= unnotedCount;
      return Promise.resolve({ at: isNoted ? new Date(Number(key)) : createdAt, isNoted, offset: 0 });
    };
    const { startAt, endAt } = await boundsOf({ generation, snapshots, segments }, momentOf);
    assert.deepEqual([startAt.getTime(), endAt.getTime()], [unnotedCount, 999]);
    assert.ok(looked.size <= 25, `${looked.size} looks`);
  }
});

test("inStoredOrder() has generations without notes at their ends follow others as the store got them", () => {
  const unnoted = (name: string, start: number, end: number, storedEnd: number) => ({
    ...bounds(name, start, end),
    isNoted: false,
    storedEndAt: new Date(storedEnd * 1000),
  });
  // Ours of when the clock was 1000 s ahead; one that we began then and Litestream went on with; Litestream's own.
  const ours = { ...unnoted("ours", 1010, 1100, 100), isNoted: true };
  const shared = unnoted("shared", 1101, 1102, 300);
  const theirs = unnoted("theirs", 350, 400, 400);
  const chosen = (all: readonly Bounds[], target: RestoreTarget = latest) =>
    (chooseBounds(inStoredOrder(all), target) as { name?: string } | undefined)?.name;
  for (const all of [[ours, shared, theirs], [theirs, shared, ours], [shared, theirs, ours]]) {
    assert.equal(chosen(all), "theirs");
    assert.equal(chosen(all, until(360)), "theirs");
  }
  for (const all of [[ours, theirs], [theirs, ours]]) {
    assert.equal(chosen(all), "theirs");
    assert.equal(chosen(all, until(360)), "theirs");
    assert.equal(chosen(all, until(1050)), "ours");
  }
  // Ours again after two of theirs: a little later than the newest note, until the clock has come to that.
  const second = unnoted("their second", 450, 500, 500);
  const again = { ...unnoted("ours again", 1100.001, 1100.001, 600), isNoted: true };
  for (const all of [[ours, theirs, again], [ours, theirs, second, again], [again, second, theirs, ours]]) {
    assert.equal(chosen(all), "ours again");
  }
  assert.equal(chosen([ours, theirs, second]), "their second");
  const before = unnoted("of before", 1, 9, 9);
  assert.equal(chosen([ours, before]), "ours");
  assert.equal(chosen([before, ours, theirs]), "theirs");
  assert.equal(chosen([ours, shared]), "shared");
  assert.equal(chosen([theirs, unnoted("began last", 390, 400, 400)]), "began last");
  assert.equal(chosen([unnoted("began last", 390, 400, 400), theirs]), "began last");
  assert.equal(chosen([theirs, unnoted("ended first", 390, 395, 395)]), "theirs");
});

test("withoutCopied() takes away what only looks newer than a noted generation since a copy lost its time", () => {
  const at = (seconds: number) => new Date(seconds * 1000);
  const stored = (start: number, end: number) => ({ storedStartAt: at(start), storedEndAt: at(end) });
  const noted = (start: number, end: number, storedTimes: [number, number]) => ({
    ...bounds("noted", start, end),
    notedEndAt: at(end),
    isNoted: true,
    ...stored(...storedTimes),
  });
  const unnoted = (start: number, end: number, notedEnd?: number) => ({
    ...bounds("unnoted", start, end),
    notedEndAt: notedEnd === undefined ? undefined : at(notedEnd),
    isNoted: false,
    ...stored(start, end),
  });
  const hours = (count: number) => count * 3600;
  const copied = noted(100, 200, [1000, 1010]);
  const long = noted(100, 100 + hours(2), [hours(9), hours(9) + 10]);
  const cases = [
    { what: "copied before it", all: [copied, unnoted(990, 995)], isAway: true },
    { what: "copied at the same time", all: [copied, unnoted(1000, 1010)], isAway: true },
    { what: "ours once, copied with it", all: [copied, unnoted(990, 995, 200)], isAway: true },
    { what: "ours later, copied with it", all: [copied, unnoted(990, 995, 201)], isAway: false },
    { what: "not copied", all: [noted(100, 200, [200, 210]), unnoted(150, 205)], isAway: false },
    { what: "stored behind a short one", all: [copied, unnoted(1011, 1020)], isAway: false },
    { what: "copied behind a long one", all: [long, unnoted(hours(9) + 11, hours(10))], isAway: true },
    { what: "gone on with in a copy", all: [long, unnoted(hours(9) + 11, hours(10) + 11)], isAway: false },
    {
      what: "to a moment of the noted one",
      all: [copied, unnoted(990, 995)],
      target: until(100),
      isAway: true,
    },
    { what: "to a moment before it", all: [copied, unnoted(50, 995)], target: until(99), isAway: false },
    { what: "none with notes", all: [unnoted(1000, 1010), unnoted(990, 995)], isAway: false },
  ];
  for (const { what, all, target = latest, isAway } of cases) {
    for (const given of [all, all.toReversed()]) {
      const left = withoutCopied(given, target);
      assert.deepEqual(left, isAway ? given.filter(({ name }) => name === "noted") : given, what);
    }
  }
});

test("boundsOf() passes over objects that are gone since they were listed, but for its ends", async () => {
  const generation = "0123456789abcdef";
  const createdAt = new Date(1000);
  const snapshots = [{ key: "snapshot", size: 1, createdAt, generation, index: 0 }];
  const segments = Array.from({ length: 10 }, (_, index) => {
    return { key: `${index}`, size: 1, createdAt, generation, index, offset: 0 };
  });
  const momentOf = ({ key }: { key: string }) =>
    Number(key) < 9
      ? Promise.reject(new DamagedObjectError(key, "gone", { cause: new NotFoundError("gone") }))
      : Promise.resolve({ at: createdAt, isNoted: false, offset: 0 });
  const found = await boundsOf({ generation, snapshots, segments }, momentOf);
  const [startAt, endAt, storedStartAt, storedEndAt] = Array.from({ length: 4 }, () => createdAt);
  const notedEndAt = undefined;
  assert.deepEqual(found, { startAt, endAt, notedEndAt, isNoted: false, storedStartAt, storedEndAt });
});

test("boundsOf() fails where an object is there and can't be read", async () => {
  const generation = "0123456789abcdef";
  const createdAt = new Date(1000);
  const snapshots = [{ key: "snapshot", size: 1, createdAt, generation, index: 0 }];
  const segments = [0, 1, 2].map((index) => {
    return { key: `${index}`, size: 1, createdAt, generation, index, offset: 0 };
  });
  for (const failure of [new DamagedObjectError("0", "it is damaged"), new Error("the store is away")]) {
    const momentOf = ({ key }: { key: string }) =>
      key === "0" ? Promise.reject(failure) : Promise.resolve({ at: createdAt, isNoted: false, offset: 0 });
    await assert.rejects(boundsOf({ generation, snapshots, segments }, momentOf), failure);
  }
});

test("notedBounds() knows nothing of a generation without a snapshot", async () => {
  const segment = {
    key: "s",
    size: 1,
    createdAt: new Date(1),
    generation: "0".repeat(16),
    index: 0,
    offset: 0,
  };
  const ends = { firstSnapshot: undefined, lastSnapshot: undefined, lastSegment: segment };
  const momentOf = () => assert.fail("nothing needs to be asked for");
  assert.equal(await notedBounds(ends, momentOf), undefined);
});

/** A generation of one snapshot, which is a number of empty pages. */
async function putSnapshot(
  store: ObjectStore,
  { generation, at, pageCount }: { generation: string; at: string; pageCount: number },
): Promise<void> {
  const raw = new Uint8Array(512 * pageCount);
  raw.set(new TextEncoder().encode("SQLite format 3\0"));
  raw.set([2, 0], 16);
  const newestCommitAt = new Date(at);
  const note = {
    kind: "snapshot",
    generation,
    index: 0,
    offset: 0,
    pageSize: 512,
    pageCount,
    newestCommitAt,
  } as const;
  await store.put(snapshotKey({ generation, index: 0 }), encodeObjectBytes(raw, { note }));
}

class WarningLog implements Logger {
  readonly warnings: [string, LogFields | undefined][] = [];
  debug(): void {}
  info(): void {}
  error(): void {}
  warn(message: string, fields?: LogFields): void {
    this.warnings.push([message, fields]);
  }
  with(): Logger {
    return this;
  }
}

const OLDER = { generation: "0000000000000001", at: "2026-01-01", pageCount: 1 };
const NEWER = { generation: "0000000000000002", at: "2026-01-05", pageCount: 2 };

async function pagesOf(options: Omit<RestoreOptions, "outputPath">): Promise<number> {
  using folder = temporaryFolder();
  return (await restore({ ...options, outputPath: join(folder.path, "out.db") })).pageCount;
}

test("restore() takes the generation that reaches farthest, or the one that is named (case 77)", async () => {
  using folder = temporaryFolder();
  const store = new FileStore({ root: folder.path });
  await putSnapshot(store, NEWER);
  await putSnapshot(store, OLDER);
  const clients = [new ReplicaClient(store)];
  assert.equal(await pagesOf({ clients }), 2);
  assert.equal(await pagesOf({ clients, generation: OLDER.generation }), 1);
  assert.equal(await pagesOf({ clients, target: { kind: "moment", at: new Date("2026-01-04") } }), 1);
  await assert.rejects(pagesOf({ clients, generation: "00000000000000ff" }), NoBackupsError);
});

test("restore() takes the replica that reaches farthest (case 78)", async () => {
  using folder = temporaryFolder();
  const stores = ["a", "b"].map((name) => new FileStore({ root: join(folder.path, name) }));
  await putSnapshot(stores[0]!, NEWER);
  await putSnapshot(stores[1]!, OLDER);
  const clients = stores.map((store) => new ReplicaClient(store));
  assert.equal(await pagesOf({ clients }), 2);
  assert.equal(await pagesOf({ clients: clients.toReversed() }), 2);
});

test("restore() takes the replica that has most of a generation, also where all times are alike", async () => {
  using folder = temporaryFolder();
  const built = await buildReplica({ folder: folder.path, withNotes: false });
  const behind = join(folder.path, "behind");
  cpSync(built.root, behind, { recursive: true });
  rmSync(join(behind, built.objects.at(-1)!.key));
  // As a clock that was ahead leaves them.
  const at = new Date("2026-01-01");
  for (const root of [built.root, behind]) {
    for (const { key } of built.objects) {
      if (existsSync(join(root, key))) utimesSync(join(root, key), at, at);
    }
  }
  const outputPath = join(folder.path, "out.db");
  await restore({ clients: [new ReplicaClient(new FileStore({ root: behind })), built.client], outputPath });
  assert.equal(fileHash(outputPath), built.finalState);
});

test("restore() takes the replica that reaches farthest, whichever's last segment starts later", async () => {
  using folder = temporaryFolder();
  const built = await buildReplica({ folder: folder.path, indexCount: 2, segmentsPerIndex: 4 });
  const parts = built.objects.slice(-4);
  /** The replica with so many of the last index's segments, those from the second on as one. */
  const replicaOf = async (name: string, { count, isJoined }: { count: number; isJoined: boolean }) => {
    const root = join(folder.path, name);
    cpSync(built.root, root, { recursive: true });
    const store = new FileStore({ root });
    await store.delete(parts.slice(count).map(({ key }) => key));
    if (!isJoined) return new ReplicaClient(store, name);
    const decoded = await Promise.all(
      parts.slice(1, count).map(async ({ key }) =>
        decodeObjectBytes(await readAll(await store.get(key), { limit: 1e7 }))
      ),
    );
    await store.delete(parts.slice(2, count).map(({ key }) => key));
    const { newestCommitAt } = decoded.at(-1)!.note!;
    const note = { ...decoded[0]!.note!, newestCommitAt };
    const raw = Buffer.concat(decoded.map(({ raw }) => raw));
    await store.put(parts[1]!.key, encodeObjectBytes(raw, { note }));
    return new ReplicaClient(store, name);
  };
  const whole = await replicaOf("whole", { count: 4, isJoined: true });
  for (const count of [3, 2]) {
    const behind = await replicaOf(`behind-${count}`, { count, isJoined: false });
    for (const clients of [[whole, behind], [behind, whole]]) {
      const outputPath = join(folder.path, `${crypto.randomUUID()}.db`);
      await restore({ clients, outputPath });
      assert.equal(fileHash(outputPath), built.finalState, `before ${behind.name}`);
    }
  }
});

test("restore() passes over a replica that can't be read while another has something (case 78)", async () => {
  using folder = temporaryFolder();
  const good = new FileStore({ root: join(folder.path, "good") });
  await putSnapshot(good, OLDER);
  const bad = new ReplicaClient(new FileStore({ root: join(folder.path, "gone"), mustExist: true }), "bad");
  const logger = new WarningLog();
  assert.equal(await pagesOf({ clients: [bad, new ReplicaClient(good)], logger }), 1);
  assert.deepEqual(logger.warnings.map(([message, fields]) => [message, fields?.["replica"]]), [
    ["replica cannot be read, restoring from another", "bad"],
  ]);
  const empty = new ReplicaClient(new FileStore({ root: join(folder.path, "empty") }));
  await assert.rejects(pagesOf({ clients: [bad, empty] }), (error) => !(error instanceof NoBackupsError));
});

test("restore() finds no backups in a replica that is empty or not there (case 74)", async () => {
  using folder = temporaryFolder();
  const clients = [new ReplicaClient(new FileStore({ root: join(folder.path, "nothing") }))];
  const place = join(folder.path, "nothing");
  await assert.rejects(pagesOf({ clients }), {
    name: "NoBackupsError",
    message: `no matching backups found in ${place}: look at what is given, and with "walbrook generations"`,
  });
  await assert.rejects(pagesOf({ clients, generation: "0123456789abcdef" }), {
    name: "NoBackupsError",
    message: `no matching backups found of generation 0123456789abcdef in ${place}: look at what is given, ` +
      'and with "walbrook generations"',
  });
});

test("restore() does not call wal without a snapshot an empty replica", async () => {
  using folder = temporaryFolder();
  const replica = await buildReplica({ folder: folder.path, indexCount: 1, withStates: false });
  const key = snapshotKey({ generation: replica.generation, index: 0 });
  renameSync(join(replica.root, key), join(folder.path, "away"));
  for (const target of [latest, until(2e9)]) {
    await assert.rejects(
      pagesOf({ clients: [replica.client], target }),
      (error) => !(error instanceof NoBackupsError) && describeError(error).includes(key),
    );
  }
});

test("restore() of an earlier generation names a later one that has wal but no snapshot", async () => {
  using folder = temporaryFolder();
  const store = new FileStore({ root: folder.path });
  await putSnapshot(store, OLDER);
  const bytes = encodeObjectBytes(new Uint8Array(32));
  const put = ({ generation }: { generation: string }, seconds: number) => {
    const key = segmentKey({ generation, index: 3, offset: 0 });
    return store.put(key, bytes).then(() => utimesSync(join(folder.path, key), seconds, seconds));
  };
  const clients = [new ReplicaClient(store)];
  const warned = async (options: Pick<RestoreOptions, "generation" | "target"> = {}) => {
    const logger = new WarningLog();
    await pagesOf({ clients, logger, ...options });
    return logger.warnings.map(([, fields]) => fields?.["missing"]);
  };
  const laterSeconds = Date.now() / 1000 + 60;
  await put(NEWER, laterSeconds);
  assert.deepEqual(await warned(), [snapshotKey({ generation: NEWER.generation, index: 3 })]);
  assert.deepEqual(
    await warned({ target: { kind: "moment", at: new Date("2026-01-04") } }),
    [],
    "not of then",
  );
  assert.deepEqual(await warned({ generation: OLDER.generation }), [], "asked for");
  await put(NEWER, 1000);
  assert.deepEqual(await warned(), [], "left over from long ago");
});

test("chooseGeneration() passes over a generation with nothing of the format, and ends when its signal fires", async () => {
  using folder = temporaryFolder();
  const { client, root, generation } = await buildReplica({ folder: folder.path, indexCount: 1 });
  const empty = "ffffffffffffffff";
  mkdirSync(join(root, "generations", empty, "wal"), { recursive: true });
  writeFileSync(join(root, "generations", empty, "wal", "readme.txt"), "nothing of ours");
  assert.deepEqual(await client.generations(), [generation, empty]);
  const broken = new ReplicaClient(new FaultyStore(client.store), "broken");
  (broken.store as FaultyStore).rules.push({ method: "listFolders", times: Infinity });
  const { signal } = new AbortController();
  const options = { generation: undefined, target: latest, logger: silentLogger };
  const choice = await chooseGeneration([broken, client], { ...options, signal });
  assert.equal(choice.client, client);
  assert.equal(choice.inventory.generation, generation);
  const reason = new Error("enough");
  await assert.rejects(
    chooseGeneration([broken, client], { ...options, signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  );
  await assert.rejects(chooseGeneration([client], { ...options, generation: empty }), NoBackupsError);
  const at = new Date(0);
  await assert.rejects(
    chooseGeneration([client], { ...options, target: { kind: "moment", at } }),
    /no matching backups found: /,
  );
});

test("restore() looks at replicas, and at their generations, side by side", async () => {
  using folder = temporaryFolder();
  const stores = ["a", "b"].map((name) => new FaultyStore(new FileStore({ root: join(folder.path, name) })));
  for (const store of stores) {
    await putSnapshot(store, NEWER);
    await putSnapshot(store, OLDER);
  }
  const gates = [
    { method: "listFolders", wanted: 1, ...Promise.withResolvers<void>() },
    { method: "get", wanted: 2, ...Promise.withResolvers<void>() },
  ] as const;
  for (const { rules } of stores) {
    for (const { method, promise: gate } of gates) rules.push({ method, times: Infinity, gate });
  }
  const restored = pagesOf({ clients: stores.map((store) => new ReplicaClient(store)) });
  for (const { method, wanted, resolve } of gates) {
    await waitUntil(() => stores.every((store) => store.of(method).length === wanted), `${method} of both`);
    resolve();
  }
  assert.equal(await restored, 2);
});

test("restore() of large segments ends when its signal fires in the middle of one", async () => {
  using folder = temporaryFolder();
  const large = { indexCount: 1, segmentsPerIndex: 1, pageSize: 16384 };
  const { client, finalState } = await buildReplica({ folder: folder.path, ...large });
  const outputPath = join(folder.path, "out.db");
  const controller = new AbortController();
  const { signal } = controller;
  await restore({ clients: [client], outputPath, signal });
  assert.equal(fileHash(outputPath), finalState);
  const reason = new Error("enough");
  const progress = ({ doneBytes, totalBytes }: { doneBytes: number; totalBytes: number }) => {
    if (doneBytes > totalBytes / 2) controller.abort(reason);
  };
  const other = join(folder.path, "other.db");
  await assert.rejects(
    restore({ clients: [client], outputPath: other, signal, progress }),
    (error) => error === reason,
  );
  assert.equal(existsSync(other), false);
});
