/** What replicas still get of a database whose file was replaced while they lacked its last commits. */
import assert from "node:assert/strict";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { restore } from "../../src/restore/restore.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";
import { until } from "../doubles/until.ts";
import { Bench } from "./bench_of_one.ts";

/** A bench whose replica lacks the last row of a database that another one has taken the place of. */
async function replacedBench(): Promise<{ bench: Bench; clock: SkippingClock; generation: string }> {
  const clock = new SkippingClock();
  const bench = new Bench({ clock });
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
