import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chooseAbandoned, neededFrom, type ShadowHolder } from "../../src/replicate/shadow_bound.ts";
import { until } from "../doubles/until.ts";
import { Bench } from "./bench_of_one.ts";

/** Checkpoints only when a test asks for one. */
const limits = { minPages: 1e9, maxPages: 0, intervalMs: 0 };

const files = Array.from({ length: 10 }, (_, index) => ({ index, size: 100 }));
const at = (index: number | undefined, more: Partial<ShadowHolder> = {}): ShadowHolder => ({
  index,
  isFailing: false,
  isAbandoned: false,
  ...more,
});

test("chooseAbandoned() gives up dead and hopeless replicas beyond the limit, never slow ones", () => {
  const choose = (holder: ShadowHolder, maxBytes: number, databaseBytes = 1e9) =>
    chooseAbandoned({ holders: [holder, at(9)], files, currentIndex: 9, databaseBytes, maxBytes })
      .map(({ bytes }) => bytes);
  // Files 3 to 7 are kept for a replica at 4; 8 and 9 stay in any case.
  assert.deepEqual(choose(at(4, { isFailing: true }), 499), [500]);
  assert.deepEqual(choose(at(4, { isFailing: true }), 500), []);
  assert.deepEqual(choose(at(4, { isFailing: true }), 0), []);
  assert.deepEqual(choose(at(4), 100), []);
  assert.deepEqual(choose(at(4), 100, 249), [500]);
  assert.deepEqual(choose(at(4), 100, 250), []);
  assert.deepEqual(choose(at(undefined, { isFailing: true }), 799), [800]);
  assert.deepEqual(choose(at(4, { isFailing: true, isAbandoned: true }), 100), []);
});

test("neededFrom() is the slowest replica's index, of those that are not given up", () => {
  assert.equal(neededFrom([at(7), at(4)], 9), 4);
  assert.equal(neededFrom([at(7), at(undefined)], 9), 0);
  assert.equal(neededFrom([at(7), at(4, { isAbandoned: true })], 9), 7);
  assert.equal(neededFrom([at(4, { isAbandoned: true })], 9), 9);
  assert.equal(neededFrom([], 9), 9);
});

const shadowNames = (bench: Bench) =>
  readdirSync(join(bench.folder, ".app.db-litestream/generations", bench.generation, "wal")).sort();

test("Replicator drops shadow files below the slowest replica's index − 1, a failing one keeps them (case 40)", async () => {
  await using bench = new Bench({ replicaCount: 2, limits });
  await bench.run();
  await bench.current();
  const [fast, slow] = bench.replicas;
  const loops = bench.replicator!.replicas;
  slow!.store.rules.push({ method: "put", times: Infinity });
  await bench.restartWal((index) => index >= 5, [loops[0]!]);
  assert.ok(loops[1]!.position!.index <= 1);
  assert.equal(shadowNames(bench)[0], "00000000.wal");
  slow!.store.mend();
  await bench.current();
  bench.insert();
  await bench.current();
  const kept = loops[1]!.position!.index - 1;
  await until(() => shadowNames(bench)[0] === `0000000${kept}.wal`, () => shadowNames(bench).join());
  assert.equal(shadowNames(bench).length, 2);
  await bench.assertRestores(fast);
  await bench.assertRestores(slow);
});

test("Replicator removes the meta directory's old generations once there is a new one (case 40)", async () => {
  await using bench = new Bench({ limits });
  await bench.run();
  await bench.current();
  const old = bench.generation;
  await bench.database.restartGeneration(old, "for the test");
  await bench.current();
  assert.notEqual(bench.generation, old);
  assert.ok(!existsSync(join(bench.folder, ".app.db-litestream/generations", old)));
});

test("Replicator bounds the shadow WAL of a dead replica, says so, and starts it anew when it is back (11.42)", async () => {
  await using bench = new Bench({ replicaCount: 2, limits, maxShadowBytes: 40_000 });
  await bench.run();
  await bench.current();
  const { generation } = bench;
  const [alive, dead] = bench.replicas;
  const loops = bench.replicator!.replicas;
  for (const method of ["put", "get", "list"] as const) {
    dead!.store.rules.push({ method, times: Infinity });
  }
  const before = bench.database.position!.index;
  await bench.restartWal((index) => index >= before + 12, [loops[0]!]);
  const message = (part: string) => bench.logs.records.filter((record) => record.message.startsWith(part));
  await until(() => message("replica given up").length === 1, "the replica to be given up");
  await bench.restartWal((index) => index >= before + 24, [loops[0]!]);
  assert.equal(message("replica given up").length, 1);
  const [said] = message("replica given up");
  assert.equal(said!.level, "error");
  assert.equal(said!.fields["replica"], dead!.client.name);
  assert.ok(shadowNames(bench).length <= 3, shadowNames(bench).join());
  // The one that lives goes on in its generation.
  assert.equal(bench.generation, generation);
  assert.deepEqual(await alive!.direct.generations(), [generation]);
  dead!.store.mend();
  await until(() => bench.generation !== generation, "the new generation");
  await bench.current();
  assert.equal(loops[1]!.isAbandoned, false);
  assert.equal(message("sync: a replica can't go on").length, 1);
  await bench.assertRestores(alive);
  await bench.assertRestores(dead);
});

test("Replicator without replicas keeps two shadow files (11.42)", async () => {
  await using bench = new Bench({ replicaCount: 0, limits });
  await bench.run();
  for (let tries = 0; bench.database.position!.index < 5; tries++) {
    assert.ok(tries < 500);
    bench.application!.exec("PRAGMA wal_checkpoint(PASSIVE)");
    await bench.database.settle();
    bench.insert();
    await bench.database.settle();
  }
  await until(() => shadowNames(bench).length === 2, () => shadowNames(bench).join());
});
