import { test } from "node:test";
import assert from "node:assert/strict";
import { rmSync, statSync } from "node:fs";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles, type FailRule } from "../doubles/failing_files.ts";
import { RecordingMetrics } from "../doubles/recording_metrics.ts";
import { Stage, until } from "./stage.ts";

const ALWAYS = [
  "litestream_db_size",
  "litestream_wal_size",
  "litestream_total_wal_bytes",
  "litestream_shadow_wal_index",
  "litestream_shadow_wal_size",
  "litestream_sync_count",
  "litestream_sync_error_count",
  "litestream_sync_seconds",
];

test("LiveDatabase has its series from the beginning, at 0", async () => {
  await using stage = new Stage();
  const metrics = new RecordingMetrics();
  stage.database({ metrics });
  for (const name of ALWAYS) assert.equal(metrics.value(name, { db: stage.path }), 0, name);
  assert.equal(metrics.values.size, ALWAYS.length);
});

test("LiveDatabase doesn't count looks while there is no database", async () => {
  await using stage = new Stage();
  const metrics = new RecordingMetrics();
  const database = stage.database({ metrics });
  await database.start();
  await database.settle();
  assert.equal(metrics.value("litestream_sync_count", { db: stage.path }), 0);
});

test("LiveDatabase measures its files, what it copied and its looks", async () => {
  await using stage = new Stage();
  stage.insert();
  const metrics = new RecordingMetrics();
  const database = await stage.follow({ metrics });
  const value = (name: string) => metrics.value(`litestream_${name}`, { db: stage.path })!;
  stage.insert();
  await database.settle();
  assert.equal(value("db_size"), statSync(stage.path).size);
  assert.equal(value("wal_size"), statSync(`${stage.path}-wal`).size);
  assert.equal(value("shadow_wal_index"), database.position!.index);
  assert.equal(value("shadow_wal_size"), database.position!.offset);
  const before = value("total_wal_bytes");
  const count = value("sync_count");
  stage.insert();
  await database.settle();
  assert.ok(value("total_wal_bytes") >= before + 4096 + 24);
  assert.ok(value("sync_count") > count);
  assert.ok(value("sync_seconds") > 0);
  assert.equal(value("sync_error_count"), 0);
});

test("LiveDatabase adds up the files of its shadow WAL, and what is released goes", async () => {
  await using stage = new Stage();
  stage.insert();
  const metrics = new RecordingMetrics();
  const database = await stage.follow({ metrics });
  const size = () => metrics.value("litestream_shadow_wal_size", { db: stage.path })!;
  const files = () => database.meta.shadowFiles(database.position!.generation);
  const sum = () => files().reduce((total, file) => total + file.size, 0);
  await until(async () => {
    stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
    await database.settle();
    stage.insert();
    await database.settle();
    return database.position!.index >= 3;
  }, { what: "the WAL begins anew" });
  await database.settle();
  assert.equal(files().length, 4);
  assert.equal(size(), sum());
  const { generation, index } = database.position!;
  database.releaseBefore(generation, index);
  await database.settle();
  assert.equal(files().length, 2);
  assert.equal(size(), sum());
});

test("LiveDatabase counts looks that fail", async () => {
  await using stage = new Stage();
  stage.insert();
  const metrics = new RecordingMetrics();
  const rules: FailRule[] = [];
  const { files } = failFiles(systemFiles, rules);
  const database = await stage.follow({ metrics, files });
  const value = (name: string) => metrics.value(`litestream_${name}`, { db: stage.path })!;
  const before = value("sync_count");
  rules.push({ kind: "write", path: /\.wal/, code: "EIO", times: Infinity });
  stage.insert();
  await database.settle();
  assert.ok(value("sync_error_count") >= 1);
  assert.ok(value("sync_count") > before);
  rules.length = 0;
});

test("LiveDatabase counts each look at a database that is gone, as long as it is", async () => {
  await using stage = new Stage();
  stage.insert();
  const metrics = new RecordingMetrics();
  const database = await stage.follow({ metrics });
  const value = (name: string) => metrics.value(`litestream_${name}`, { db: stage.path })!;
  stage.closeApplication();
  const clean = value("sync_error_count");
  for (const suffix of ["", "-wal", "-shm"]) rmSync(stage.path + suffix, { force: true });
  await until(() => database.state.kind === "waiting", { what: "the loss is seen" });
  const [failed, looked] = [value("sync_error_count"), value("sync_count")];
  assert.ok(failed > clean);
  for (let round = 0; round < 5; round++) await database.settle();
  assert.ok(value("sync_error_count") >= failed + 5 && value("sync_count") >= looked + 5);
});

test("LiveDatabase counts each checkpoint by its mode", async () => {
  await using stage = new Stage();
  stage.insert();
  const metrics = new RecordingMetrics();
  const database = await stage.follow({
    metrics,
    limits: { minPages: 1, maxPages: 1, truncatePages: 1, intervalMs: 0 },
  });
  const value = (name: string, mode: string) =>
    metrics.value(`litestream_checkpoint_${name}`, { db: stage.path, mode });
  await until(async () => {
    stage.insert();
    await database.settle();
    return (value("count", "PASSIVE") ?? 0) > 0 && (value("count", "TRUNCATE") ?? 0) > 0;
  }, { what: "both modes" });
  assert.equal(value("error_count", "PASSIVE"), 0);
  assert.ok(value("seconds", "PASSIVE")! > 0);
  assert.equal(value("count", "RESTART"), undefined);
});
