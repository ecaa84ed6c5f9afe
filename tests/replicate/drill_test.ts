import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Semaphore } from "../../src/async.ts";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { defaultMetaPath, MetaDirectory } from "../../src/database/meta_directory.ts";
import type { Drill } from "../../src/replicate/drill.ts";
import type { Proof } from "../../src/replicate/validator.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { addOwnCollation } from "../builders/own_collation.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";
import { until } from "../doubles/until.ts";
import { DrilledBench } from "./drilled_bench.ts";

const NEVER = new AbortController().signal;
const OFTEN = { intervalMs: 20, backoff: { firstMs: 5, longestMs: 10 } };

/** Run `drill` until `isEnough`. */
async function running(drill: Drill, isEnough: () => boolean, what: string): Promise<void> {
  const stop = new AbortController();
  const run = drill.run(stop.signal);
  await until(isEnough, what);
  stop.abort();
  await run;
}

test("Drill publishes for when the replica is proven, in the log and as a gauge", async () => {
  await using bench = await DrilledBench.begin();
  const drill = bench.drill();
  assert.equal(drill.lastProvenAt, undefined);
  const before = Date.now();
  const proof = await drill.drill(NEVER);
  assert.equal(proof?.outcome, "ok");
  const at = drill.lastProvenAt!;
  assert.ok(at.getTime() >= before && at.getTime() <= Date.now());
  assert.equal(bench.gauge, at.getTime() / 1000);
  assert.equal(drill.lastError, "");
  const [line] = bench.logs.records.filter(({ message }) => message.startsWith("drill passed"));
  assert.equal(line?.fields["proven"], at.toISOString());
  assert.deepEqual(readdirSync(bench.temporaryPath), []);
});

test("Drill goes on failing loudly until one passes, and keeps what was proven before", async () => {
  await using bench = await DrilledBench.begin();
  const { logs } = bench;
  const drill = bench.drill(OFTEN);
  await running(drill, () => drill.lastProvenAt !== undefined, "a drill to pass");
  const proven = drill.lastProvenAt!;
  const [snapshot] = await bench.replica.direct.snapshots(bench.generation);
  const { raw, note } = await bench.replica.object(snapshot!.key);
  await bench.rewrite(snapshot!.key, (raw) => raw[4096 * 4 + 2000]! ^= 1);
  await running(drill, () => drill.lastError !== "", "a drill to fail");
  assert.match(
    drill.lastError,
    /: invalid replica, checksum mismatch: 1 pages differ, the first is page \d+$/,
  );
  assert.ok(logs.records.some(({ level, message }) => level === "error" && message === "drill failed"));
  assert.ok(drill.lastProvenAt! >= proven && bench.gauge === drill.lastProvenAt!.getTime() / 1000);
  await bench.replica.files.put(snapshot!.key, encodeObjectBytes(raw, { note }));
  await running(drill, () => drill.lastError === "", "a drill to pass again");
  assert.ok(logs.records.some(({ message }) => message === "drills pass again"));
});

test("Drill fails where the replica can't be restored, and where there is no room", async () => {
  await using bench = await DrilledBench.begin();
  const files: Files = { ...systemFiles, freeBytes: () => Promise.resolve(1000) };
  await assert.rejects(
    bench.drill({ files }).drill(NEVER),
    /it takes \d+ bytes of temporary space, and only 1000 are free/,
  );
  const [segment] = await bench.replica.direct.segments(bench.generation);
  await bench.replica.files.put(segment!.key, new Uint8Array(10));
  await assert.rejects(bench.drill().drill(NEVER), new RegExp(`cannot restore: ${segment!.key}: `));
  assert.deepEqual(readdirSync(bench.temporaryPath), []);
});

test("Drill has what is committed sent by a replica that rests", async () => {
  await using bench = await DrilledBench.begin({ syncIntervalMs: 60_000 });
  bench.insert();
  const proof = await bench.drill({ waitMs: 3000 }).drill(NEVER);
  assert.equal(proof?.outcome, "ok");
});

test("Drill and snapshot take a WAL that has a header and no commit, as Litestream leaves it, for the start of its index", async () => {
  await using bench = await DrilledBench.begin();
  const { generation, index } = bench.database.position!;
  await bench.stop();
  const application = bench.application!;
  application.exec("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA cache_size = 2; BEGIN");
  for (let row = 0; row < 100; row++) bench.insert("y".repeat(1000));
  application.exec("ROLLBACK");
  const header = readFileSync(`${bench.path}-wal`).subarray(0, 32);
  assert.equal(header.length, 32);
  const shadow = new MetaDirectory(defaultMetaPath(bench.path), systemFiles).shadowPath(
    generation,
    index + 1,
  );
  writeFileSync(shadow, header);
  await bench.run();
  await bench.current();
  assert.deepEqual(bench.database.position, { generation, index: index + 1, offset: 32 });
  assert.equal((await bench.drill().drill(NEVER))?.outcome, "ok");
  assert.equal((await bench.loop.snapshot({ signal: NEVER }))?.position.offset, 0);
  await bench.assertRestores();
});

test("Drill has SQLite look at the file, which is as bad as the database is", async () => {
  await using bench = await DrilledBench.begin();
  // Every byte is replicated, and the database breaks its own rule all the same.
  bench.application!.exec(`
    CREATE TABLE positive (x CHECK (x > 0)); PRAGMA ignore_check_constraints = on;
    INSERT INTO positive VALUES (-1)`);
  await bench.current();
  await assert.rejects(bench.drill().drill(NEVER), /it fails SQLite's integrity check: /);
});

test("Drill says in one error that the database itself is damaged, and what can be done about it", async () => {
  await using bench = await DrilledBench.begin();
  await bench.damageDatabase();
  const repairs: string[] = [];
  const repair = ({ outcome }: Proof) => Promise.resolve(repairs.push(outcome));
  const drill = bench.drill({ ...OFTEN, repair });
  await running(drill, () => drill.lastError !== "", "a drill to fail");
  assert.deepEqual(new Set(repairs), new Set(["bad database"]));
  assert.equal(drill.lastProvenAt, undefined);
  assert.equal(bench.gauge, undefined);
  const errors = bench.logs.records.filter(({ level }) => level === "error");
  assert.deepEqual(new Set(errors.map(({ message }) => message)), new Set(["drill failed"]));
  assert.equal(errors[0]!.fields["db"], bench.path);
  assert.match(
    String(errors[0]!.fields["error"]),
    new RegExp(
      `^${bench.generation}/[0-9a-f]{8}:[0-9]+: the database itself is damaged, and the replica holds it as it is: ` +
        "it fails SQLite's integrity check: [^;]+; restore an older moment with -timestamp, or mend the database " +
        "with sqlite3's .recover$",
      "s",
    ),
  );
});

test("Drills that share turns restore one after the other, and what each proves is of its own turn", async () => {
  await using bench = await DrilledBench.begin();
  const turns = new Semaphore(1);
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const freeBytes = async (path: string) => {
    asked.resolve();
    await gate.promise;
    return await systemFiles.freeBytes(path);
  };
  const first = bench.drill({ turns, files: { ...systemFiles, freeBytes } });
  const running = first.drill(NEVER);
  await asked.promise;
  let isSecondAsked = false;
  const second = bench.drill({
    turns,
    files: {
      ...systemFiles,
      freeBytes: (path) => {
        isSecondAsked = true;
        return systemFiles.freeBytes(path);
      },
    },
  });
  const waiting = second.drill(NEVER);
  bench.insert();
  await bench.current();
  assert.equal(isSecondAsked, false);
  const openedAt = Date.now();
  gate.resolve();
  await running;
  await waiting;
  assert.equal(isSecondAsked, true);
  assert.ok(first.lastProvenAt!.getTime() <= openedAt && second.lastProvenAt!.getTime() >= openedAt);
});

test("Drill passes where only the application could check the schema, and says so once", async () => {
  await using bench = await DrilledBench.begin();
  addOwnCollation(bench.path);
  await bench.current();
  const drill = bench.drill();
  for (let round = 0; round < 2; round++) assert.equal((await drill.drill(NEVER))?.outcome, "ok");
  const told = bench.logs.records.filter(({ level }) => level === "warn");
  assert.deepEqual(told.map(({ fields }) => fields["error"]), ["no such collation sequence: mine"]);
});

test("Drill proves nothing while nobody knows where the replica stands", async () => {
  await using bench = await DrilledBench.begin();
  bench.store.rules.push({ method: "put", times: Infinity });
  bench.insert();
  await bench.database.settle();
  await until(() => bench.loop.lastError !== "", "the replica to fail");
  const drill = bench.drill();
  assert.equal(await drill.drill(NEVER), undefined);
  assert.equal(drill.lastProvenAt, undefined);
  assert.equal(drill.lastError, "");
});

test("Drill with nothing to restore is held again in a minute, says so once, and is no failure", async () => {
  await using bench = await DrilledBench.begin();
  bench.store.rules.push({ method: "put", times: Infinity });
  bench.insert();
  await bench.database.settle();
  await until(() => bench.loop.lastError !== "", "the replica to fail");
  const clock = new StoppedClock();
  const drill = bench.drill({ intervalMs: 3_600_000 }, clock);
  const stop = new AbortController();
  const run = drill.run(stop.signal);
  for (const expectedMs of [60_000, 3_540_000, 60_000, 60_000]) {
    await until(() => clock.nextMs !== undefined, "a drill to be waited for");
    assert.equal(clock.nextMs, expectedMs);
    await clock.advance(expectedMs);
  }
  assert.equal(bench.logged("drill: no replica position available"), 1);
  assert.equal(drill.failingForMs, undefined);
  bench.store.rules.length = 0;
  await bench.current();
  await until(() => clock.nextMs !== undefined, "a drill to be waited for");
  await clock.advance(60_000);
  await until(() => drill.lastProvenAt !== undefined, "a drill to pass");
  await until(() => clock.nextMs === 3_600_000, "the interval to be waited for");
  stop.abort();
  await run;
});

test("Drill waits where the database went away, and makes no meta directory for it", async () => {
  await using bench = await DrilledBench.begin();
  const drill = bench.drill(OFTEN);
  bench.application!.close();
  bench.application = undefined;
  const metaPath = bench.database.meta.path;
  for (const suffix of ["", "-wal", "-shm"]) rmSync(bench.path + suffix, { force: true });
  rmSync(metaPath, { recursive: true });
  await until(async () => {
    await bench.database.settle();
    return bench.database.state.kind === "waiting";
  }, "the database to be missed");
  const isTold = () =>
    bench.logs.records.some(({ message }) => message === "drill: no replica position available");
  await running(drill, isTold, "a drill to be skipped");
  assert.equal(drill.lastError, "");
  assert.equal(drill.failingForMs, undefined);
  assert.equal(existsSync(join(metaPath, "walbrook-drills")), false);
});
