/** What `verifyReplica()` says of replicas that were written beside an application. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { verifyReplica } from "../../src/verify/verify.ts";
import { Bench } from "../replicate/bench_of_one.ts";

test("verifyReplica() proves a snapshot whose newest pages only the WAL of its index has", async () => {
  await using bench = new Bench();
  bench.insert();
  bench.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  bench.insert();
  // A long reader of the application keeps the pages of what follows out of the database file.
  using reader = new DatabaseSync(bench.path);
  reader.exec("BEGIN; SELECT count(*) FROM t");
  for (let row = 0; row < 20; row++) bench.insert("x".repeat(3000));
  await bench.run();
  await bench.current();
  const { generation } = bench;
  const [snapshot] = await bench.replica.snapshots(generation);
  const pageCount = Number(
    Object.values(bench.application!.prepare("PRAGMA page_count").get() ?? {})[0],
  );
  assert.ok(snapshot!.raw.length < pageCount * 4096, "the snapshot has all pages itself");
  for (const isDeep of [false, true]) {
    const report = await verifyReplica(bench.replica.direct, { isDeep });
    assert.deepEqual(report.generations.flatMap(({ damages }) => damages), []);
    assert.equal(report.isProven, true);
  }
  reader.exec("COMMIT");
  await bench.assertRestores();
});
