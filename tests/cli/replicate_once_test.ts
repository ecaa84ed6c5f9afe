/** What `replicate -once`, and the end of a child of `-exec`, wait for. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { untilSent, untilSynced } from "../../src/cli/replicate_once.ts";
import { silentLogger } from "../../src/logger.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles, type FailRule } from "../doubles/failing_files.ts";
import type { StoreRule } from "../doubles/faulty_store.ts";
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

/** A bench whose replica has all but one row, which `rule` holds up, and what waits for it with `signal`. */
async function sending(bench: Bench, { rule, signal }: { rule: Partial<StoreRule>; signal: AbortSignal }) {
  await bench.run();
  await bench.current();
  bench.store.rules.push({ method: "put", ...rule });
  const storedCount = bench.store.of("put").length;
  bench.insert();
  let isOver = false;
  const sent = untilSent([bench.replicator!], { ...QUICK, signal }).then(() => isOver = true);
  await until(() => bench.store.of("put").length > storedCount, "the upload");
  return { sent, isOver: () => isOver };
}

test("untilSent() waits for what was committed just now", async () => {
  await using bench = new Bench();
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const { sent, isOver } = await sending(bench, { rule: { gate }, signal: AbortSignal.timeout(10_000) });
  assert.ok(!isOver());
  open();
  await sent;
  assert.ok(bench.loop.isCurrent);
});

test("untilSent() doesn't wait for good for a replica that fails", async () => {
  await using bench = new Bench();
  const { sent } = await sending(bench, { rule: { times: Infinity }, signal: AbortSignal.timeout(10_000) });
  await sent;
  assert.match(bench.loop.lastError, /made to fail/);
});

test("untilSent() ends at a signal, whatever is under way", async () => {
  await using bench = new Bench();
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const aborting = new AbortController();
  const { sent } = await sending(bench, { rule: { gate }, signal: aborting.signal });
  aborting.abort(new Error("stopped by SIGTERM"));
  await sent;
  assert.ok(!bench.loop.isCurrent);
  open();
});
