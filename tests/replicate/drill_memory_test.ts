/** What drills remember over a start. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DrillMemory } from "../../src/replicate/drill_memory.ts";
import { MetaDirectory } from "../../src/database/meta_directory.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";
import { failFiles } from "../doubles/failing_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { DrilledBench } from "./drilled_bench.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A drill of a day that runs by a clock of its own, until it is stopped. */
function started(bench: DrilledBench, clock: StoppedClock, intervalMs = DAY_MS) {
  const drill = bench.drill({ intervalMs }, clock);
  const stop = new AbortController();
  const run = drill.run(stop.signal);
  return {
    drill,
    waits: async (): Promise<number> => {
      await until(() => clock.nextMs !== undefined, "a drill to be waited for");
      return clock.nextMs!;
    },
    stop: async () => {
      stop.abort();
      await run;
    },
  };
}

function memoryPath(bench: DrilledBench): string {
  return join(bench.folder, ".app.db-litestream", "walbrook-drills", "replica-0.json");
}

test("Drill goes on with its interval, and with what was proven, after a start", async () => {
  await using bench = await DrilledBench.begin();
  const clock = new StoppedClock();
  const first = started(bench, clock);
  await clock.advance(await first.waits());
  await clock.advance(await first.waits());
  await until(() => first.drill.lastProvenAt !== undefined, "a drill to pass");
  await first.waits();
  await first.stop();
  await clock.advance(20 * HOUR_MS);
  bench.metrics.values.clear();
  const second = started(bench, clock);
  assert.deepEqual(second.drill.lastProvenAt, first.drill.lastProvenAt);
  assert.equal(bench.gauge, first.drill.lastProvenAt!.getTime() / 1000);
  assert.equal(await second.waits(), 4 * HOUR_MS);
  await second.stop();
  await clock.advance(9 * DAY_MS);
  // Fell due meanwhile; but not before it is sure that this start is no short one.
  const third = started(bench, clock);
  assert.equal(await third.waits(), 60_000);
  await third.stop();
});

test("Drill gets to its first one however often the program is started", async () => {
  await using bench = await DrilledBench.begin();
  const clock = new StoppedClock();
  for (const expectedMs of [DAY_MS - 60_000, 14 * HOUR_MS, 4 * HOUR_MS, 60_000]) {
    const { drill, waits, stop } = started(bench, clock);
    if (expectedMs > 23 * HOUR_MS) {
      assert.equal(await waits(), 60_000);
      await clock.advance(60_000);
    }
    assert.equal(await waits(), expectedMs);
    assert.equal(drill.lastProvenAt, undefined);
    await stop();
    await clock.advance(10 * HOUR_MS - (expectedMs > 23 * HOUR_MS ? 60_000 : 0));
  }
});

test("Drill that failed is a failed one after a start, and tried again soon", async () => {
  await using bench = await DrilledBench.begin();
  const clock = new StoppedClock();
  bench.application!.exec(`
    CREATE TABLE positive (x CHECK (x > 0)); PRAGMA ignore_check_constraints = on;
    INSERT INTO positive VALUES (-1)`);
  await bench.current();
  const first = started(bench, clock, 60_000);
  await clock.advance(await first.waits());
  await clock.advance(await first.waits());
  await until(() => first.drill.failingForMs !== undefined, "a drill to fail");
  await first.waits();
  await first.stop();
  await clock.advance(HOUR_MS);
  const second = started(bench, clock);
  assert.match(second.drill.lastError, /integrity check/);
  assert.ok(second.drill.failingForMs! >= HOUR_MS);
  assert.equal(await second.waits(), 60_000);
  bench.application!.exec("DELETE FROM positive");
  await bench.current();
  await clock.advance(60_000);
  await until(() => second.drill.failingForMs === undefined, "a drill to pass");
  assert.equal(second.drill.lastError, "");
  assert.equal(bench.logged("drills pass again"), 1);
  await second.waits();
  await second.stop();
  const third = started(bench, clock);
  assert.equal(third.drill.failingForMs, undefined);
  await third.stop();
});

test("Drill makes nothing beside a database that isn't there", async () => {
  await using bench = new DrilledBench({ isEmpty: true });
  await bench.run();
  const clock = new StoppedClock();
  const { waits, stop } = started(bench, clock);
  await clock.advance(await waits());
  await waits();
  await stop();
  assert.equal(existsSync(join(bench.folder, ".app.db-litestream", "walbrook-drills")), false);
});

test("DrillMemory says nothing of another place, nor from a file that is broken or can't be read", async () => {
  await using bench = await DrilledBench.begin();
  const { client } = bench.loop;
  const memory = new DrillMemory(bench.database.meta, client);
  assert.equal(memory.read(), undefined);
  const failure = { since: 3, error: "x".repeat(5000) };
  memory.write({ since: 1, provenAt: 2, failure });
  const whole = { since: 1, provenAt: 2, failure: { since: 3, error: "x".repeat(1000) } };
  assert.deepEqual(memory.read(), whole);
  const store = { ...client.store, place: "file:///elsewhere" } as typeof client.store;
  assert.equal(new DrillMemory(bench.database.meta, { name: client.name, store }).read(), undefined);
  const path = memoryPath(bench);
  const text = readFileSync(path, "utf8");
  const broken = ["", text.slice(0, 40), "[]", "null", "7", text.replace('"since":1', '"since":"1"')];
  for (const one of [...broken, text.replace('"provenAt":2', '"provenAt":{}'), text + " ".repeat(70_000)]) {
    writeFileSync(path, one);
    assert.equal(memory.read(), undefined, one.slice(0, 100));
  }
  writeFileSync(path, text.replace('"since":3', '"since":null'));
  assert.deepEqual(memory.read(), { since: 1, provenAt: 2, failure: undefined });
});

test("DrillMemory leaves the file as it is where another can't be written, and nothing half-written", () => {
  using folder = temporaryFolder();
  const client = { name: "r", store: { place: "here" } } as ConstructorParameters<typeof DrillMemory>[1];
  new DrillMemory(new MetaDirectory(folder.path), client).write({ since: 1 });
  for (const kind of ["open", "write", "rename"] as const) {
    const { files } = failFiles(systemFiles, [{
      kind,
      code: "ENOSPC",
      path: /walbrook-drills/,
      times: Infinity,
    }]);
    const memory = new DrillMemory(new MetaDirectory(folder.path, files), client);
    memory.write({ since: 2 });
    assert.equal(existsSync(join(folder.path, "walbrook-drills", "r.json.tmp")), false, kind);
  }
  const { since } = new DrillMemory(new MetaDirectory(folder.path), client).read()!;
  assert.equal(since, 1);
});
