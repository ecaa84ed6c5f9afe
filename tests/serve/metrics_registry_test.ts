import { test } from "node:test";
import assert from "node:assert/strict";
import { METRIC_FACTS } from "../../src/serve/metric_facts.ts";
import { MetricsRegistry } from "../../src/serve/metrics_registry.ts";
import type { HealthReport, ReplicaReport } from "../../src/replicate/inspect.ts";
import { lintExposition, parseExposition } from "./exposition.ts";

const REPLICA: ReplicaReport = {
  condition: "failing",
  isHealthy: true,
  forMs: 1_500,
  behindMs: 1_500,
  name: "s3",
  type: "s3",
  position: undefined,
  waitingBytes: 4152,
  lastUploadAt: 1_700_000_000_250,
  newestSnapshotAt: undefined,
  lastProvenAt: undefined,
  errorCount: 3,
  error: "x",
  since: 0,
};

function reportOf(...replicas: ReplicaReport[]): HealthReport {
  const database = {
    condition: "ok",
    isHealthy: true,
    forMs: 0,
    blindMs: 0,
    path: "/app.db",
    position: undefined,
    error: "",
    since: 0,
    replicas,
  } as const;
  return { isHealthy: true, databases: [database] };
}

test("MetricsRegistry shows counters and gauges as they were told, in a form that Prometheus reads", async () => {
  const registry = new MetricsRegistry();
  registry.count("litestream_sync_count", { db: "/app.db" }, 0);
  registry.count("litestream_checkpoint_count", { db: "/app.db", mode: "PASSIVE" });
  registry.count("litestream_checkpoint_count", { db: "/app.db", mode: "PASSIVE" }, 2);
  registry.gauge("litestream_db_size", { db: "/app.db" }, 8192);
  registry.gauge("litestream_db_size", { db: "/app.db" }, 4096);
  const odd = '/data/with "quotes",\\ and\nnewlines é.db';
  registry.gauge("litestream_wal_size", { db: odd }, 1);
  const text = await registry.text({ isHealthy: true, databases: [] });
  const { values, types } = parseExposition(text);
  assert.deepEqual(Object.fromEntries(values), {
    'litestream_sync_count{db="/app.db"}': 0,
    'litestream_checkpoint_count{db="/app.db",mode="PASSIVE"}': 3,
    'litestream_db_size{db="/app.db"}': 4096,
    'litestream_wal_size{db="/data/with \\"quotes\\",\\\\ and\\nnewlines é.db"}': 1,
  });
  assert.deepEqual(
    [...types],
    METRIC_FACTS.map(({ name, type }) => [name, type]),
  );
  // Their names are Litestream's.
  const others = lintExposition(text).filter((line) => !line.startsWith("litestream_"));
  assert.deepEqual(others, []);
});

test("MetricsRegistry shows our own gauges as the report has them, and no longer what it has no more", async () => {
  const registry = new MetricsRegistry();
  registry.gauge("walbrook_last_proven_restorable_seconds", { db: "/app.db", name: "s3" }, 1.7e9);
  await registry.text(reportOf({ ...REPLICA, name: "gone" }));
  const text = await registry.text(reportOf(REPLICA));
  assert.deepEqual(Object.fromEntries(parseExposition(text).values), {
    'walbrook_db_unhealthy{db="/app.db"}': 0,
    'walbrook_replica_behind_seconds{db="/app.db",name="s3"}': 1.5,
    'walbrook_replica_waiting_bytes{db="/app.db",name="s3"}': 4152,
    'walbrook_replica_last_upload_timestamp_seconds{db="/app.db",name="s3"}': 1_700_000_000.25,
    'walbrook_replica_consecutive_errors{db="/app.db",name="s3"}': 3,
    'walbrook_replica_unhealthy{db="/app.db",name="s3"}': 0,
    'walbrook_last_proven_restorable_seconds{db="/app.db",name="s3"}': 1.7e9,
  });
  assert.deepEqual(lintExposition(text).filter((line) => !line.startsWith("litestream_")), []);
});

test("MetricsRegistry refuses what is not in its table", () => {
  const registry = new MetricsRegistry();
  assert.throws(() => registry.count("litestream_db_size", { db: "/a" }), /litestream_db_size is no counter/);
  assert.throws(() => registry.gauge("other", {}, 1), /other is no gauge/);
  assert.throws(() => registry.count("litestream_sync_count", { path: "/a" }), /label/);
});

test("lintExposition() finds what Prometheus can't read", () => {
  assert.throws(() => lintExposition("a{b=c} 1\n"), /promtool/);
});
