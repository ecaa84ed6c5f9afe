/** What `verifyReplica()` says of replicas that were written beside an application. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { VerifyReport } from "../../src/verify/report.ts";
import { verifyReplica } from "../../src/verify/verify.ts";
import { until } from "../doubles/until.ts";
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

/** Stop a bench and have its next run begin a generation. */
async function loseGeneration(bench: Bench): Promise<void> {
  await bench.stop(100).catch(() => {});
  rmSync(join(bench.folder, ".app.db-litestream"), { recursive: true });
  bench.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  bench.store.mend();
}

/** Generation and kind of what `report` tells of them; no damage. */
function findingsOf({ generations }: VerifyReport): [string, string][] {
  assert.deepEqual(generations.flatMap(({ damages }) => damages), []);
  return generations.flatMap(({ generation, findings }) =>
    findings.map(({ kind }): [string, string] => [generation, kind])
  );
}

test("verifyReplica() calls no generation damaged whose first snapshot is on its way, or broke off", async () => {
  await using bench = new Bench();
  bench.insert();
  await bench.run();
  await bench.current();
  await loseGeneration(bench);
  bench.store.rules.push({ method: "put", key: /\/snapshots\//, times: Infinity });
  bench.insert();
  await bench.run();
  const begun = bench.generation;
  await until(async () => (await bench.replica.direct.segments(begun)).length > 0, () => "the first WAL");
  const during = await verifyReplica(bench.replica.direct);
  assert.deepEqual(findingsOf(during), [[begun, "beginning"]]);
  assert.equal(during.isProven, false);
  await loseGeneration(bench);
  await bench.run();
  await bench.current();
  assert.notEqual(bench.generation, begun);
  const after = await verifyReplica(bench.replica.direct);
  assert.deepEqual(findingsOf(after), [[begun, "leftover"]]);
  assert.equal(after.isProven, true);
});
