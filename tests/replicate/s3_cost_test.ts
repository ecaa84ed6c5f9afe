/** What replication asks of a bucket, counted by a proxy in front of a real server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { failureOf, KEY, MIB } from "../storage/s3/proxied_store.ts";
import { pattern } from "../contract/object_store.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";
import { until } from "../doubles/until.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio, startVersitygw } from "../servers/s3_servers.ts";
import { S3Bench } from "./s3_bench.ts";

const MINUTE_MS = 60_000;
const minio = oncePerFile(() => startMinio());
const versitygw = oncePerFile(() => startVersitygw());

/** The start's own request, which nobody waits for, is through. */
const cleaned = (bench: S3Bench) =>
  until(
    () => bench.opened.proxy.seen.some(({ path }) => path.includes("uploads=")),
    "the look for leftovers",
  );

test("replicate lists once where it stands and once for unfinished uploads; the first start asks for generations besides", async () => {
  await using bench = await S3Bench.open(await minio());
  const { proxy } = bench.opened;
  bench.insert();
  await bench.run();
  await bench.current();
  await cleaned(bench);
  // For what a lost meta directory left, and for the times of other generations.
  assert.deepEqual(proxy.counts(), { LIST: 4, PUT: 2 });
  await bench.stop();
  proxy.seen.length = 0;
  await bench.run();
  await bench.current();
  await cleaned(bench);
  assert.deepEqual(proxy.counts(), { LIST: 2, GET: 1 });
});

test("replicate asks for nothing in a day without a change but when retention looks for the first time", async () => {
  const clock = new StoppedClock();
  await using bench = await S3Bench.open(await minio(), { clock, monitorIntervalMs: MINUTE_MS });
  const { proxy } = bench.opened;
  bench.insert();
  await bench.run();
  await until(() => bench.replicator!.replicas[0]!.isCurrent, "the replica to be current");
  await cleaned(bench);
  const hours: string[] = [];
  for (let hour = 1; hour <= 24; hour++) {
    proxy.seen.length = 0;
    for (let minute = 0; minute < 60; minute++) await clock.advance(MINUTE_MS);
    // A check that goes on has its first request out by now; wait for its last.
    await settled(proxy.seen);
    const { LIST = 0, ...others } = proxy.counts();
    if (LIST > 0) hours.push(`${hour}: ${LIST}`);
    const allowed = LIST > 0 ? ["GET"] : [];
    assert.deepEqual(Object.keys(others).filter((kind) => !allowed.includes(kind)), [], `hour ${hour}`);
  }
  // Generations, snapshots, and once the segments, which an earlier run may have left before the first snapshot.
  assert.deepEqual(hours, ["1: 3"]);
});

/** Wait until no request has come for a while that is long beside one. */
async function settled(seen: readonly unknown[]): Promise<void> {
  for (let before = -1; before !== seen.length;) {
    before = seen.length;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

test("replicate sends at most one PUT in a sync interval while the database is written to, and nothing else", async () => {
  await using bench = await S3Bench.open(await minio());
  const { proxy } = bench.opened;
  const syncIntervalMs = 100;
  bench.insert();
  await bench.run({ syncIntervalMs });
  await bench.current();
  await cleaned(bench);
  proxy.seen.length = 0;
  const startedAt = performance.now();
  while (performance.now() - startedAt < 1500) {
    bench.insert();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { PUT = 0, ...others } = proxy.counts();
  const intervals = (performance.now() - startedAt) / syncIntervalMs;
  assert.ok(PUT >= 2 && PUT <= intervals + 1, `${PUT} PUT in ${intervals} intervals`);
  assert.deepEqual(others, {});
});

test("replicate sends at most one PUT in a sync interval where WALs begin anew meanwhile, too", async () => {
  await using bench = await S3Bench.open(await minio(), {
    limits: { minPages: 1e9, maxPages: 0, intervalMs: 500 },
  });
  const { proxy } = bench.opened;
  const syncIntervalMs = 200;
  bench.insert();
  await bench.run({ syncIntervalMs });
  await bench.current();
  await cleaned(bench);
  const before = bench.replicator!.database.position!.index;
  proxy.seen.length = 0;
  const startedAt = performance.now();
  while (performance.now() - startedAt < 4000) {
    bench.insert();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { PUT = 0, ...others } = proxy.counts();
  const intervals = (performance.now() - startedAt) / syncIntervalMs;
  const indexCount = bench.replicator!.database.position!.index - before;
  assert.ok(indexCount >= 3, `${indexCount} indexes`);
  // Two in the round that ends the time.
  assert.ok(PUT >= 2 && PUT <= intervals + 2, `${PUT} PUT in ${intervals} intervals, ${indexCount} indexes`);
  assert.deepEqual(others, {});
  await bench.current();
});

test("replicate aborts at its start the upload that a crash left unfinished", async () => {
  await using bench = await S3Bench.open(await versitygw(), { store: { staleUploadMs: -MINUTE_MS } });
  const { proxy, store } = bench.opened;
  proxy.fault = ({ method }) =>
    method === "PUT" || method === "DELETE" ? { act: "answer", status: 400, body: "" } : undefined;
  await failureOf(store.put(KEY, pattern(6 * MIB, 1)));
  proxy.fault = undefined;
  proxy.seen.length = 0;
  bench.insert();
  await bench.run();
  const isAbort = ({ method, path }: { method: string; path: string }) =>
    method === "DELETE" && path.includes(KEY) && path.includes("uploadId=");
  await until(() => proxy.seen.some(isAbort), "the upload to be aborted");
});
