/**
 * The suite that every store passes. A store's test file calls `objectStoreContract` once for each way to open
 * it; the tests then stand in that file, under the name given.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { concatBytes, readAll, streamOf } from "../../src/bytes.ts";
import { NotFoundError } from "../../src/errors.ts";
import { segmentKey, segmentsPrefix, snapshotKey } from "../../src/storage/keys.ts";
import type { ListOptions, ObjectInfo, ObjectStore } from "../../src/storage/object_store.ts";

/** A store to test, rooted at a place that is empty and its own. */
export interface OpenedStore {
  readonly store: ObjectStore;
  /** Closes the store and removes what it holds. */
  cleanup(): Promise<void>;
}

/** The store and what may be asked of it. */
export interface ContractOptions {
  /** In front of every test's name; unique in the repository. */
  readonly name: string;
  open(): Promise<OpenedStore>;
  /** Bytes of the largest object to try. Default 12 MiB. */
  readonly largestSize?: number;
  /** Objects in the listing and deleting tests; more than a page of the server's. Default 2500. */
  readonly manyCount?: number;
  /** How far the store's clock and resolution may be off ours. Default 2 s. */
  readonly clockToleranceMs?: number;
}

const MIB = 1024 * 1024;
const GENERATION = "0123456789abcdef";
const OTHER_GENERATION = "fedcba9876543210";
const KEY = segmentKey({ generation: GENERATION, index: 1, offset: 4152 });

/** Register the suite with `node:test`. */
export function objectStoreContract(options: ContractOptions): void {
  const { name, open } = options;
  const contractTest = (title: string, run: (store: ObjectStore) => Promise<void>) =>
    test(`${name} ${title}`, async () => {
      const { store, cleanup } = await open();
      try {
        await run(store);
      } finally {
        await cleanup();
      }
    });
  roundTrips(contractTest, options);
  ranges(contractTest);
  reads(contractTest, options);
  missingObjects(contractTest);
  listings(contractTest, options);
  failures(contractTest);
  parallelPuts(contractTest);
}

type ContractTest = (title: string, run: (store: ObjectStore) => Promise<void>) => void;

function roundTrips(
  contractTest: ContractTest,
  { largestSize = 12 * MIB, clockToleranceMs = 2000 }: ContractOptions,
) {
  const sizes = [0, 1, 64 * 1024, 5 * MIB - 1, 5 * MIB, 12 * MIB].filter((size) => size <= largestSize);
  for (const size of sizes) {
    contractTest(`put() and get() carry ${size} bytes from an array (cases 58, 62)`, async (store) => {
      const bytes = pattern(size, 1);
      assert.equal((await store.put(KEY, bytes)).size, size);
      await assertHolds(store, KEY, bytes);
    });
    contractTest(
      `put() and get() carry ${size} bytes from a stream in odd chunks that reuses its buffer`,
      async (store) => {
        const bytes = pattern(size, 2);
        assert.equal((await store.put(KEY, reusingStream(bytes, 65_537))).size, size);
        await assertHolds(store, KEY, bytes);
      },
    );
  }
  contractTest("put() takes a stream one byte at a time", async (store) => {
    const bytes = pattern(3000, 3);
    await store.put(KEY, reusingStream(bytes, 1));
    await assertHolds(store, KEY, bytes);
  });
  contractTest("put() takes empty chunks for nothing", async (store) => {
    const none = new Uint8Array(0);
    await store.put(KEY, streamOf(none, pattern(10, 4), none, pattern(5, 5), none));
    await assertHolds(store, KEY, concatBytes([pattern(10, 4), pattern(5, 5)]));
  });
  contractTest("put() replaces a longer and a shorter object", async (store) => {
    for (const size of [5000, 20, 90_000]) {
      await store.put(KEY, pattern(size, size));
      await assertHolds(store, KEY, pattern(size, size));
    }
    assert.equal((await listed(store, "")).length, 1);
  });
  contractTest("put() says what list() says: key, size and a time about now (case 57)", async (store) => {
    const before = Date.now();
    const put = await store.put(KEY, pattern(777, 6));
    const after = Date.now();
    const [object] = await listed(store, segmentsPrefix(GENERATION));
    for (const info of [put, object!]) {
      assert.equal(info.key, KEY);
      assert.equal(info.size, 777);
      assert.ok(
        info.createdAt.getTime() >= before - clockToleranceMs,
        `${info.createdAt.toISOString()} is too early`,
      );
      assert.ok(
        info.createdAt.getTime() <= after + clockToleranceMs,
        `${info.createdAt.toISOString()} is too late`,
      );
    }
  });
}

function ranges(contractTest: ContractTest) {
  const bytes = pattern(1000, 7);
  const cases: [string, { start: number; end?: number }, number, number][] = [
    ["the first byte", { start: 0, end: 1 }, 0, 1],
    ["bytes in the middle", { start: 300, end: 612 }, 300, 612],
    ["the last byte", { start: 999, end: 1000 }, 999, 1000],
    ["the rest from a byte on", { start: 990 }, 990, 1000],
    ["all of it", { start: 0, end: 1000 }, 0, 1000],
    ["no more than there is when the end is past it", { start: 980, end: 5000 }, 980, 1000],
    ["nothing from the end on", { start: 1000 }, 0, 0],
    ["nothing past the end", { start: 4000, end: 5000 }, 0, 0],
    ["nothing for an empty range", { start: 500, end: 500 }, 0, 0],
  ];
  for (const [what, range, start, end] of cases) {
    contractTest(`get() with a range gives ${what}`, async (store) => {
      await store.put(KEY, bytes);
      const read = await readAll(await store.get(KEY, { range }), { limit: 2000 });
      assert.deepEqual(read, bytes.slice(start, end));
    });
  }
}

/** For stores that have `read()`. */
function reads(contractTest: ContractTest, { largestSize = 12 * MIB }: ContractOptions) {
  contractTest("read() gives the bytes that there are, in memory of their own", async (store) => {
    if (store.read === undefined) return;
    const largest = Math.min(largestSize, 3 * MIB);
    for (const size of [1, 64 * 1024, 64 * 1024 + 1, MIB, largest]) {
      const object = pattern(size, size);
      await store.put(KEY, object);
      const half = size >> 1;
      for (
        const [start, wanted] of [[0, size], [0, half], [half, size - half], [half, size], [size, 1]] as const
      ) {
        if (wanted === 0) continue;
        const acquire = () => new Uint8Array(Math.max(wanted, MIB));
        const { bytes, objectSize } = await store.read(KEY, { start, size: wanted, acquire });
        const end = Math.min(size, start + wanted);
        assert.equal(Buffer.compare(bytes, object.subarray(start, end)), 0, `${start}, ${wanted} of ${size}`);
        assert.equal(bytes.byteOffset, 0);
        // Nothing else may be in it: whoever read it has it detached.
        structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
        if (start < size) assert.equal(objectSize, size);
      }
    }
  });
  contractTest(
    "read() tells the parts of an object from those of the one that replaced it",
    async (store) => {
      if (store.read === undefined) return;
      const versionOf = async (start: number) => {
        const acquire = () => new Uint8Array(MIB);
        return (await store.read!(KEY, { start, size: 100, acquire })).version;
      };
      await store.put(KEY, pattern(1000, 1));
      const version = await versionOf(0);
      // Neither the inodes nor the times that every file system gives can be relied upon.
      assert.equal(version === undefined, store.type === "file");
      if (version === undefined) return;
      assert.equal(await versionOf(500), version);
      await store.put(KEY, pattern(1000, 2));
      assert.notEqual(await versionOf(500), version);
    },
  );
  contractTest(
    "read() of a missing object throws NotFoundError, and ends with the signal's reason",
    async (store) => {
      if (store.read === undefined) return;
      const acquire = () => new Uint8Array(10);
      await assert.rejects(store.read(KEY, { size: 10, acquire }), NotFoundError);
      const abort = new AbortController();
      const { signal } = abort;
      const reading = store.read(KEY, { size: 10, acquire, signal });
      abort.abort(new Error("stopped"));
      await assert.rejects(reading, /stopped/);
    },
  );
}

function missingObjects(contractTest: ContractTest) {
  contractTest("get() of a missing object throws NotFoundError (case 58)", async (store) => {
    await assert.rejects(store.get(KEY), NotFoundError);
    await store.put(KEY, pattern(10, 8));
    const other = segmentKey({ generation: GENERATION, index: 2, offset: 0 });
    await assert.rejects(store.get(other), NotFoundError);
    await assert.rejects(store.get(other, { range: { start: 3, end: 4 } }), NotFoundError);
  });
  contractTest("get() of a folder throws NotFoundError", async (store) => {
    await store.put(KEY, pattern(10, 8));
    await assert.rejects(store.get(segmentsPrefix(GENERATION).slice(0, -1)), NotFoundError);
  });
  contractTest("delete() passes over what is gone (case 59)", async (store) => {
    await store.delete([]);
    await store.delete([KEY]);
    await store.put(KEY, pattern(10, 9));
    await store.delete([snapshotKey({ generation: GENERATION, index: 7 }), KEY, KEY]);
    await assert.rejects(store.get(KEY), NotFoundError);
    await store.delete([KEY]);
  });
  contractTest("delete() takes only what it is told to", async (store) => {
    const keys = [0, 1, 2, 3].map((index) => segmentKey({ generation: GENERATION, index, offset: 0 }));
    for (const key of keys) await store.put(key, pattern(10, 10));
    await store.delete([keys[1]!, keys[2]!]);
    assert.deepEqual(await listedKeys(store, ""), [keys[0], keys[3]]);
  });
  contractTest("an object put after its generation was deleted is there", async (store) => {
    await store.put(KEY, pattern(10, 11));
    await store.delete([KEY]);
    assert.deepEqual(await listed(store, ""), []);
    assert.deepEqual(await store.listFolders("generations/"), []);
    await store.put(KEY, pattern(20, 12));
    await assertHolds(store, KEY, pattern(20, 12));
    assert.deepEqual(await store.listFolders("generations/"), [GENERATION]);
  });
}

function listings(contractTest: ContractTest, { manyCount = 2500 }: ContractOptions) {
  contractTest("list() and listFolders() give nothing where nothing is", async (store) => {
    for (const prefix of ["", "generations/", segmentsPrefix(GENERATION)]) {
      assert.deepEqual(await listed(store, prefix), []);
      assert.deepEqual(await store.listFolders(prefix), []);
    }
  });
  contractTest("list() gives what lies under its prefix, at any depth", async (store) => {
    const snapshot = snapshotKey({ generation: GENERATION, index: 0x3e8 });
    const other = snapshotKey({ generation: OTHER_GENERATION, index: 0 });
    for (const key of [KEY, snapshot, other]) await store.put(key, pattern(key.length, 13));
    assert.deepEqual(await listedKeys(store, ""), [snapshot, KEY, other].sort());
    assert.deepEqual(await listedKeys(store, "generations/"), [snapshot, KEY, other].sort());
    assert.deepEqual(await listedKeys(store, `generations/${GENERATION}/`), [snapshot, KEY]);
    assert.deepEqual(await listedKeys(store, segmentsPrefix(GENERATION)), [KEY]);
    assert.deepEqual(await listedKeys(store, segmentsPrefix(OTHER_GENERATION)), []);
  });
  contractTest("listKeys() and look(), where the store has them, say what list() says", async (store) => {
    assert.equal(store.listKeys === undefined, store.look === undefined);
    if (store.listKeys === undefined || store.look === undefined) return;
    const other = segmentKey({ generation: OTHER_GENERATION, index: 0, offset: 0 });
    for (const key of [snapshotKey({ generation: GENERATION, index: 1 }), KEY, other]) {
      await store.put(key, pattern(key.length, 21));
    }
    for (const prefix of ["", `generations/${GENERATION}/`, segmentsPrefix(GENERATION), "nowhere/"]) {
      const objects = await listed(store, prefix);
      assert.deepEqual((await store.listKeys(prefix)).sort(), objects.map(({ key }) => key).sort());
      for (const object of objects) assert.deepEqual(await store.look(object.key), object);
    }
    await store.delete([KEY]);
    assert.equal(await store.look(KEY), undefined);
    assert.equal(await store.look("generations"), undefined);
  });
  contractTest("listPages(), where the store has it, gives what list() gives", async (store) => {
    if (store.listPages === undefined) return;
    const keys = [0, 1, 2].map((index) => segmentKey({ generation: GENERATION, index, offset: 0 }));
    for (const key of [snapshotKey({ generation: GENERATION, index: 1 }), ...keys]) {
      await store.put(key, pattern(key.length, 22));
    }
    const byKey = (left: ObjectInfo, right: ObjectInfo) => left.key < right.key ? -1 : 1;
    for (const prefix of ["", `generations/${GENERATION}/`, segmentsPrefix(GENERATION), "nowhere/"]) {
      for (const after of [undefined, keys[0]]) {
        const pages: (readonly ObjectInfo[])[] = await Array.fromAsync(store.listPages(prefix, { after }));
        assert.deepEqual(pages.flat().sort(byKey), (await listed(store, prefix, { after })).sort(byKey));
      }
    }
    const given = AbortSignal.abort(new Error("enough"));
    await assert.rejects(Array.fromAsync(store.listPages("", { signal: given })), /enough/);
  });
  contractTest("visitTimes(), where the store has it, gives the times of what is wanted", async (store) => {
    if (store.visitTimes === undefined) return;
    const keys = [0, 1, 2].map((index) => segmentKey({ generation: GENERATION, index, offset: 0 }));
    for (const key of [snapshotKey({ generation: GENERATION, index: 1 }), ...keys]) {
      await store.put(key, pattern(key.length, 22));
    }
    const prefix = segmentsPrefix(GENERATION);
    for (const wanted of [[], [keys[1]!], keys]) {
      const times: number[] = [];
      const asked: string[] = [];
      const isWanted = (name: string) => asked.push(prefix + name) > 0 && wanted.includes(prefix + name);
      await store.visitTimes(prefix, { isWanted, visit: (createdMs) => void times.push(createdMs) });
      const objects = (await listed(store, prefix)).filter(({ key }) => wanted.includes(key));
      const sorted = (values: number[]) => values.sort((left, right) => left - right);
      assert.deepEqual(sorted(times), sorted(objects.map(({ createdAt }) => createdAt.getTime())));
      assert.deepEqual(asked.sort(), keys);
    }
    const none = { isWanted: () => true, visit: () => assert.fail("nothing is there") };
    await store.visitTimes("nowhere/", none);
    await store.visitTimes(`generations/${GENERATION}/`, none);
    const given = AbortSignal.abort(new Error("enough"));
    await assert.rejects(store.visitTimes(prefix, { ...none, signal: given }), /enough/);
  });
  contractTest("list() gives at least what comes after a key", async (store) => {
    const keys = [0, 1, 2].map((index) => segmentKey({ generation: GENERATION, index, offset: 0 }));
    for (const key of keys) await store.put(key, pattern(3, 22));
    const objects = await listed(store, segmentsPrefix(GENERATION), { after: keys[0]! });
    const wanted = objects.map(({ key }) => key).filter((key) => key !== keys[0]);
    assert.deepEqual(wanted.sort(), keys.slice(1));
  });
  contractTest("list() takes a prefix as whole parts of a key", async (store) => {
    const neighbour = `generations/${GENERATION}/wal2/00000000_00000000.wal.lz4`;
    await store.put(neighbour, pattern(3, 14));
    await store.put(KEY, pattern(3, 14));
    assert.deepEqual(await listedKeys(store, segmentsPrefix(GENERATION)), [KEY]);
  });
  contractTest("list() gives foreign objects like any other", async (store) => {
    const foreign = [
      "generations/README.txt",
      `${segmentsPrefix(GENERATION)}x_0.bak`,
      "generations/not-ours/a/b/c",
    ];
    for (const key of [...foreign, KEY]) await store.put(key, pattern(5, 15));
    assert.deepEqual(await listedKeys(store, ""), [...foreign, KEY].sort());
    assert.deepEqual((await store.listFolders("generations/")).sort(), [GENERATION, "not-ours"].sort());
  });
  contractTest(
    "listFolders() gives the folders directly under its prefix, once each (case 56)",
    async (store) => {
      await store.put(snapshotKey({ generation: OTHER_GENERATION, index: 0 }), pattern(5, 16));
      for (const offset of [0, 4152, 8272]) {
        await store.put(segmentKey({ generation: GENERATION, index: 0, offset }), pattern(5, 16));
      }
      assert.deepEqual(await store.listFolders(""), ["generations"]);
      assert.deepEqual(
        (await store.listFolders("generations/")).sort(),
        [GENERATION, OTHER_GENERATION].sort(),
      );
      assert.deepEqual(await store.listFolders(`generations/${GENERATION}/`), ["wal"]);
      assert.deepEqual(await store.listFolders(segmentsPrefix(GENERATION)), []);
    },
  );
  contractTest(
    `list() gives each of ${manyCount} objects once and delete() takes them all (case 61)`,
    async (store) => {
      const keys = Array.from(
        { length: manyCount },
        (_, number) =>
          segmentKey({ generation: number % 2 ? GENERATION : OTHER_GENERATION, index: number, offset: 0 }),
      );
      for (let at = 0; at < keys.length; at += 16) {
        await Promise.all(keys.slice(at, at + 16).map((key) => store.put(key, pattern(1, 17))));
      }
      assert.deepEqual(await listedKeys(store, "generations/"), [...keys].sort());
      await store.delete(keys);
      assert.deepEqual(await listed(store, ""), []);
    },
  );
}

function failures(contractTest: ContractTest) {
  // Below and above what stores send in one piece.
  for (const size of [1000, 6 * MIB]) {
    contractTest(`put() of a body that fails after ${size} bytes leaves nothing`, async (store) => {
      const failure = new Error("the source failed");
      await assert.rejects(
        store.put(KEY, failingStream(pattern(size, 18), failure)),
        (error) => error === failure,
      );
      await assert.rejects(store.get(KEY), NotFoundError);
      assert.deepEqual(await listed(store, ""), []);
    });
    contractTest(
      `put() of a body that fails after ${size} bytes leaves the earlier object`,
      async (store) => {
        await store.put(KEY, pattern(50, 19));
        await assert.rejects(
          store.put(KEY, failingStream(pattern(size, 18), new Error("the source failed"))),
        );
        await assertHolds(store, KEY, pattern(50, 19));
        await store.put(KEY, pattern(60, 20));
        await assertHolds(store, KEY, pattern(60, 20));
      },
    );
    contractTest(
      `put() that is aborted after ${size} bytes leaves nothing and stops its source`,
      async (store) => {
        const abort = new AbortController();
        const reason = new Error("stopped");
        const { stream, cancelled } = hangingStream(pattern(size, 21), () => abort.abort(reason));
        await assert.rejects(store.put(KEY, stream, { signal: abort.signal }), (error) => error === reason);
        await assert.rejects(store.get(KEY), NotFoundError);
        assert.deepEqual(await listed(store, ""), []);
        await cancelled;
      },
    );
  }
  contractTest("every call refuses a signal that fired before", async (store) => {
    await store.put(KEY, pattern(10, 22));
    const reason = new Error("stopped before");
    const options = { signal: AbortSignal.abort(reason) };
    const isReason = (error: unknown) => error === reason;
    await assert.rejects(store.put(KEY, pattern(99, 23), options), isReason);
    await assert.rejects(store.get(KEY, options), isReason);
    await assert.rejects(store.delete([KEY], options), isReason);
    await assert.rejects(store.listFolders("generations/", options), isReason);
    await assert.rejects(listed(store, "generations/", options), isReason);
    await assertHolds(store, KEY, pattern(10, 22));
  });
  contractTest("get() ends with the signal's reason when it fires between chunks", async (store) => {
    await store.put(KEY, pattern(6 * MIB, 24));
    const abort = new AbortController();
    const reason = new Error("enough");
    const reader = (await store.get(KEY, { signal: abort.signal })).getReader();
    assert.ok((await reader.read()).value!.length > 0);
    abort.abort(reason);
    await assert.rejects(async () => {
      while (!(await reader.read()).done);
    }, (error) => error === reason);
  });
  contractTest("get() can be cancelled half-way and the store goes on", async (store) => {
    await store.put(KEY, pattern(6 * MIB, 25));
    const reader = (await store.get(KEY)).getReader();
    await reader.read();
    await reader.cancel();
    await assertHolds(store, KEY, pattern(6 * MIB, 25));
  });
}

function parallelPuts(contractTest: ContractTest) {
  contractTest("put() of many keys at once stores each with its own bytes", async (store) => {
    const keys = Array.from(
      { length: 24 },
      (_, index) => segmentKey({ generation: GENERATION, index, offset: 0 }),
    );
    const bodies = keys.map((_, number) => pattern(10_000 + number * 3001, number));
    await Promise.all(keys.map((key, number) => store.put(key, reusingStream(bodies[number]!, 4099))));
    for (const [number, key] of keys.entries()) await assertHolds(store, key, bodies[number]!);
    assert.deepEqual(await listedKeys(store, ""), keys);
  });
  contractTest("put() twice of one key at once leaves one of the two whole", async (store) => {
    const bodies = [pattern(300_000, 26), pattern(200_001, 27)];
    await Promise.all(bodies.map((bytes) => store.put(KEY, reusingStream(bytes, 1009))));
    const [object, ...others] = await listed(store, "");
    assert.deepEqual(others, []);
    const winner = bodies.find((bytes) => bytes.length === object!.size);
    assert.ok(winner !== undefined, `an object of ${object!.size} bytes is neither`);
    await assertHolds(store, KEY, winner);
  });
}

/** Bytes that differ by place and by `seed`, and don't repeat with a buffer's size. */
export function pattern(size: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** A stream in chunks of `chunkSize` that are all the same buffer, spoilt before it is filled anew. */
export function reusingStream(bytes: Uint8Array, chunkSize: number): ReadableStream<Uint8Array> {
  const buffer = new Uint8Array(chunkSize);
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      buffer.fill(0xee);
      if (at >= bytes.length) return controller.close();
      const chunk = buffer.subarray(0, Math.min(chunkSize, bytes.length - at));
      chunk.set(bytes.subarray(at, at + chunk.length));
      at += chunk.length;
      controller.enqueue(chunk);
    },
  }, { highWaterMark: 0 });
}

function failingStream(bytes: Uint8Array, failure: Error): ReadableStream<Uint8Array> {
  let sent = false;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent) throw failure;
      sent = true;
      controller.enqueue(bytes);
    },
  }, { highWaterMark: 0 });
}

/** Gives `bytes`, then calls `whenDry` and says nothing more, ever. */
function hangingStream(bytes: Uint8Array, whenDry: () => void) {
  const { promise: cancelled, resolve } = Promise.withResolvers<void>();
  let sent = false;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (!sent) {
        sent = true;
        controller.enqueue(bytes);
        return;
      }
      whenDry();
      return new Promise(() => {});
    },
    cancel: () => resolve(),
  }, { highWaterMark: 0 });
  return { stream, cancelled };
}

async function assertHolds(store: ObjectStore, key: string, bytes: Uint8Array): Promise<void> {
  const read = await readAll(await store.get(key), { limit: bytes.length + 1000 });
  assert.equal(read.length, bytes.length);
  // A deep comparison of millions of numbers takes seconds where it fails and long where it doesn't.
  const wrongAt = read.findIndex((byte, at) => byte !== bytes[at]);
  assert.equal(wrongAt, -1, `${key} differs at byte ${wrongAt}`);
}

async function listed(
  store: ObjectStore,
  prefix: string,
  options: ListOptions = {},
): Promise<ObjectInfo[]> {
  const objects: ObjectInfo[] = [];
  for await (const object of store.list(prefix, options)) objects.push(object);
  return objects;
}

async function listedKeys(store: ObjectStore, prefix: string): Promise<string[]> {
  return (await listed(store, prefix)).map((object) => object.key).sort();
}
