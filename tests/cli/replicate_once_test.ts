/** What `replicate -once` does when its database goes away under it. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { untilSynced } from "../../src/cli/replicate_once.ts";
import { silentLogger } from "../../src/logger.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles, type FailRule } from "../doubles/failing_files.ts";
import { until } from "../doubles/until.ts";
import { Bench } from "../replicate/bench_of_one.ts";

/** When to give up. */
const QUICK = { logger: silentLogger, patienceMs: 50 };

/** Wait for a replica that lacks one segment; while it is on its way `happen` does something to the database. */
async function syncedDespite(bench: Bench, happen: () => Promise<void>): Promise<string[]> {
  bench.insert();
  await bench.run();
  await bench.current();
  const gate = Promise.withResolvers<void>();
  bench.store.rules.push({ method: "put", gate: gate.promise });
  const storedCount = bench.store.of("put").length;
  bench.insert();
  await bench.database.settle();
  const synced = untilSynced([bench.replicator!], { ...QUICK, signal: AbortSignal.timeout(10_000) });
  await until(() => bench.store.of("put").length > storedCount, "the upload");
  await happen();
  gate.resolve();
  return await synced;
}

test("untilSynced() tells why a database stopped that could be followed at first", async () => {
  await using bench = new Bench();
  const failures = await syncedDespite(bench, async () => {
    writeFileSync(bench.database.meta.generationPath, "00000000000000ff\n");
    await bench.database.settle();
    assert.equal(bench.database.state.kind, "stopped");
  });
  assert.equal(failures.length, 1);
  assert.match(
    failures[0]!,
    /app\.db: replica-0 stayed behind: another program, most likely Litestream, writes/,
  );
});

test("untilSynced() doesn't wait forever for a generation that can't begin, and tells why", async () => {
  const rules: FailRule[] = [];
  const { files } = failFiles(systemFiles, rules);
  await using bench = new Bench({ files });
  const failures = await syncedDespite(bench, async () => {
    rules.push({ kind: "make-folder", code: "ENOSPC", times: Infinity });
    rmSync(bench.database.meta.generationPath);
    await bench.database.settle();
    assert.equal(bench.database.state.kind, "waiting");
  });
  assert.equal(failures.length, 1);
  assert.match(failures[0]!, /app\.db: replica-0 stayed behind: the disk of .* is full/);
});

test("untilSynced() waits for the generation that follows one that can't go on", async () => {
  await using bench = new Bench();
  const failures = await syncedDespite(bench, async () => {
    const { generation } = bench;
    rmSync(bench.database.meta.generationPath);
    await bench.database.settle();
    assert.notEqual(bench.generation, generation);
  });
  assert.deepEqual(failures, []);
  await bench.assertRestores();
});
