/** What replicas still get of a database whose file was replaced while they lacked its last commits. */
import assert from "node:assert/strict";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { sleep } from "../../src/async.ts";
import { restore } from "../../src/restore/restore.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";
import { until } from "../doubles/until.ts";
import { Bench, type BenchOptions } from "./bench_of_one.ts";

/** A bench whose replica lacks the last row of a database that another one has taken the place of. */
async function replacedBench(
  options: BenchOptions = {},
): Promise<{ bench: Bench; clock: SkippingClock; generation: string }> {
  const clock = new SkippingClock();
  const bench = new Bench({ ...options, clock });
  await bench.run();
  await bench.current();
  const { generation } = bench;
  bench.store.rules.push({ method: "put", times: Infinity, message: "the store is away" });
  bench.insert("the last one");
  await bench.database.settle();
  bench.application!.close();
  const other = join(bench.folder, "other.db");
  new DatabaseSync(other).exec("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)");
  for (const suffix of ["-wal", "-shm"]) rmSync(bench.path + suffix, { force: true });
  renameSync(other, bench.path);
  bench.openApplication();
  clock.skip(5000);
  await until(() => bench.database.state.kind === "waiting", "the loss to be seen");
  return { bench, clock, generation };
}

async function rowsOf(bench: Bench, generation: string): Promise<unknown[]> {
  const outputPath = join(bench.folder, `restored-${crypto.randomUUID()}.db`);
  await restore({ clients: [bench.replica.direct], outputPath, generation });
  using database = new DatabaseSync(outputPath, { readOnly: true });
  return database.prepare("SELECT body FROM t").all().map(({ body }) => body);
}

test("Replicator sends what a replaced database has left before it takes up the next one", async () => {
  const { bench: replaced, generation } = await replacedBench();
  await using bench = replaced;
  await until(() => bench.loop.errorCount > 2, "uploads to fail");
  assert.equal(bench.database.state.kind, "waiting");
  bench.store.mend();
  await until(() => bench.database.state.kind === "live", "the next one to be taken up");
  assert.notEqual(bench.generation, generation);
  assert.deepEqual(await rowsOf(bench, generation), ["the last one"]);
  assert.equal(bench.logs.records.filter(({ message }) => message.includes("lacks")).length, 0);
  await bench.current();
  await bench.assertRestores();
});

test("Replicator has a replica send what a replaced database has left that rests between its uploads", async () => {
  const { bench: replaced, generation } = await replacedBench({ syncIntervalMs: 3_600_000 });
  await using bench = replaced;
  bench.store.mend();
  await until(() => bench.database.state.kind === "live", "the next one to be taken up");
  assert.deepEqual(await rowsOf(bench, generation), ["the last one"]);
});

test("Replicator has what a deleted database has left sent at once, however late there is another one", async () => {
  const clock = new SkippingClock();
  await using bench = new Bench({ clock, syncIntervalMs: 3_600_000 });
  await bench.run();
  await bench.current();
  const { generation } = bench;
  bench.insert("the last one");
  await bench.database.settle();
  bench.application!.close();
  bench.application = undefined;
  for (const suffix of ["", "-wal", "-shm"]) rmSync(bench.path + suffix, { force: true });
  clock.skip(5000);
  await until(() => bench.database.state.kind === "waiting", "the loss to be seen");
  await until(() => bench.loop.isCurrent, "what is left to be sent");
  assert.deepEqual(await rowsOf(bench, generation), ["the last one"]);
});

test("Replicator tells once of a replica that is not waited for, also while the next database can't be opened", async () => {
  const { bench: replaced, clock } = await replacedBench();
  await using bench = replaced;
  bench.application!.exec("PRAGMA locking_mode = EXCLUSIVE; INSERT INTO t (body) VALUES ('mine alone')");
  clock.skip(11_000);
  const lacking = () => bench.logs.records.filter(({ message }) => message.includes("lacks the last")).length;
  await until(() => lacking() > 0, "the replica to be told of");
  await sleep(500);
  assert.equal(lacking(), 1);
  assert.equal(bench.database.state.kind, "waiting");
});

test("Replicator takes up the next database, loudly, where a replica stays away", async () => {
  const { bench: replaced, clock, generation } = await replacedBench();
  await using bench = replaced;
  clock.skip(11_000);
  await until(() => bench.database.state.kind === "live", "the next one to be taken up");
  assert.notEqual(bench.generation, generation);
  const [record, ...more] = bench.logs.records.filter(({ message }) => message.includes("lacks the last"));
  assert.equal(record?.level, "error");
  assert.ok(Number(record?.fields["bytes"]) > 4096);
  assert.equal(record?.fields["replica"], "replica-0");
  assert.deepEqual(more, []);
  bench.store.mend();
  await bench.current();
  await bench.assertRestores();
});
