import { test } from "node:test";
import assert from "node:assert/strict";
import { connect } from "node:net";
import { once } from "node:events";
import type { HealthReport } from "../../src/replicate/inspect.ts";
import { parseBindAddress } from "../../src/serve/bind_address.ts";
import { MetricsRegistry } from "../../src/serve/metrics_registry.ts";
import { serve } from "../../src/serve/serve.ts";
import { recordLogs } from "../doubles/recording_logger.ts";
import { parseExposition } from "./exposition.ts";

const REPORT: HealthReport = {
  isHealthy: true,
  databases: [{
    condition: "ok",
    isHealthy: true,
    forMs: 10,
    blindMs: 0,
    path: "/data/app.db",
    position: { generation: "0123456789abcdef", index: 4, offset: 4152 },
    error: "",
    since: Date.UTC(2026, 10, 26, 11, 2, 11, 298),
    replicas: [{
      condition: "failing",
      isHealthy: true,
      forMs: 2_500,
      behindMs: 2_500,
      name: "s3",
      type: "s3",
      position: undefined,
      waitingBytes: 100,
      lastUploadAt: undefined,
      newestSnapshotAt: Date.UTC(2026, 0, 1),
      lastProvenAt: Date.UTC(2026, 0, 1, 1),
      errorCount: 2,
      error: "no space",
      since: Date.UTC(2026, 0, 2),
    }],
  }],
};

/** A server on a free port of `addr`, whose report can be changed. */
async function served(addr = "127.0.0.1:0") {
  const { logger, records } = recordLogs();
  const registry = new MetricsRegistry();
  const current = { report: REPORT };
  const server = await serve({
    address: parseBindAddress(addr),
    registry,
    report: () => current.report,
    logger,
  });
  return { server, records, registry, current, base: server.url?.replace(/\/metrics$/, "") ?? "" };
}

test("serve() answers /health with all that is known", async () => {
  const { server, base } = await served();
  await using _ = server;
  const response = await fetch(`${base}/health`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.deepEqual(await response.json(), {
    healthy: true,
    databases: [{
      path: "/data/app.db",
      state: "ok",
      healthy: true,
      since: "2026-11-26T11:02:11.298Z",
      position: "0123456789abcdef/00000004:4152",
      error: "",
      replicas: [{
        name: "s3",
        type: "s3",
        state: "failing",
        healthy: true,
        since: "2026-01-02T00:00:00.000Z",
        position: "",
        lag_seconds: 2.5,
        waiting_bytes: 100,
        last_upload: null,
        newest_snapshot: "2026-01-01T00:00:00.000Z",
        last_proven: "2026-01-01T01:00:00.000Z",
        consecutive_errors: 2,
        error: "no space",
      }],
    }],
  });
});

test("serve() answers 503 while something is unhealthy, and looks anew each time", async () => {
  const { server, base, current } = await served();
  await using _ = server;
  const statusOf = async () => {
    const response = await fetch(`${base}/health`);
    const { healthy } = await response.json() as { healthy: boolean };
    return [response.status, healthy];
  };
  assert.deepEqual(await statusOf(), [200, true]);
  current.report = { ...REPORT, isHealthy: false };
  assert.deepEqual(await statusOf(), [503, false]);
  current.report = REPORT;
  assert.deepEqual(await statusOf(), [200, true]);
});

test("serve() answers /metrics in Prometheus' format", async () => {
  const { server, base, registry } = await served();
  await using _ = server;
  registry.count("litestream_sync_count", { db: "/data/app.db" }, 3);
  const response = await fetch(`${base}/metrics`);
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  const { values } = parseExposition(await response.text());
  assert.equal(values.get('litestream_sync_count{db="/data/app.db"}'), 3);
  assert.equal(values.get('walbrook_replica_behind_seconds{db="/data/app.db",name="s3"}'), 2.5);
});

test("serve() has nothing else: 404, and 405 for other methods", async () => {
  const { server, base } = await served();
  await using _ = server;
  for (const path of ["/", "/debug/pprof/", "/metrics/", "/healthz"]) {
    const response = await fetch(`${base}${path}`);
    assert.equal(response.status, 404, path);
    await response.body?.cancel();
  }
  const head = await fetch(`${base}/metrics?x=1`, { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), "");
  const post = await fetch(`${base}/metrics`, { method: "POST", body: "x" });
  assert.equal(post.status, 405);
  assert.equal(post.headers.get("allow"), "GET, HEAD");
  await post.body?.cancel();
});

test("serve() says where, on all interfaces for an empty host, shown as localhost (109)", async () => {
  const { server, records, base } = await served(":0");
  await using _ = server;
  const port = new URL(base).port;
  assert.deepEqual(records, [
    { level: "info", message: "serving metrics on", fields: { url: `http://localhost:${port}/metrics` } },
  ]);
  const response = await fetch(`http://127.0.0.1:${port}/health`);
  assert.equal(response.status, 200);
  await response.body?.cancel();
});

test("serve() only logs that the address can't be had", async () => {
  const first = await served();
  await using _ = first.server;
  const taken = first.base.slice("http://".length);
  for (const addr of [taken, "127.0.0.1:http", "127.0.0.1:65536"]) {
    const { server, records } = await served(addr);
    await using _ = server;
    assert.equal(server.url, undefined);
    assert.deepEqual(records.map(({ level, message, fields }) => [level, message, fields["addr"]]), [
      ["error", "cannot start metrics server", addr],
    ]);
    assert.notEqual(records[0]!.fields["error"], "");
  }
});

test("serve() ends also while a scraper keeps its connection open", async () => {
  const { server, base } = await served();
  const socket = connect(Number(new URL(base).port), "127.0.0.1");
  await once(socket, "connect");
  socket.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
  await once(socket, "data");
  const closed = once(socket, "close");
  await server[Symbol.asyncDispose]();
  await closed;
  await assert.rejects(fetch(`${base}/health`));
});
