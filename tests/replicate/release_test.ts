/** Shadow files that every replica has are removed, or what keeps them is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Bench } from "./bench_of_one.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles, type FailRule } from "../doubles/failing_files.ts";

const MESSAGE = "cannot remove shadow wal files that every replica has";

test("Replicator goes on where shadow files can't be removed, tells it once, and removes them when it can", async () => {
  const rules: FailRule[] = [];
  await using bench = new Bench({ files: failFiles(systemFiles, rules).files });
  await bench.run();
  bench.insert();
  await bench.current();
  const { generation } = bench;
  rules.push({ kind: "remove", path: /-litestream\/.*\.wal$/, code: "EIO", times: Infinity });
  await bench.restartWal((index) => index >= 5);
  const indexes = () => bench.database.meta.shadowFiles(generation).map(({ index }) => index);
  assert.ok(indexes().includes(0), "nothing is removed");
  assert.equal(bench.logged(MESSAGE), 1);
  rules.pop();
  await bench.restartWal((index) => index >= 7);
  assert.ok(!indexes().includes(2), `${indexes()}`);
  assert.equal(bench.logged(MESSAGE), 1);
  assert.equal(bench.generation, generation);
  await bench.assertRestores();
});
