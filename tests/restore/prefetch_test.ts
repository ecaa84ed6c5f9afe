import { test } from "node:test";
import assert from "node:assert/strict";
import { statSync, truncateSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "../../src/async.ts";
import { concatBytes, equalBytes } from "../../src/bytes.ts";
import { DamagedObjectError } from "../../src/errors.ts";
import { FetchError } from "../../src/restore/damage.ts";
import { FAR_PIECE_SIZE, PIECE_SIZE, Prefetcher } from "../../src/restore/prefetch.ts";
import { restore } from "../../src/restore/restore.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import type { ObjectInfo, ReadPart } from "../../src/storage/object_store.ts";
import { buildReplica, fileHash } from "../builders/replica_builder.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { CountingStore } from "../doubles/counting_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { failFiles } from "../doubles/failing_files.ts";
import { HAS_COSTLY_CONNECTIONS } from "../../src/runtime/memory.ts";
import { systemFiles } from "../../src/runtime/files.ts";

const SIZES = [
  0,
  1,
  3 * PIECE_SIZE + 5,
  PIECE_SIZE - 1,
  7,
  PIECE_SIZE,
  PIECE_SIZE + 1,
  70_000,
  2 * PIECE_SIZE,
];

function bytesOf(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 997) bytes[at] = (at * 31 + size) & 0xff;
  return bytes;
}

async function storeOf(folder: string): Promise<{ store: FileStore; objects: ObjectInfo[] }> {
  const store = new FileStore({ root: folder });
  const objects: ObjectInfo[] = [];
  for (const [nth, size] of SIZES.entries()) objects.push(await store.put(`o/${nth}`, bytesOf(size)));
  return { store, objects };
}

async function readStream(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of stream) parts.push(chunk.slice());
  return concatBytes(parts);
}

/** Counts the requests that are open at once. */
class BusyStore extends FileStore {
  most = 0;
  /** Nothing comes before so long. */
  lateMs = 0;
  #open = 0;

  enter(): void {
    this.most = Math.max(this.most, ++this.#open);
  }

  leave(): void {
    this.#open--;
  }

  override async get(...args: Parameters<FileStore["get"]>): Promise<ReadableStream<Uint8Array>> {
    this.enter();
    const whole = await readStream(await super.get(...args));
    if (this.lateMs > 0) await sleep(this.lateMs);
    this.leave();
    return new ReadableStream({
      start(controller) {
        controller.enqueue(whole);
        controller.close();
      },
    });
  }
}

/** The same, whatever it is asked by. */
class BusyFiles extends BusyStore {
  override async read(...args: Parameters<FileStore["read"]>): Promise<ReadPart> {
    this.enter();
    const part = await super.read(...args);
    this.leave();
    return part;
  }
}

/** The same behind a network. */
class FarStore extends CountingStore {
  override get type(): string {
    return "s3";
  }
}

test("Prefetcher notices an object that is replaced between two of its pieces by one of its length", async () => {
  using folder = temporaryFolder();
  let version = "1";
  class VersionedStore extends FileStore {
    override async read(...args: Parameters<FileStore["read"]>): Promise<ReadPart> {
      return { ...await super.read(...args), version };
    }
  }
  const store = new VersionedStore({ root: folder.path });
  const size = 4 * PIECE_SIZE;
  const object = await store.put("large", bytesOf(size));
  await using prefetcher = new Prefetcher(new ReplicaClient(store), [object], { parallelism: 1 });
  const chunks = (await prefetcher.next(object)).stream().getReader();
  await chunks.read();
  await store.put("large", new Uint8Array(size));
  version = "2";
  const rest = async () => {
    while (!(await chunks.read()).done);
  };
  // Nothing is wrong with the replica.
  await assert.rejects(rest(), (error) => {
    return error instanceof FetchError &&
      /large was replaced while it was read; read it again$/.test(error.message);
  });
});

test("Prefetcher asks a store that is far away for many times as many small objects at once, not for more bytes", async () => {
  using folder = temporaryFolder();
  const busy = new BusyStore({ root: folder.path });
  const small: ObjectInfo[] = [];
  const large: ObjectInfo[] = [];
  for (let nth = 0; nth < 300; nth++) small.push(await busy.put(`small/${nth}`, bytesOf(64 * 1024)));
  for (let nth = 0; nth < 6; nth++) large.push(await busy.put(`large/${nth}`, bytesOf(64 * 1024 + 1)));
  const looks = [[small, 1, 1], [small, 2, HAS_COSTLY_CONNECTIONS ? 16 : 32], [small, 64, 256], [
    small,
    300,
    300,
  ], [large, 2, 2]] as const;
  for (const [objects, parallelism, most] of looks) {
    busy.most = 0;
    await using source = new Prefetcher(new ReplicaClient(new FarStore(busy)), objects, { parallelism });
    for (const object of objects) {
      assert.deepEqual((await source.next(object)).whole, bytesOf(object.size));
    }
    assert.equal(busy.most, most);
  }
});

test("Prefetcher uses the same buffers for pieces of all sizes from far away", async () => {
  using folder = temporaryFolder();
  const busy = new BusyStore({ root: folder.path });
  const acquired = new Set<ArrayBufferLike>();
  class Buffers extends FarStore {
    async read(...[key, options]: Parameters<FileStore["read"]>): Promise<ReadPart> {
      const acquire = () => {
        const bytes = options.acquire();
        acquired.add(bytes.buffer);
        return bytes;
      };
      const part = await busy.read(key, { ...options, acquire });
      return { ...part, bytes: acquire().subarray(0, part.bytes.length) };
    }
  }
  const objects: ObjectInfo[] = [];
  for (let nth = 0; nth < 40; nth++) {
    objects.push(await busy.put(`o/${nth}`, bytesOf(PIECE_SIZE + 1 + nth * 20_000)));
  }
  await using source = new Prefetcher(new ReplicaClient(new Buffers(busy)), objects, {
    parallelism: 8,
    nowMs: () => 0,
  });
  for (const object of objects) {
    const { length } = await readStream((await source.next(object)).stream());
    assert.equal(length, object.size);
  }
  assert.ok(acquired.size <= 8, `${acquired.size} buffers`);
});

test("Prefetcher asks a store that is far away for larger pieces of a large object, and fewer at once", async () => {
  using folder = temporaryFolder();
  const busy = new BusyStore({ root: folder.path });
  const content = bytesOf(20 * PIECE_SIZE + 1);
  const object = await busy.put("large", content);
  for (const [parallelism, most] of [[8, 6], [2, 2], [1, 1]] as const) {
    busy.most = 0;
    const client = new ReplicaClient(new FarStore(busy));
    await using source = new Prefetcher(client, [object], { parallelism, nowMs: () => 0 });
    const sizes: number[] = [];
    let at = 0;
    for await (const piece of (await source.next(object)).stream()) {
      assert.ok(equalBytes(piece, content.subarray(at, at += piece.length)), `piece ${sizes.length}`);
      sizes.push(piece.length);
    }
    assert.deepEqual(sizes, [...Array.from({ length: 10 }, () => FAR_PIECE_SIZE), 1]);
    assert.equal(busy.most, most);
  }
});

test("Prefetcher asks for more pieces at once where they are long on their way, not where the line is full", async () => {
  using folder = temporaryFolder();
  const busy = new BusyStore({ root: folder.path });
  busy.lateMs = 10;
  const object = await busy.put("large", bytesOf(60 * PIECE_SIZE));
  for (const [stepMs, most] of [[10, 12], [1, 6], [100, 6]] as const) {
    busy.most = 0;
    let timeMs = 0;
    const client = new ReplicaClient(new FarStore(busy));
    // Between the beginning of a piece and its end those of some five others are asked for the time.
    const nowMs = () => timeMs += stepMs;
    await using source = new Prefetcher(client, [object], { parallelism: 8, nowMs });
    for await (const piece of (await source.next(object)).stream()) {
      assert.equal(piece.length, FAR_PIECE_SIZE);
    }
    assert.equal(busy.most, most, `${stepMs} ms`);
  }
});

test("Prefetcher gives objects of every size in order, with no more requests at once than asked for", async () => {
  using folder = temporaryFolder();
  const { objects } = await storeOf(folder.path);
  for (const parallelism of [1, 3, 8]) {
    const store = new BusyFiles({ root: folder.path });
    let counted = 0;
    const options = { parallelism, onBytes: (count: number) => void (counted += count) };
    await using source = new Prefetcher(new ReplicaClient(store), objects, options);
    for (const object of objects) {
      const fetched = await source.next(object);
      assert.equal(fetched.whole === undefined, object.size > PIECE_SIZE);
      assert.deepEqual(await readStream(fetched.stream()), bytesOf(object.size), object.key);
    }
    assert.equal(counted, SIZES.reduce((sum, size) => sum + size, 0));
    assert.equal(store.most, parallelism);
  }
});

test("Prefetcher drops what was left unread of an object, also where that fails", async () => {
  using folder = temporaryFolder();
  const { store, objects } = await storeOf(folder.path);
  const large = objects[2]!;
  for (const size of [3 * PIECE_SIZE + 5, PIECE_SIZE + 1]) {
    // Pieces of a file that is too long, and nothing at all, are both in the way.
    const listed = [{ ...large, size }, { ...large, key: "o/none" }, objects[7]!];
    // In a store that has no `read()`, which would tell of the first at once.
    const client = new ReplicaClient(new FarStore(store));
    await using source = new Prefetcher(client, listed, { parallelism: 2 });
    const reader = (await source.next(listed[0]!)).stream().getReader();
    assert.equal((await reader.read()).value?.length, Math.min(size, FAR_PIECE_SIZE));
    await reader.cancel();
    assert.deepEqual(await readStream((await source.next(listed[2]!)).stream()), bytesOf(70_000));
  }
});

test("Prefetcher names an object that went away or grew, and passes on that one became shorter (case 86)", async () => {
  using folder = temporaryFolder();
  const { store, objects } = await storeOf(folder.path);
  const third = objects[2]!;
  const read = async (object: ObjectInfo) => {
    await using source = new Prefetcher(new ReplicaClient(store), [object], { parallelism: 2 });
    return await readStream((await source.next(object)).stream());
  };
  const isDamage = (error: unknown) => error instanceof DamagedObjectError && error.key.startsWith("o/");
  await assert.rejects(read({ ...objects[4]!, size: 6 }), isDamage);
  await assert.rejects(read({ ...third, size: PIECE_SIZE + 1 }), isDamage);
  truncateSync(join(folder.path, third.key), PIECE_SIZE + 9);
  assert.equal((await read(third)).length, PIECE_SIZE + 9);
  unlinkSync(join(folder.path, third.key));
  await assert.rejects(read(third), isDamage);
});

test("Prefetcher tells a store that fails from an object that is damaged", async () => {
  using folder = temporaryFolder();
  const { objects } = await storeOf(folder.path);
  const { files } = failFiles(systemFiles, [{ kind: "read", code: "EIO", times: Infinity }]);
  const store = new FileStore({ root: folder.path, files });
  await using source = new Prefetcher(new ReplicaClient(store), objects.slice(1), { parallelism: 4 });
  await assert.rejects(source.next(objects[1]!), (error) => error instanceof FetchError);
});

test("restore() takes objects of many pieces", async () => {
  using folder = temporaryFolder();
  const replica = await buildReplica({
    folder: folder.path,
    pageSize: 65536,
    indexCount: 3,
    snapshotIndexes: [2],
    withStates: false,
  });
  const snapshot = replica.objects.findLast((object) => object.offset === undefined)!;
  assert.ok(statSync(join(replica.root, snapshot.key)).size > 2 * PIECE_SIZE, "the snapshot is too small");
  for (const parallelism of [1, 8]) {
    const outputPath = join(folder.path, `out-${parallelism}.db`);
    await restore({ clients: [replica.client], outputPath, parallelism });
    assert.equal(fileHash(outputPath), replica.finalState);
  }
});
