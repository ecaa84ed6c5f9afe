import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mock, test } from "node:test";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { segmentKey } from "../../src/storage/keys.ts";
import { cipherOf, makeAgeKey } from "../age.ts";
import { until } from "../doubles/until.ts";
import { Bench, type BenchOptions } from "./bench_of_one.ts";

const GONE_ON = "the meta directory was lost; the live wal proves that the replica can be gone on with";
const NOT_GONE_ON = "the meta directory was lost, and this replica can't be gone on with";
const NOT_ASKED = "no meta directory, and this replica can't be asked whether it can be gone on with";

/** A bench with something in its replica, stopped; `index` is the one that the replica has reached. */
async function stoppedBench(options: BenchOptions = {}): Promise<{ bench: Bench; generation: string }> {
  const bench = new Bench(options);
  bench.insert();
  await bench.run();
  await bench.current();
  await bench.restartWal((index) => index >= 1);
  bench.insert("x".repeat(10_000));
  await bench.current();
  const { generation } = bench;
  await bench.stop();
  return { bench, generation };
}

function metaPath(bench: Bench): string {
  return join(bench.folder, ".app.db-litestream");
}

/** What the log says why a replica can't be gone on with. */
function reasons(bench: Bench): string[] {
  return bench.logs.records.filter(({ message }) => message === NOT_GONE_ON).map(({ fields }) =>
    String(fields["error"])
  );
}

const LOSSES: readonly [string, (path: string, generation: string) => void][] = [
  ["the whole meta directory", (path) => rmSync(path, { recursive: true })],
  ["the generation file", (path) => rmSync(join(path, "generation"))],
  ["what the generation file says", (path) => writeFileSync(join(path, "generation"), "garbage")],
  ["the shadow WAL with the generation file", (path) => {
    rmSync(join(path, "generations"), { recursive: true });
    rmSync(join(path, "generation"));
  }],
];

for (const [what, lose] of LOSSES) {
  test(`Replicator goes on without ${what} where replica and live WAL prove that it can`, async () => {
    const { bench: stopped, generation } = await stoppedBench();
    await using bench = stopped;
    const before = await bench.wholeSegments(generation);
    lose(metaPath(bench), generation);
    bench.insert("while we were away");
    await bench.run();
    await bench.current();
    assert.equal(bench.generation, generation);
    assert.equal(bench.logged(GONE_ON), 1);
    await bench.restartWal((index) => index >= 2);
    assert.equal(bench.generation, generation);
    assert.equal((await bench.replica.direct.snapshots(generation)).length, 1);
    assert.ok((await bench.wholeSegments(generation)).length > before.length);
    await bench.assertRestores();
  });
}

test("Replicator begins anew without its meta directory when the WAL was restarted meanwhile", async () => {
  const { bench: stopped, generation } = await stoppedBench();
  await using bench = stopped;
  rmSync(metaPath(bench), { recursive: true });
  bench.application!.exec("PRAGMA wal_checkpoint(RESTART)");
  bench.insert("in the next WAL");
  await bench.run();
  await bench.current();
  assert.notEqual(bench.generation, generation);
  assert.equal(reasons(bench).length, 1);
  await bench.assertRestores();
});

test("Replicator begins anew without its meta directory when the replica is ahead of the live WAL", async () => {
  const { bench: stopped, generation } = await stoppedBench();
  await using bench = stopped;
  rmSync(metaPath(bench), { recursive: true });
  const last = (await bench.wholeSegments(generation)).at(-1)!;
  const offset = last.offset + last.raw.length;
  const more = last.raw.subarray(last.raw.length - (4096 + 24));
  await bench.replica.files.put(segmentKey({ ...last, generation, offset }), encodeObjectBytes(more));
  await bench.run();
  await bench.current();
  assert.notEqual(bench.generation, generation);
  assert.match(reasons(bench)[0]!, /^the live wal is not the one that .* is of$/);
  await bench.assertRestores();
});

test("Replicator begins anew where the newest segment of the replica can't be read", async () => {
  const { bench: stopped, generation } = await stoppedBench();
  await using bench = stopped;
  rmSync(metaPath(bench), { recursive: true });
  const last = (await bench.replica.direct.segments(generation)).at(-1)!;
  await bench.replica.files.put(last.key, new Uint8Array(10));
  await bench.run();
  await bench.current();
  assert.notEqual(bench.generation, generation);
  assert.equal(reasons(bench).length, 1);
  await bench.assertRestores();
});

test("Replicator takes the first of its replicas that proves where it can go on", async () => {
  const { bench: stopped, generation } = await stoppedBench({ replicaCount: 2 });
  await using bench = stopped;
  rmSync(metaPath(bench), { recursive: true });
  bench.store.rules.push({ method: "listFolders", times: 1 });
  await bench.run();
  await bench.current();
  assert.equal(bench.generation, generation);
  assert.equal(bench.logged(GONE_ON), 1);
  assert.equal(bench.logged(NOT_ASKED), 1);
});

test("Replicator goes on with the replica that answers where another one says nothing at all", async () => {
  const { bench: stopped, generation } = await stoppedBench({ replicaCount: 2 });
  await using bench = stopped;
  rmSync(metaPath(bench), { recursive: true });
  const silence = Promise.withResolvers<void>();
  bench.store.rules.push({ method: "listFolders", gate: silence.promise });
  const timeout = AbortSignal.timeout;
  // Five seconds otherwise.
  const shortened = mock.method(AbortSignal, "timeout", () => timeout.call(AbortSignal, 1000));
  try {
    await bench.run();
  } finally {
    shortened.mock.restore();
    silence.resolve();
  }
  await bench.current();
  assert.equal(bench.generation, generation);
  assert.equal(bench.logged(GONE_ON), 1);
  assert.equal(bench.logged(NOT_ASKED), 1);
  await bench.assertRestores();
});

test("Replicator doesn't wait for a replica that is dead when the meta directory was lost", async () => {
  const { bench: stopped, generation } = await stoppedBench();
  await using bench = stopped;
  rmSync(metaPath(bench), { recursive: true });
  bench.store.rules.push({ method: "listFolders", times: Infinity });
  await bench.run();
  await until(() => bench.generation !== "", "a generation");
  assert.notEqual(bench.generation, generation);
});

test("Replicator doesn't say that a meta directory was lost when a store is away at a database's first start", async () => {
  await using bench = new Bench();
  bench.insert();
  bench.store.rules.push({ method: "listFolders", times: 1 });
  await bench.run();
  await bench.current();
  assert.equal(bench.logged(NOT_ASKED), 1);
  assert.deepEqual(reasons(bench), []);
});

test("Replicator can't tell from a replica that it can't read back", async () => {
  const { recipient } = makeAgeKey();
  const { bench: stopped, generation } = await stoppedBench({
    cipher: cipherOf({ recipients: [recipient] }),
  });
  await using bench = stopped;
  rmSync(metaPath(bench), { recursive: true });
  await bench.run();
  await bench.current();
  assert.notEqual(bench.generation, generation);
  assert.match(reasons(bench)[0]!, /can't be read back without age.identities/);
});
