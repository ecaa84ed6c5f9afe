import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readAll, streamOf } from "../../src/bytes.ts";
import { NotFoundError } from "../../src/errors.ts";
import { CountingStore } from "../doubles/counting_store.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import type { ListOptions, ObjectInfo } from "../../src/storage/object_store.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { segmentKey, snapshotKey } from "../../src/storage/keys.ts";
import { MemoryStore } from "../doubles/memory_store.ts";
import { recordFiles } from "../doubles/recording_files.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const A = "16dbc2d6d6dfa285";
const B = "5efbd8d042012dca";
const C = "b16ddcf5c697540f";

async function fill(client: ReplicaClient, keys: string[]): Promise<void> {
  for (const [size, key] of keys.entries()) await client.store.put(key, new Uint8Array(size + 1));
}

test("ReplicaClient.generations() sorts them and passes over what is none (case 56)", async () => {
  using folder = temporaryFolder();
  const client = new ReplicaClient(new FileStore({ root: folder.path }));
  assert.deepEqual(await client.generations(), []);
  const foreign = ["not-a-generation", A.toUpperCase(), `${A}0`, A.slice(1), `${A.slice(1)}g`];
  await fill(client, [C, A, B].map((generation) => snapshotKey({ generation, index: 0 })));
  await fill(client, foreign.map((name) => `generations/${name}/snapshots/00000000.snapshot.lz4`));
  fs.writeFileSync(join(folder.path, "generations", "0000000000000000"), "a file, not a folder");
  assert.deepEqual(await client.generations(), [A, B, C]);
});

test("ReplicaClient.snapshots() gives index, stored size and time by rising index (case 57)", async () => {
  using folder = temporaryFolder();
  const client = new ReplicaClient(new FileStore({ root: folder.path }));
  await fill(client, [
    snapshotKey({ generation: A, index: 0x3e8 }),
    snapshotKey({ generation: A, index: 1 }),
    snapshotKey({ generation: B, index: 0 }),
    segmentKey({ generation: A, index: 0, offset: 0 }),
    `generations/${A}/snapshots/0000000A.snapshot.lz4`,
    `generations/${A}/snapshots/deeper/00000002.snapshot.lz4`,
  ]);
  const found = await client.snapshots(A);
  assert.deepEqual(found.map(({ generation, index, size }) => ({ generation, index, size })), [
    { generation: A, index: 1, size: 2 },
    { generation: A, index: 0x3e8, size: 1 },
  ]);
  assert.ok(found.every((snapshot) => Math.abs(snapshot.createdAt.getTime() - Date.now()) < 60_000));
  assert.deepEqual(await client.snapshots(C), []);
});

test("ReplicaClient.segments() sorts by index, then by offset as a number (case 82)", async () => {
  using folder = temporaryFolder();
  const client = new ReplicaClient(new FileStore({ root: folder.path }));
  const positions = [[2, 0], [0, 0x123456789], [0, 0xfffffff0], [1, 4152], [0, 0], [1, 32]] as const;
  await fill(client, positions.map(([index, offset]) => segmentKey({ generation: A, index, offset })));
  await fill(client, [`generations/${A}/wal/00000001.wal.lz4`, snapshotKey({ generation: A, index: 9 })]);
  const found = await client.segments(A);
  assert.deepEqual(
    found.map(({ index, offset }) => [index, offset]),
    [[0, 0], [0, 0xfffffff0], [0, 0x123456789], [1, 32], [1, 4152], [2, 0]],
  );
  assert.equal(found[3]!.key, segmentKey({ generation: A, index: 1, offset: 32 }));
  assert.deepEqual(await client.segments(B), []);
});

test("ReplicaClient.snapshots() and segments() refuse an empty generation", async () => {
  const client = new ReplicaClient(new FileStore({ root: "/nowhere" }));
  await assert.rejects(client.snapshots(""), {
    message: "cannot determine snapshots path: generation required",
  });
  await assert.rejects(client.segments(""), { message: "cannot determine wal path: generation required" });
  await assert.rejects(client.deleteGeneration(""), {
    message: "cannot determine generation path: generation required",
  });
});

test("a snapshot and a segment come back byte for byte through the store (case 58)", async () => {
  using folder = temporaryFolder();
  const { store } = new ReplicaClient(new FileStore({ root: folder.path }));
  const keys = [snapshotKey({ generation: A, index: 0 }), segmentKey({ generation: A, index: 0, offset: 0 })];
  for (const key of keys) {
    await assert.rejects(store.get(key), NotFoundError);
    await store.put(key, streamOf(new TextEncoder().encode(key)));
    assert.equal(new TextDecoder().decode(await readAll(await store.get(key), { limit: 1000 })), key);
  }
});

test("segments of two generations are deleted in one call, missing ones too (case 59)", async () => {
  using folder = temporaryFolder();
  const client = new ReplicaClient(new FileStore({ root: folder.path }));
  const keys = [A, B].flatMap((generation) =>
    [0, 1].map((index) => segmentKey({ generation, index, offset: 0 }))
  );
  await fill(client, keys);
  await client.store.delete([keys[0]!, keys[3]!, segmentKey({ generation: C, index: 0, offset: 0 })]);
  assert.deepEqual((await client.segments(A)).map((segment) => segment.index), [1]);
  assert.deepEqual((await client.segments(B)).map((segment) => segment.index), [0]);
  await client.store.delete([keys[0]!]);
});

test("ReplicaClient.deleteGeneration() takes one generation whole and leaves the others", async () => {
  using folder = temporaryFolder();
  const client = new ReplicaClient(new FileStore({ root: folder.path }));
  for (const generation of [A, B]) {
    await fill(client, [
      snapshotKey({ generation, index: 0 }),
      segmentKey({ generation, index: 0, offset: 0 }),
      segmentKey({ generation, index: 1, offset: 0 }),
    ]);
  }
  await client.deleteGeneration(A);
  assert.deepEqual(await client.generations(), [B]);
  assert.equal(fs.existsSync(join(folder.path, "generations", A)), false);
  assert.equal((await client.segments(B)).length, 2);
  await client.deleteGeneration(A);
  await client.deleteGeneration(C);
});

test("ReplicaClient is named after its store's type unless told otherwise (case 114)", () => {
  const store = new FileStore({ root: "/backup" });
  assert.equal(new ReplicaClient(store).name, "file");
  assert.equal(new ReplicaClient(store, "second").name, "second");
});

/** Remembers how each listing was asked for, and lists by name as most servers do, or the other way round. */
class ListingStore extends CountingStore {
  readonly afters: (string | undefined)[] = [];
  isReversed = false;

  override async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    this.afters.push(options.after);
    const objects: ObjectInfo[] = [];
    for await (const object of super.list(prefix, options)) objects.push(object);
    objects.sort((left, right) => left.key < right.key ? -1 : 1);
    if (this.isReversed) objects.reverse();
    yield* objects.filter(({ key }) => key > (options.after ?? ""));
  }
}

class FarListingStore extends ListingStore {
  override get type(): string {
    return "s3";
  }
}

test("ReplicaClient.newest() takes one listing of a short history and two of a long one", async () => {
  using folder = temporaryFolder();
  const store = new ListingStore(new FileStore({ root: folder.path }));
  const client = new ReplicaClient(store);
  const look = async (fromIndex: number) => {
    store.afters.length = 0;
    const { snapshot, segments } = await client.newest(A, { fromIndex });
    const segment = segments.at(-1);
    return [snapshot?.index, segment?.index, segment?.offset, store.afters.length];
  };
  assert.deepEqual(await look(0), [undefined, undefined, undefined, 1]);
  await fill(client, [3, 5].map((index) => snapshotKey({ generation: A, index })));
  await fill(client, [segmentKey({ generation: A, index: 5, offset: 32 }), `generations/${A}/wal/x`]);
  assert.deepEqual(await look(7), [5, 5, 32, 1]);
  const folderPath = join(folder.path, "generations", A, "wal");
  for (let index = 6; index < 1006; index++) {
    fs.writeFileSync(
      join(folderPath, segmentKey({ generation: A, index, offset: 0 }).split("/").at(-1)!),
      "",
    );
  }
  assert.deepEqual(await look(1005), [5, 1005, 0, 2]);
  assert.equal(store.afters[1], `generations/${A}/wal/000003ed`);
  assert.deepEqual(await look(2000), [5, 1005, 0, 3], "a replica that is farther behind than was hoped");
  store.isReversed = true;
  assert.deepEqual(await look(1005), [5, 1005, 0, 3], "a store that lists in another order");
});

test("ReplicaClient.ends() gives the first and the last objects as listed, looking at nothing else", async () => {
  using folder = temporaryFolder();
  const { files, calls } = recordFiles(systemFiles, { kinds: ["stat"] });
  const client = new ReplicaClient(new FileStore({ root: folder.path, files }));
  const segments = [[0, 0], [0, 0x123456789], [0, 0xfffffff0], [1, 32], [1, 0]] as const;
  await fill(client, segments.map(([index, offset]) => segmentKey({ generation: A, index, offset })));
  await fill(client, [2, 0, 1].map((index) => snapshotKey({ generation: A, index })));
  await fill(client, [
    `generations/${A}/wal/foreign`,
    segmentKey({ generation: B, index: 0, offset: 0xfffffff0 }),
  ]);
  await fill(client, [segmentKey({ generation: B, index: 0, offset: 0x123456789 })]);
  for (const generation of [A, B, C]) {
    calls.length = 0;
    const ends = await client.ends(generation);
    assert.ok(calls.filter(({ path }) => path.endsWith(".lz4")).length <= 3);
    const snapshots = await client.snapshots(generation);
    assert.deepEqual(ends, {
      firstSnapshot: snapshots[0],
      lastSnapshot: snapshots.at(-1),
      lastSegment: (await client.segments(generation)).at(-1),
    });
  }
});

test("ReplicaClient.ends() gives nothing where an end is gone, or the store has no keys alone", async () => {
  using folder = temporaryFolder();
  const client = new ReplicaClient(new FileStore({ root: folder.path }));
  await fill(client, [snapshotKey({ generation: A, index: 0 })]);
  fs.symlinkSync("nowhere", join(folder.path, snapshotKey({ generation: A, index: 1 })));
  assert.equal(await client.ends(A), undefined);
  assert.equal(await new ReplicaClient(new CountingStore(client.store)).ends(A), undefined);
});

test("ReplicaClient.objects() takes one listing where names come in order, and WAL after the snapshots elsewhere", async () => {
  using folder = temporaryFolder();
  const store = new FarListingStore(new FileStore({ root: folder.path }));
  const client = new ReplicaClient(store);
  await fill(client, [5, 3].map((index) => snapshotKey({ generation: A, index })));
  await fill(client, [segmentKey({ generation: A, index: 5, offset: 32 }), `generations/${A}/wal/x`]);
  for (const [isReversed, listCount] of [[false, 1], [true, 3]] as const) {
    store.isReversed = isReversed;
    store.afters.length = 0;
    const { snapshots, segments } = await client.objects(A);
    assert.deepEqual(snapshots.map(({ index }) => index), [3, 5]);
    assert.deepEqual(segments.map(({ index, offset }) => [index, offset]), [[5, 32]]);
    assert.equal(store.afters.length, listCount);
  }
});

test("ReplicaClient.allObjects() takes one listing where names come in order, whatever number of generations", async () => {
  using folder = temporaryFolder();
  const files = new FileStore({ root: folder.path });
  const store = new FarListingStore(files);
  for (const generation of [B, A]) {
    await fill(new ReplicaClient(files), [
      ...[5, 3].map((index) => snapshotKey({ generation, index })),
      segmentKey({ generation, index: 5, offset: 32 }),
      `generations/${generation}/wal/x`,
    ]);
  }
  await fill(new ReplicaClient(files), [`generations/${A}0/snapshots/00000000.snapshot.lz4`]);
  const seen = async (client: ReplicaClient, wanted?: string) =>
    (await client.allObjects({ wanted })).map(({ generation, snapshots, segments }) => [
      generation,
      snapshots.map(({ index }) => index).sort(),
      segments.map(({ index, offset }) => [index, offset]),
    ]);
  const of = (generation: string) => [generation, [3, 5], [[5, 32]]];
  const far = new ReplicaClient(store);
  const looks = [
    { client: far, expected: [of(A), of(B)], listed: ["generations/"] },
    { client: far, wanted: B, expected: [of(B)], listed: [`generations/${B}/`] },
    { client: far, wanted: C, expected: [[C, [], []]], listed: [`generations/${C}/`] },
    { client: far, wanted: "../else", expected: [], listed: [] },
    { client: new ReplicaClient(files), expected: [of(A), of(B)] },
  ];
  for (const { client, wanted, expected, listed } of looks) {
    store.lists.length = 0;
    assert.deepEqual(await seen(client, wanted), expected);
    if (listed !== undefined) assert.deepEqual(store.lists, listed);
  }
  store.isReversed = true;
  store.lists.length = 0;
  assert.deepEqual(await seen(far), [of(A), of(B)], "what a snapshot needs is listed after it");
  const last = (generation: string) => store.lists.lastIndexOf(`generations/${generation}/wal/`);
  for (const generation of [A, B]) {
    assert.ok(last(generation) > store.lists.lastIndexOf(`generations/${generation}/snapshots/`));
  }
});

test("ReplicaClient.times() tells from when to when objects came, from the first snapshot's index on", async () => {
  const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second));
  const object = (key: string, second: number) =>
    [key, { bytes: new Uint8Array(1), createdAt: at(second) }] as const;
  const before = object(segmentKey({ generation: A, index: 2, offset: 0 }), 1);
  const snapshots = [[5, 30], [3, 20]].map(([index, second]) =>
    object(snapshotKey({ generation: A, index: index! }), second!)
  );
  const segments = [[3, 50], [5, 40]].map(([index, second]) =>
    object(segmentKey({ generation: A, index: index!, offset: 0 }), second!)
  );
  const foreign = [
    object(`generations/${A}/wal/foreign`, 0),
    object(`generations/${A}/snapshots/foreign`, 0),
    object(segmentKey({ generation: B, index: 9, offset: 0 }), 59),
  ];
  const cases = [
    [[], undefined],
    [[...foreign], undefined],
    [[before, ...segments, ...foreign], { startAt: at(1), endAt: at(50), isRestorable: false }],
    [[...snapshots, ...foreign], { startAt: at(20), endAt: at(30), isRestorable: true }],
    // A clock that went back: neither the first nor the last object by name is the earliest or the latest.
    [[before, ...segments, ...snapshots, ...foreign], {
      startAt: at(20),
      endAt: at(50),
      isRestorable: true,
    }],
  ] as const;
  for (const [objects, expected] of cases) {
    const byName = objects.toSorted(([left], [right]) => left < right ? -1 : 1);
    for (const order of [byName, byName.toReversed(), objects]) {
      const client = new ReplicaClient(new MemoryStore(new Map(order)));
      assert.deepEqual(await client.times(A), expected);
    }
  }
});

test("ReplicaClient.times() takes one listing where names come in order, and looks at each file of a folder once", async () => {
  using folder = temporaryFolder();
  const { files, calls } = recordFiles(systemFiles, { kinds: ["stat"] });
  const inner = new FileStore({ root: folder.path, files });
  const keys = [5, 3].flatMap((index) => [
    snapshotKey({ generation: A, index }),
    segmentKey({ generation: A, index, offset: 0 }),
  ]);
  await fill(new ReplicaClient(inner), keys);
  const store = new FarListingStore(inner);
  for (const [isReversed, listCount] of [[false, 1], [true, 3]] as const) {
    store.isReversed = isReversed;
    store.afters.length = 0;
    assert.equal((await new ReplicaClient(store).times(A))?.isRestorable, true);
    assert.equal(store.afters.length, listCount);
  }
  calls.length = 0;
  await new ReplicaClient(inner).times(A);
  const looked = calls.map(({ path }) => path.slice(folder.path.length + 1)).filter((path) =>
    path.endsWith(".lz4")
  );
  assert.deepEqual(looked.sort(), keys.sort());
});
