import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { crc64, formatCrc64 } from "../../src/crc64.ts";
import { checksumFile } from "../../src/replicate/page_checksums.ts";
import { Validator, type ValidatorOptions } from "../../src/replicate/validator.ts";
import { Mutex } from "../../src/async.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { RecordingMetrics } from "../doubles/recording_metrics.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";
import { until } from "../doubles/until.ts";
import { Bench, type BenchOptions } from "./bench_of_one.ts";

const NEVER = new AbortController().signal;

/** A bench with a validator that works when told. */
class ValidatedBench extends Bench {
  readonly metrics = new RecordingMetrics();
  readonly temporaryPath: string;

  constructor(options: BenchOptions = {}) {
    super(options);
    this.temporaryPath = join(this.folder, "temporary");
    mkdirSync(this.temporaryPath);
  }

  validator(more: Partial<ValidatorOptions> = {}): Validator {
    const { database, loop, metrics, temporaryPath } = this;
    const logger = this.logs.logger.with({ db: this.path, replica: loop.client.name });
    return new Validator(
      { database, loop, client: loop.client, turn: new Mutex(), clock: systemClock, logger, metrics },
      { intervalMs: 0, temporaryPath, ...more },
    );
  }

  counted(status: "ok" | "error"): number | undefined {
    const labels = { db: this.path, name: this.replica.client.name, status };
    return this.metrics.value("litestream_replica_validation_total", labels);
  }

  assertClean(): void {
    assert.deepEqual(readdirSync(this.temporaryPath), []);
  }

  /** Change bytes of an object in a way that its own checksums don't show. */
  async rewrite(key: string, change: (raw: Uint8Array) => void): Promise<void> {
    const { raw, note } = await this.replica.object(key);
    change(raw);
    await this.replica.files.put(key, encodeObjectBytes(raw, { note }));
  }
}

test("Validator passes a healthy replica while writers go on, and replication does too (case 93)", async () => {
  await using bench = new ValidatedBench();
  for (let row = 0; row < 300; row++) bench.insert("x".repeat(1000));
  await bench.run();
  await bench.current();
  let isWriting = true;
  let rows = 0;
  const writer = (async () => {
    while (isWriting) {
      bench.insert("y".repeat(500 + rows % 3000));
      if (rows % 7 === 0) bench.application!.exec(`DELETE FROM t WHERE id % 13 = ${rows % 13}`);
      if (rows++ % 40 === 0) bench.application!.exec("PRAGMA wal_checkpoint(PASSIVE)");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  const validator = bench.validator();
  for (let round = 1; round <= 5; round++) {
    const before = rows;
    assert.equal(await validator.validate(NEVER), "ok");
    assert.equal(bench.counted("ok"), round);
    assert.ok(rows > before, "nobody wrote meanwhile");
  }
  isWriting = false;
  await writer;
  assert.equal(bench.counted("error"), undefined);
  const lines = bench.logs.records.filter(({ message }) => message === "validator");
  assert.equal(lines.length, 5);
  for (const { fields } of lines) {
    assert.equal(fields["status"], "ok");
    assert.match(String(fields["db-checksum"]), /^[0-9a-f]{16}$/);
    assert.equal(fields["db-checksum"], fields["replica-checksum"]);
    assert.deepEqual([fields["db"], fields["replica"]], [bench.path, bench.replica.client.name]);
    assert.match(String(fields["position"]), /^[0-9a-f]{16}\/[0-9a-f]{8}:\d+$/);
  }
  bench.assertClean();
  await bench.assertRestores();
});

test("Validator compares at positions after shrinking, at the start of an index, and of a snapshot alone", async () => {
  await using bench = new ValidatedBench({ limits: { minPages: 1e9, maxPages: 0, intervalMs: 0 } });
  for (let row = 0; row < 100; row++) bench.insert("x".repeat(1000));
  await bench.run();
  await bench.current();
  const validator = bench.validator();
  assert.equal(await validator.validate(NEVER), "ok");
  bench.application!.exec("DELETE FROM t WHERE id > 5; VACUUM");
  await bench.current();
  assert.equal(await validator.validate(NEVER), "ok");
  const { index } = bench.database.position!;
  await bench.restartWal((now) => now > index);
  assert.equal(await validator.validate(NEVER), "ok");
  await bench.loop.snapshot({ signal: NEVER });
  assert.equal(await validator.validate(NEVER), "ok");
  bench.assertClean();
});

test("Validator lays the WAL over a database file that a long reader keeps old", async () => {
  await using bench = new ValidatedBench({ limits: { minPages: 1e9, maxPages: 0, intervalMs: 0 } });
  for (let row = 0; row < 100; row++) bench.insert("x".repeat(1000));
  await bench.run();
  await bench.current();
  using reader = new DatabaseSync(bench.path);
  reader.exec("BEGIN");
  assert.equal(reader.prepare("SELECT count(*) AS n FROM t").get()!["n"], 100);
  for (let row = 0; row < 100; row++) bench.insert("y".repeat(1000));
  bench.application!.exec("UPDATE t SET body = 'z' WHERE id % 3 = 0");
  await bench.current();
  const validator = bench.validator();
  assert.equal(await validator.validate(NEVER), "ok");
  await bench.loop.snapshot({ signal: NEVER });
  assert.equal(await validator.validate(NEVER), "ok");
  reader.exec("ROLLBACK");
  bench.assertClean();
});

test("Validator finds a page of the snapshot that was changed so that no checksum shows it (case 93)", async () => {
  await using bench = new ValidatedBench({ limits: { minPages: 1e9, maxPages: 0, intervalMs: 0 } });
  for (let row = 0; row < 100; row++) bench.insert("x".repeat(1000));
  bench.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  await bench.run();
  await bench.current();
  const [snapshot] = await bench.replica.direct.snapshots(bench.generation);
  await bench.rewrite(snapshot!.key, (raw) => raw[4096 * 4 + 2000]! ^= 1);
  assert.equal(await bench.validator().validate(NEVER), "mismatch");
  assert.equal(bench.counted("error"), 1);
  assert.equal(bench.counted("ok"), undefined);
  const [line] = bench.logs.records.filter(({ message }) => message === "validator");
  assert.equal(line!.fields["status"], "mismatch");
  assert.notEqual(line!.fields["db-checksum"], line!.fields["replica-checksum"]);
  const [error] = bench.logs.records.filter(({ level }) => level === "error");
  assert.equal(error!.fields["error"], "invalid replica, checksum mismatch");
  assert.deepEqual([error!.fields["pages"], error!.fields["first_page"]], [1, 5]);
  bench.assertClean();
});

test("Validator counts a replica whose WAL was tampered with as an error, whatever shows it (case 93)", async () => {
  const faults: [string, (bench: ValidatedBench, key: string) => Promise<void>][] = [
    ["a byte of a page", (bench, key) => bench.rewrite(key, (raw) => raw[raw.length - 100]! ^= 1)],
    ["a byte of the stored object", async ({ replica }, key) => {
      const stored = await Array.fromAsync(await replica.files.get(key), (chunk) => Uint8Array.from(chunk));
      const bytes = new Uint8Array(await new Blob(stored).arrayBuffer());
      bytes[bytes.length >> 1]! ^= 1;
      await replica.files.put(key, bytes);
    }],
    ["the object gone", ({ replica }, key) => replica.files.delete([key])],
  ];
  for (const [what, spoil] of faults) {
    await using bench = new ValidatedBench({ limits: { minPages: 1e9, maxPages: 0, intervalMs: 0 } });
    bench.insert();
    await bench.run();
    await bench.current();
    for (let row = 0; row < 3; row++) {
      bench.insert();
      await bench.current();
    }
    const segments = await bench.replica.direct.segments(bench.generation);
    await spoil(bench, segments.at(-2)!.key);
    assert.equal(await bench.validator().validate(NEVER), "damaged", what);
    assert.equal(bench.counted("error"), 1, what);
    assert.equal(bench.logged("validation error"), 1, what);
    bench.assertClean();
  }
});

test("Validator counts nothing that fails before the comparison", async () => {
  await using bench = new ValidatedBench();
  bench.insert();
  await bench.run();
  await bench.current();
  bench.store.rules.push({ method: "get", times: Infinity });
  await assert.rejects(bench.validator().validate(NEVER), /cannot restore/);
  bench.store.mend();
  const full: Files = { ...systemFiles, freeBytes: () => Promise.resolve(1000) };
  const error =
    /cannot validate: it takes \d+ bytes of temporary space, and only 1000 are free in .*temporary/;
  await assert.rejects(bench.validator({ files: full }).validate(NEVER), error);
  bench.store.rules.push({ method: "put", times: Infinity });
  bench.insert();
  await bench.database.settle();
  await until(() => bench.loop.lastError !== "", "the replica to fail");
  assert.equal(await bench.validator({ waitMs: 50 }).validate(NEVER), "skipped");
  bench.store.mend();
  await bench.current();
  const gate = Promise.withResolvers<void>();
  bench.store.rules.push({ method: "put", gate: gate.promise });
  bench.insert();
  await bench.database.settle();
  await assert.rejects(bench.validator({ waitMs: 50 }).validate(NEVER), /replica wait exceeded timeout/);
  gate.resolve();
  assert.equal(bench.counted("ok"), undefined);
  assert.equal(bench.counted("error"), undefined);
  bench.assertClean();
});

test("Validator begins with both counters at 0, validates each interval, and removes what a killed one left", async () => {
  const clock = new StoppedClock();
  await using bench = new ValidatedBench();
  bench.insert();
  const { metrics, temporaryPath } = bench;
  await bench.run({
    metrics,
    duties: { clock, retention: { retentionMs: 0 }, validation: { intervalMs: 1000, temporaryPath } },
  });
  await bench.current();
  assert.deepEqual([bench.counted("ok"), bench.counted("error")], [0, 0]);
  const mark = formatCrc64(crc64(new TextEncoder().encode(`${bench.path}\n${bench.replica.client.name}`)));
  mkdirSync(join(temporaryPath, `walbrook-validation-${mark}-left-behind`));
  mkdirSync(join(temporaryPath, "walbrook-validation-of-somebody-else"));
  for (let round = 1; round <= 2; round++) {
    await until(() => clock.nextMs === 1000, "the wait");
    await clock.advance(1000);
    await until(() => bench.counted("ok") === round, "the validation");
  }
  await until(() => readdirSync(temporaryPath).length === 1, "the folder to be removed");
  assert.deepEqual(readdirSync(temporaryPath), ["walbrook-validation-of-somebody-else"]);
});

test("checksumFile() gives the checksum of the whole file from its pages (case 113)", async () => {
  await using bench = new Bench();
  for (let row = 0; row < 50; row++) bench.insert("x".repeat(1000));
  bench.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  const sums = await checksumFile(bench.path, { pageSize: 4096, files: systemFiles, signal: NEVER });
  using file = systemFiles.openSync(bench.path, { access: "read" });
  const bytes = new Uint8Array(file.statSync().size);
  file.readSync(bytes, 0);
  assert.equal(sums.pageCount * 4096, bytes.length);
  assert.deepEqual(sums.total(), crc64(bytes));
});
