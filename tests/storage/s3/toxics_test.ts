import assert from "node:assert/strict";
import { test } from "node:test";
import { readAll } from "../../../src/bytes.ts";
import { StoreError } from "../../../src/errors.ts";
import { BufferPool } from "../../../src/storage/s3/buffer_pool.ts";
import type { S3StoreOptions } from "../../../src/storage/s3/options.ts";
import { S3Store } from "../../../src/storage/s3/s3_store.ts";
import { pattern, reusingStream } from "../../contract/object_store.ts";
import { recordLogs } from "../../doubles/recording_logger.ts";
import { oncePerFile } from "../../servers/once.ts";
import { startVersitygw } from "../../servers/s3_servers.ts";
import { startToxiproxy, type Toxic } from "../../servers/toxiproxy.ts";
import { assertHolds, failureOf, KEY, keysOf, MIB, QUICK_RETRY } from "./proxied_store.ts";

const server = oncePerFile(() => startVersitygw());
const toxiproxy = oncePerFile(() => startToxiproxy());

let pathCount = 0;

async function openToxic(options: Partial<S3StoreOptions> = {}) {
  const { port, bucket, credentials } = await server();
  const proxy = await (await toxiproxy()).open({ upstreamPort: port });
  const store = new S3Store({
    bucket,
    credentials,
    endpoint: `http://127.0.0.1:${proxy.port}`,
    path: `toxic/${++pathCount}`,
    partSize: 5 * MIB,
    rangeSize: MIB,
    // Outlasts what the toxics below break.
    retry: { firstWaitMs: 50, longestWaitMs: 400, random: () => 1 },
    patience: { answerMs: 600, stallMs: 300, slowestUpload: 4 * MIB, completionMs: 600 },
    ...options,
  });
  return { store, proxy, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}

const SMALL = pattern(20_000, 1);
const LARGE = pattern(11 * MIB, 2);

/** What happens on the way while an object is put or read; calm returns after the first failures. */
const TOXICS: [string, Toxic, number | undefined][] = [
  ["latency", { type: "latency", attributes: { latency: 60, jitter: 30 } }, undefined],
  ["a slow line", { type: "bandwidth", attributes: { rate: 20_000 } }, undefined],
  ["a slow line up", { type: "bandwidth", stream: "upstream", attributes: { rate: 20_000 } }, undefined],
  ["slices of a few bytes", {
    type: "slicer",
    attributes: { average_size: 1500, size_variation: 1000, delay: 0 },
  }, undefined],
  ["resets after a while", { type: "reset_peer", attributes: { timeout: 20 } }, 150],
  ["silence for good", { type: "timeout", attributes: { timeout: 0 } }, 150],
  ["silence going up", { type: "timeout", stream: "upstream", attributes: { timeout: 0 } }, 150],
  ["ends at byte 3000 coming down", { type: "limit_data", attributes: { bytes: 3000 } }, 150],
  ["ends at byte 300,000 going up", {
    type: "limit_data",
    stream: "upstream",
    attributes: { bytes: 300_000 },
  }, 150],
];
for (const [name, toxic, clearAfterMs] of TOXICS) {
  test(`S3Store carries objects whole through ${name}`, async () => {
    await using opened = await openToxic();
    const { store, proxy } = opened;
    /** With the toxic at work from the start, and calm after a while where nothing gets through. */
    const through = async <T>(act: () => Promise<T>): Promise<T> => {
      await proxy.add(toxic);
      const calm = clearAfterMs === undefined
        ? undefined
        : new Promise((resolve) => setTimeout(resolve, clearAfterMs)).then(() => proxy.clear());
      try {
        return await act();
      } finally {
        await (calm ?? proxy.clear());
      }
    };
    for (const body of [SMALL, LARGE]) {
      await through(() => store.put(KEY, reusingStream(body, 100_000)));
      await assertHolds(store, KEY, body);
      await through(() => assertHolds(store, KEY, body));
    }
    assert.deepEqual(await through(() => keysOf(store)), [KEY]);
    await through(() => store.delete([KEY]));
    assert.deepEqual(await keysOf(store), []);
  });
}

test("S3Store holds no more memory when the line is slower than the source", async () => {
  const buffers = new BufferPool({ limit: 96 * MIB });
  await using opened = await openToxic({ buffers, concurrency: 2, patience: { answerMs: 20_000 } });
  await opened.proxy.add({ type: "bandwidth", stream: "upstream", attributes: { rate: 30_000 } });
  await opened.store.put(KEY, reusingStream(pattern(32 * MIB, 3), 200_000));
  assert.ok(buffers.largestLentSize <= 3 * 5 * MIB, String(buffers.largestLentSize));
});

test("S3Store says in one line that a server is gone, and works again once it is back", async () => {
  await using opened = await openToxic({ retry: { ...QUICK_RETRY, tries: 3 } });
  const { store, proxy } = opened;
  await store.put(KEY, SMALL);
  await proxy.enable(false);
  for (const call of [() => store.put(KEY, SMALL), () => store.get(KEY), () => keysOf(store)]) {
    const { text, error } = await failureOf(call());
    assert.match(text, /^cannot (write|read|list) s3:\/\/backup\/toxic\/.*127\.0\.0\.1:\d+.*\(3 tries\)/);
    assert.ok(error instanceof StoreError && error.isTransient);
  }
  await proxy.enable(true);
  await assertHolds(store, KEY, SMALL);
});

test("S3Store that is told to keep trying outlasts a server that goes away, says so once, and has an end", async () => {
  const { records, logger } = recordLogs();
  await using opened = await openToxic({
    retry: { ...QUICK_RETRY, tries: 2, keepTryingMs: 20_000 },
    logger,
  });
  const { store, proxy } = opened;
  await store.put(KEY, SMALL);
  await proxy.enable(false);
  const reads = [assertHolds(store, KEY, SMALL), assertHolds(store, KEY, SMALL)];
  await new Promise((resolve) => setTimeout(resolve, 500));
  await proxy.enable(true);
  await Promise.all(reads);
  const warnings = records.filter(({ level }) => level === "warn").map(({ message }) => message);
  assert.deepEqual(warnings, ["S3 requests fail, they are tried for up to 20 s"]);
  await using brief = await openToxic({ retry: { ...QUICK_RETRY, tries: 2, keepTryingMs: 300 } });
  await brief.store.put(KEY, SMALL);
  await brief.proxy.enable(false);
  const beganMs = performance.now();
  assert.match((await failureOf(brief.store.get(KEY))).text, /^cannot read .*\(\d+ tries\)/);
  assert.ok(performance.now() - beganMs >= 300);
  // One that has never answered is told of at once: it may be the wrong one.
  await using wrong = await openToxic({ retry: { ...QUICK_RETRY, tries: 2, keepTryingMs: 600_000 } });
  await wrong.proxy.enable(false);
  assert.match((await failureOf(wrong.store.get(KEY))).text, /^cannot read .*\(2 tries\)/);
});

test("S3Store.get() reads a large object over four lines at once that are each slow", async () => {
  const { port, bucket, credentials } = await server();
  const proxy = await (await toxiproxy()).open({ upstreamPort: port });
  const body = pattern(8 * MIB, 4);
  const open = (concurrency: number) =>
    new S3Store({
      bucket,
      credentials,
      endpoint: `http://127.0.0.1:${proxy.port}`,
      path: "lines",
      rangeSize: MIB,
      concurrency,
    });
  await using four = open(4);
  await using one = open(1);
  await one.put(KEY, body);
  await proxy.add({ type: "bandwidth", attributes: { rate: 8000 } });
  const timeOf = async (store: S3Store) => {
    const startedAt = performance.now();
    await readAll(await store.get(KEY), { limit: 9 * MIB });
    return performance.now() - startedAt;
  };
  const [alone, together] = [await timeOf(one), await timeOf(four)];
  assert.ok(together < alone * 0.6, `${together} ms against ${alone} ms`);
});

test("S3Store.read() learns that a line is slow from one piece, and then loses nothing to its patience", async () => {
  await using opened = await openToxic();
  const { store, proxy } = opened;
  const body = pattern(2 * MIB, 9);
  await store.put(KEY, body);
  // 700 ms for a piece, where 300 without a byte count as silence.
  await proxy.add({ type: "bandwidth", attributes: { rate: 1500 } });
  const read = async (start: number) => {
    const startedAt = performance.now();
    const { bytes } = await store.read(KEY, { start, size: MIB, acquire: () => new Uint8Array(MIB) });
    assert.equal(Buffer.compare(bytes, body.subarray(start, start + MIB)), 0);
    return performance.now() - startedAt;
  };
  const [first, second] = [await read(0), await read(MIB)];
  assert.ok(second < first - 150, `${second} ms after ${first} ms`);
});
