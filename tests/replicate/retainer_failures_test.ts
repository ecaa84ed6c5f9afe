import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { StoreError } from "../../src/errors.ts";
import { segmentKey } from "../../src/storage/keys.ts";
import { AgedBench, NEVER } from "./aged_bench.ts";

/** A bench with old generations that no moment needs, and a current one with snapshots that can go. */
async function benchOfMany(count: number): Promise<{ bench: AgedBench; old: string[]; due: string[] }> {
  const bench = new AgedBench();
  const old: string[] = [];
  for (let nth = 0; nth < count; nth++) {
    await bench.history(90 - nth);
    old.push(bench.generation);
    await bench.stop();
    bench.forgetGeneration();
  }
  await bench.history(60, 50, 30, 1);
  const due = (await bench.replica.direct.snapshots(bench.generation)).slice(0, 2).map(({ key }) => key);
  return { bench, old, due };
}

test("Retainer goes on with other generations where a deletion fails, and ends with the first failure", async () => {
  const { bench, old, due } = await benchOfMany(3);
  await using _ = bench;
  // In the order in which they are come to.
  const [first, second, third] = old.sort();
  bench.store.rules = [
    { method: "delete", key: new RegExp(`${first}/snapshots`), message: "locked" },
    { method: "delete", key: new RegExp(`${third}/snapshots`), message: "locked too" },
  ];
  await assert.rejects(
    bench.retainer.check(NEVER),
    ({ cause }: Error) => cause instanceof Error && cause.message === "locked",
  );
  const left = await bench.replica.direct.generations();
  assert.deepEqual(left, [first, third, bench.generation].sort(), `${second} stayed`);
  const snapshots = await bench.replica.direct.snapshots(bench.generation);
  assert.deepEqual(snapshots.filter(({ key }) => due.includes(key)), []);
  assert.deepEqual(await bench.rowsAgo(24), ["at 50", "at 30"]);
  await bench.retainer.check(NEVER);
  assert.deepEqual(await bench.replica.direct.generations(), [bench.generation]);
  await bench.assertRestores();
});

test("Retainer touches no WAL of a snapshot that can't be deleted", async () => {
  const { bench, due } = await benchOfMany(0);
  await using _ = bench;
  const before = await bench.replica.direct.segments(bench.generation);
  bench.store.rules.push({ method: "delete", key: new RegExp(due[1]!), times: Infinity });
  await assert.rejects(bench.retainer.check(NEVER), /delete snapshots before index/);
  const keys = (await bench.replica.direct.snapshots(bench.generation)).map(({ key }) => key);
  assert.equal(keys[0], due[1]);
  assert.deepEqual(await bench.replica.direct.segments(bench.generation), before);
  await bench.assertRestores();
});

test("Retainer asks nothing more of a server that is away", async () => {
  const { bench } = await benchOfMany(2);
  await using _ = bench;
  bench.store.rules.push({ method: "delete", times: Infinity, isAway: true });
  await assert.rejects(bench.retainer.check(NEVER), ({ cause }: Error) => cause instanceof StoreError);
  assert.equal(bench.store.of("delete").length, 1);
});

test("Retainer goes on with the WAL behind what can't be deleted, unless the server is away", async () => {
  for (const isAway of [false, true]) {
    const { bench } = await benchOfMany(0);
    await using _ = bench;
    const { generation, replica } = bench;
    const [{ index } = { index: -1 }] = await replica.direct.snapshots(generation);
    // More than go at once.
    for (let nth = 0; nth < 1001; nth++) {
      writeFileSync(join(replica.path, segmentKey({ generation, index, offset: 1e6 + nth })), "wal");
    }
    bench.store.rules.push({ method: "delete", key: /wal/, isAway });
    await assert.rejects(bench.retainer.check(NEVER), /delete wal segments before index/);
    assert.equal(bench.store.of("delete", /wal/).length, isAway ? 1 : 2);
    await bench.retainer.check(NEVER);
    const [kept] = await replica.direct.snapshots(generation);
    const left = await replica.direct.segments(generation);
    assert.deepEqual(left.filter((segment) => segment.index < kept!.index), []);
    await bench.assertRestores();
  }
});

const isUnreadable = (message: string) => message.startsWith("retention keeps more: an object can't be read");

test("Retainer keeps a generation that can't be read, goes on with others, and warns once", async () => {
  const { bench, old: [unread, gone], due } = await benchOfMany(2);
  await using _ = bench;
  bench.store.rules.push({ method: "get", key: new RegExp(unread!), isOfObject: true, times: Infinity });
  for (let nth = 0; nth < 2; nth++) {
    await bench.retainer.check(NEVER);
    const left = await bench.replica.direct.generations();
    assert.deepEqual(left, [unread, bench.generation].sort(), `${gone} stayed`);
    const snapshots = await bench.replica.direct.snapshots(bench.generation);
    assert.deepEqual(snapshots.filter(({ key }) => due.includes(key)), []);
  }
  const warned = bench.logs.records.filter(({ message }) => isUnreadable(message));
  assert.deepEqual(warned.map(({ level, fields }) => [level, fields["generation"]]), [["warn", unread]]);
  bench.store.mend();
  await bench.retainer.check(NEVER);
  assert.deepEqual(await bench.replica.direct.generations(), [bench.generation]);
});

test("Retainer deletes nothing for the sake of a snapshot whose age can't be read", async () => {
  for (const olderCount of [0, 1]) {
    const { bench } = await benchOfMany(olderCount);
    await using _ = bench;
    const [, second, third, fourth] = await bench.snapshotIndexes();
    const key = (await bench.replica.direct.snapshots(bench.generation))[2]!.key;
    bench.store.rules.push({ method: "get", key: new RegExp(key), isOfObject: true, times: Infinity });
    await bench.retainer.check(NEVER);
    assert.deepEqual(await bench.snapshotIndexes(), [second, third, fourth]);
    assert.deepEqual(await bench.replica.direct.generations(), [bench.generation]);
    assert.deepEqual(await bench.rowsAgo(24), ["at 50", "at 30"]);
    bench.store.mend();
    await bench.retainer.check(NEVER);
    assert.deepEqual(await bench.snapshotIndexes(), [third, fourth]);
    await bench.assertRestores();
  }
});

test("Retainer fails where nothing can be read, and keeps all where only snapshots can't", async () => {
  const { bench } = await benchOfMany(0);
  await using _ = bench;
  const { files } = bench.replica;
  const indexes = await bench.snapshotIndexes();
  const get = files.get.bind(files);
  let broken = /snapshots|wal/;
  files.get = (key, options) =>
    broken.test(key) ? Promise.reject(new StoreError("its disk fails")) : get(key, options);
  await assert.rejects(bench.retainer.check(NEVER), /its disk fails/);
  assert.deepEqual(await bench.snapshotIndexes(), indexes);
  broken = /snapshots/;
  await bench.retainer.check(NEVER);
  assert.deepEqual(await bench.snapshotIndexes(), indexes);
  assert.equal(bench.logs.records.filter(({ message }) => isUnreadable(message)).length, 1);
});
