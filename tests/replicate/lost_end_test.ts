/** A shadow file whose end the disk has lost, of an index that a replica is still to get. */
import assert from "node:assert/strict";
import { truncateSync } from "node:fs";
import { test } from "node:test";
import { Bench } from "./bench_of_one.ts";
import { formatIndex } from "../../src/position.ts";

test("Replicator sends nothing after an index that lost its last commits, and what is restored is the database", async () => {
  await using bench = new Bench();
  bench.insert();
  await bench.run();
  await bench.current();
  bench.store.rules.push({ method: "put", times: Infinity, message: "away" });
  bench.insert();
  await bench.database.settle();
  const { generation, index: ended, offset } = bench.database.position!;
  // Pages that no later index writes.
  bench.insert("x".repeat(50_000));
  await bench.database.settle();
  assert.equal(bench.database.position!.index, ended);
  await bench.restartWal((index) => index > ended, []);
  const path = bench.database.meta.shadowPath(generation, ended);
  await assert.rejects(bench.stop(500));
  truncateSync(path, offset);
  bench.store.mend();
  await bench.run();
  await bench.current();
  assert.notEqual(bench.generation, generation);
  const reasons = bench.logs.records.map(({ fields }) => fields["error"]);
  assert.ok(reasons.includes(`the shadow wal of index ${formatIndex(ended)} has lost its end`));
  await bench.assertRestores();
});
