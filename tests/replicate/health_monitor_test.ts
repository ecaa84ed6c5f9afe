import { test } from "node:test";
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { HealthMonitor } from "../../src/replicate/health_monitor.ts";
import { Replicator } from "../../src/replicate/replicator.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { LiveDatabase } from "../../src/database/database.ts";
import { failFiles, type FailRule } from "../doubles/failing_files.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";
import { recordLogs } from "../doubles/recording_logger.ts";
import { until } from "../doubles/until.ts";
import { Bench, type BenchOptions } from "./bench_of_one.ts";

const MINUTE_MS = 60_000;

/** A bench whose time leaps, and its monitor. */
class Ward implements AsyncDisposable {
  readonly clock = new SkippingClock();
  readonly bench: Bench;
  readonly logs = recordLogs();
  monitor!: HealthMonitor;

  constructor(options: BenchOptions = {}) {
    this.bench = new Bench({ ...options, clock: this.clock });
  }

  async run(): Promise<void> {
    await this.bench.run();
    this.watch(this.bench.replicator!);
  }

  watch(replicator: Replicator): void {
    const { clock, logs: { logger } } = this;
    this.monitor = new HealthMonitor({ replicators: [replicator], clock, logger });
  }

  get database() {
    return this.monitor.report().databases[0]!;
  }

  get replica() {
    return this.database.replicas[0]!;
  }

  /** Let time pass at once, look, and take what was said. */
  saidAfter(ms: number): string[] {
    this.clock.skip(ms);
    this.monitor.check();
    return this.logs.records.splice(0).map(({ level, message }) => `${level}: ${message}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.monitor?.[Symbol.dispose]();
    await this.bench[Symbol.asyncDispose]();
  }
}

const STALLED = "error: the replica does not advance";
const ADVANCES = "info: the replica advances again";
const LOST = "error: the database is not followed, its commits are in no replica";
const FOLLOWED = "info: the database is followed again";

test("HealthMonitor says that a replica doesn't advance: once, with growing gaps, and when that is over", async () => {
  await using ward = new Ward();
  const { bench } = ward;
  bench.insert();
  await ward.run();
  await bench.current();
  assert.deepEqual(ward.saidAfter(60 * MINUTE_MS), [], "nothing to send");
  bench.store.rules.push({ method: "put", times: Infinity, message: "no space" });
  bench.insert();
  await until(() => bench.loop.errorCount > 1, "uploads to fail");
  assert.deepEqual(ward.saidAfter(4 * MINUTE_MS), []);
  assert.equal(ward.replica.condition, "failing");
  assert.equal(ward.replica.isHealthy, true);
  ward.clock.skip(2 * MINUTE_MS);
  ward.monitor.check();
  const [record, ...others] = ward.logs.records.splice(0);
  assert.deepEqual(others, []);
  assert.equal(`${record!.level}: ${record!.message}`, STALLED);
  const { db, replica, bytes, error } = record!.fields;
  assert.deepEqual({ db, replica, error }, { db: bench.path, replica: "replica-0", error: "no space" });
  assert.ok(Number(bytes) > 4096, String(bytes));
  assert.equal(ward.monitor.report().isHealthy, false);
  assert.deepEqual(ward.saidAfter(4 * MINUTE_MS), []);
  assert.deepEqual(ward.saidAfter(2 * MINUTE_MS), [STALLED]);
  assert.deepEqual(ward.saidAfter(9 * MINUTE_MS), []);
  assert.deepEqual(ward.saidAfter(2 * MINUTE_MS), [STALLED]);
  bench.store.mend();
  await bench.current();
  assert.deepEqual(ward.saidAfter(0), [ADVANCES]);
  assert.equal(ward.monitor.report().isHealthy, true);
  assert.deepEqual(ward.saidAfter(60 * MINUTE_MS), []);
});

test("HealthMonitor sees an upload that hangs, which says nothing by itself, and how far it is behind", async () => {
  await using ward = new Ward();
  const { bench } = ward;
  bench.insert();
  await ward.run();
  await bench.current();
  const { promise: gate, resolve } = Promise.withResolvers<void>();
  bench.store.rules.push({ method: "put", gate });
  bench.insert();
  await until(() => bench.store.of("put").at(-1)?.endedAt === undefined, "an upload to hang");
  assert.deepEqual(ward.saidAfter(6 * MINUTE_MS), [STALLED]);
  const { behindMs, waitingBytes, errorCount } = ward.replica;
  assert.ok(behindMs >= 6 * MINUTE_MS && behindMs < 7 * MINUTE_MS, String(behindMs));
  assert.ok(waitingBytes > 4096);
  assert.equal(errorCount, 0);
  resolve();
  await bench.current();
  assert.equal(ward.replica.behindMs, 0);
  assert.equal(ward.replica.waitingBytes, 0);
});

test("HealthMonitor sees a replica that stands still while the time of day is back behind the last commits", async () => {
  await using ward = new Ward();
  const { bench, clock } = ward;
  clock.setMs = 180 * MINUTE_MS;
  bench.insert();
  await ward.run();
  await bench.current();
  clock.setMs = 0;
  bench.store.rules.push({ method: "put", times: Infinity });
  bench.insert();
  await until(() => bench.loop.errorCount > 0, "uploads to fail");
  assert.deepEqual(ward.saidAfter(6 * MINUTE_MS), [STALLED]);
  assert.ok(ward.replica.behindMs >= 6 * MINUTE_MS, String(ward.replica.behindMs));
});

test("HealthMonitor sees a replica that could not be reached since the start", async () => {
  await using ward = new Ward();
  ward.bench.insert();
  ward.bench.store.rules.push({ method: "list", times: Infinity });
  await ward.run();
  await until(() => ward.bench.loop.errorCount > 0, "the replica to fail");
  assert.equal(ward.replica.condition, "failing");
  assert.deepEqual(ward.saidAfter(6 * MINUTE_MS), [STALLED]);
});

test("HealthMonitor sees that the first snapshot fails while the WAL goes on", async () => {
  await using ward = new Ward();
  const { bench } = ward;
  bench.store.rules.push({ method: "put", key: /snapshot/, times: Infinity });
  bench.insert();
  await ward.run();
  await until(() => bench.loop.errorCount > 0, "the snapshot to fail");
  for (let round = 0; round < 4; round++) {
    ward.clock.skip(2 * MINUTE_MS);
    bench.insert();
    await bench.database.settle();
    await until(() => ward.replica.waitingBytes === 0, "the WAL to be uploaded");
  }
  await until(() => ward.replica.errorCount > 2, "the snapshot to fail again");
  assert.deepEqual(ward.saidAfter(0), [STALLED]);
  assert.ok(ward.replica.behindMs >= 6 * MINUTE_MS);
});

test("HealthMonitor: a database that its application has not made yet is healthy, one that went away is not", async () => {
  await using ward = new Ward({ isEmpty: true });
  const { bench } = ward;
  await ward.run();
  assert.equal(ward.database.condition, "new");
  assert.deepEqual(ward.saidAfter(60 * MINUTE_MS), []);
  bench.openApplication();
  bench.insert();
  await until(() => bench.loop.isCurrent, "the database to be replicated");
  assert.equal(ward.database.condition, "ok");
  bench.application!.close();
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${bench.path}${suffix}`, { force: true });
  // The paths are looked at no more often than every few seconds.
  ward.clock.skip(10_000);
  await until(() => bench.database.state.kind === "waiting", "the loss to be seen");
  assert.equal(ward.database.condition, "waiting");
  assert.equal(ward.monitor.report().isHealthy, true);
  assert.deepEqual(ward.saidAfter(6 * MINUTE_MS), [LOST]);
  assert.match(ward.database.error, /does not exist|deleted/);
  assert.ok(ward.replica.behindMs >= 6 * MINUTE_MS);
  bench.openApplication();
  await until(() => bench.database.state.kind === "live", "the new database to be taken up");
  await bench.current();
  assert.deepEqual(ward.saidAfter(0), [FOLLOWED]);
});

test("HealthMonitor: a database that is gone when walbrook is started again is no new one", async () => {
  await using ward = new Ward();
  const { bench } = ward;
  bench.insert();
  await ward.run();
  await bench.current();
  await bench.stop();
  bench.application!.close();
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${bench.path}${suffix}`, { force: true });
  await ward.run();
  assert.equal(ward.database.condition, "waiting");
  assert.equal(ward.monitor.report().isHealthy, true, "an application may be about to make it");
  assert.deepEqual(ward.saidAfter(6 * MINUTE_MS), [LOST]);
  assert.equal(ward.monitor.report().isHealthy, false);
  bench.openApplication();
  await until(() => bench.database.state.kind === "live", "the new database to be taken up");
  await bench.current();
  assert.deepEqual(ward.saidAfter(0), [FOLLOWED]);
});

test("HealthMonitor sees a database that can't be copied, and that its replica is behind for it", async () => {
  await using ward = new Ward();
  const { bench, clock } = ward;
  bench.insert();
  const rules: FailRule[] = [];
  const { files } = failFiles(systemFiles, rules);
  await using database = new LiveDatabase({ path: bench.path, files, clock, monitorIntervalMs: 50 });
  const replicator = new Replicator({
    database,
    replicas: [{ client: bench.replica.client, clock, syncIntervalMs: 20 }],
  });
  await replicator.start();
  ward.watch(replicator);
  await until(() => replicator.replicas[0]!.isCurrent, "the replica to be current");
  rules.push({ kind: "write", path: /\.wal/, code: "EIO", times: Infinity });
  bench.insert();
  await until(() => database.lastError !== "", "the copying to fail");
  assert.equal(ward.database.condition, "failing");
  assert.deepEqual(ward.saidAfter(6 * MINUTE_MS), [LOST]);
  assert.ok(ward.replica.behindMs >= 6 * MINUTE_MS, String(ward.replica.behindMs));
  assert.ok(ward.replica.waitingBytes >= 4096);
  rules.length = 0;
  await until(() => database.lastError === "", "the copying to work");
  assert.deepEqual(ward.saidAfter(0), [FOLLOWED]);
  await replicator.finish({ signal: AbortSignal.timeout(5_000) });
  assert.equal(ward.database.condition, "closed");
});

test("HealthMonitor: what was left unsent by the run before counts with its age", async () => {
  await using ward = new Ward();
  const { bench } = ward;
  bench.insert();
  await ward.run();
  await bench.current();
  bench.store.rules.push({ method: "put", times: Infinity });
  bench.insert();
  await bench.database.settle();
  await bench.stop(50).catch(() => {});
  ward.monitor[Symbol.dispose]();
  ward.clock.skip(3 * MINUTE_MS);
  await ward.run();
  await until(() => bench.loop.position !== undefined, "the replica to be looked at");
  assert.ok(ward.replica.behindMs >= 3 * MINUTE_MS, String(ward.replica.behindMs));
  assert.notEqual(ward.replica.condition, "stalled", "this run has not had its time");
});

test("inspect() finds a replica unhealthy from a drill that failed until one passes; the drills' own lines tell", async () => {
  await using ward = new Ward();
  const { bench } = ward;
  bench.insert();
  await bench.run({
    duties: { drill: { intervalMs: 20, temporaryPath: bench.folder } },
    backoff: { firstMs: 20, longestMs: 20 },
    clock: systemClock,
  });
  ward.watch(bench.replicator!);
  await until(() => ward.replica.lastProvenAt !== undefined, "a drill to pass");
  assert.equal(ward.monitor.report().isHealthy, true);
  // A database that breaks its own rule is restored as it is: no repair of the replica helps.
  bench.application!.exec(`
    CREATE TABLE positive (x CHECK (x > 0)); PRAGMA ignore_check_constraints = on;
    INSERT INTO positive VALUES (-1)`);
  await until(
    () => ward.replica.condition === "unproven",
    () => `a drill to fail: ${ward.replica.condition}`,
  );
  const { isHealthy, error, lastProvenAt } = ward.replica;
  assert.equal(isHealthy, false);
  assert.equal(ward.monitor.report().isHealthy, false);
  assert.match(
    error,
    /^drill failed: .*: the database itself is damaged, and the replica holds it as it is: /,
  );
  assert.ok(lastProvenAt !== undefined);
  await until(() => bench.logged("drill failed") >= 3, "each drill that fails to be an error");
  assert.deepEqual(ward.saidAfter(60 * MINUTE_MS), []);
  bench.application!.exec("DELETE FROM positive");
  await until(() => ward.monitor.report().isHealthy, () => `a drill to pass: ${ward.replica.error}`);
  assert.equal(ward.replica.error, "");
  assert.ok(bench.logged("drills pass again") > 0);
});

test("HealthMonitor looks by itself", async () => {
  await using ward = new Ward();
  ward.bench.insert();
  ward.bench.store.rules.push({ method: "put", times: Infinity });
  await ward.bench.run();
  const { logs: { logger, records }, clock } = ward;
  using _ = new HealthMonitor({
    replicators: [ward.bench.replicator!],
    limits: { maxStallMs: 100 },
    clock,
    logger,
  });
  await until(() => records.some(({ message }) => message === "the replica does not advance"), "a look");
});
