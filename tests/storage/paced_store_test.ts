import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { readAll, streamOf } from "../../src/bytes.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { segmentKey } from "../../src/storage/keys.ts";
import type { ObjectInfo } from "../../src/storage/object_store.ts";
import { PacedStore } from "../../src/storage/paced_store.ts";
import { objectStoreContract, pattern, reusingStream } from "../contract/object_store.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";
import { MemoryStore } from "../doubles/memory_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";

const KEY = segmentKey({ generation: "0123456789abcdef", index: 0, offset: 0 });

objectStoreContract({
  name: "PacedStore",
  manyCount: 100,
  largestSize: 1_000_000,
  open() {
    const folder = temporaryFolder();
    const inner = new FileStore({ root: join(folder.path, "replica") });
    const store = new PacedStore(inner, { bytesPerSecond: 100_000_000 });
    return Promise.resolve({ store, cleanup: () => Promise.resolve(folder[Symbol.dispose]()) });
  },
});

test("PacedStore can what its inner store can", async () => {
  using folder = temporaryFolder();
  const files = new FileStore({ root: folder.path });
  const paced = new PacedStore(files, { bytesPerSecond: 1 });
  assert.deepEqual(await paced.listUnfinished?.(""), []);
  const plain = new PacedStore(new MemoryStore(new Map()), { bytesPerSecond: 1 });
  assert.deepEqual([plain.read, plain.cleanUp], [undefined, undefined]);
  const part = { bytes: new Uint8Array(1), objectSize: 1 };
  const able = Object.assign(files, { read: () => Promise.resolve(part), cleanUp: () => Promise.resolve(7) });
  const other = new PacedStore(able, { bytesPerSecond: 1 });
  assert.equal(await other.read?.(KEY, { size: 1, acquire: () => new Uint8Array(1) }), part);
  assert.equal(await other.cleanUp?.(), 7);
});

/** A store of 1000 bytes a second on a clock that stands. */
function slowStore() {
  const folder = temporaryFolder();
  const clock = new StoppedClock();
  const inner = new FileStore({ root: folder.path });
  const store = new PacedStore(inner, { bytesPerSecond: 1000, clock });
  return { store, clock, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** Let time pass until `put` is done; how long it took by that clock. */
async function timed(put: Promise<ObjectInfo>, clock: StoppedClock): Promise<number> {
  const beginMs = clock.monotonicMs();
  let isDone = false;
  void put.finally(() => isDone = true);
  while (!isDone) {
    await until(() => isDone || clock.nextMs !== undefined, "the put to wait or to end");
    if (!isDone) await clock.advance(clock.nextMs ?? 0);
  }
  await put;
  return clock.monotonicMs() - beginMs;
}

test("PacedStore.put() takes as long for a stream as its limit says, whatever its chunks", async () => {
  for (const chunkSize of [1, 37, 1000, 10_000]) {
    using slow = slowStore();
    const body = pattern(10_000, chunkSize);
    const tookMs = await timed(slow.store.put(KEY, reusingStream(body, chunkSize)), slow.clock);
    // The last piece needs no wait behind it, and small waits are left out.
    assert.ok(tookMs >= 9_900 && tookMs <= 10_000, `${tookMs} ms in chunks of ${chunkSize}`);
    const stored = await readAll(await slow.store.get(KEY), { limit: 20_000 });
    assert.deepEqual(stored, body);
  }
});

test("PacedStore.put() holds each body of bytes back for those before it, and streams too", async () => {
  using slow = slowStore();
  const { store, clock } = slow;
  assert.equal(await timed(store.put(KEY, pattern(3000, 1)), clock), 0);
  assert.equal(await timed(store.put(KEY, pattern(500, 1)), clock), 3000);
  assert.equal(await timed(store.put(KEY, streamOf(pattern(40, 1))), clock), 500);
  await clock.advance(60_000);
  assert.equal(
    await timed(store.put(KEY, pattern(3000, 1)), clock),
    0,
    "a quiet time is no credit and no debt",
  );
});

test("PacedStore.put() ends at its signal while it waits", async () => {
  using slow = slowStore();
  const { store, clock } = slow;
  await store.put(KEY, pattern(5000, 1));
  for (const body of [pattern(10, 1), streamOf(pattern(10, 1))]) {
    const aborting = new AbortController();
    const put = store.put(KEY, body, { signal: aborting.signal });
    await until(() => clock.nextMs !== undefined, "the put to wait");
    aborting.abort(new Error("enough"));
    await assert.rejects(put, /enough/);
  }
});
