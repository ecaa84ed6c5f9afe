/** Replication and restore through every fault of a line or a server: seconds of each, a minute in a full run. */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { restore } from "../../src/restore/restore.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import type { S3StoreOptions } from "../../src/storage/s3/options.ts";
import { S3Store } from "../../src/storage/s3/s3_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { type Fault, type FaultProxy, type SeenRequest, startFaultProxy } from "../servers/fault_proxy.ts";
import { isFullRun } from "../full_run.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio } from "../servers/s3_servers.ts";
import { startToxiproxy, type Toxic } from "../servers/toxiproxy.ts";
import { contentOf, replicated, write } from "./s3_replicated.ts";

const MB = 1e6;
const FAULT_MS = isFullRun() ? 60_000 : 800;
/** Of the process, beyond what it had when the fault began; two runtimes' own collectors are in it. */
const FLAT_BYTES = 150 * MB;

const server = oncePerFile(() => startMinio());
const toxiproxy = oncePerFile(() => startToxiproxy());

const SETTINGS: Partial<S3StoreOptions> = {
  retry: { tries: 12, firstWaitMs: 5, longestWaitMs: 40 },
  // Short enough to give up what is silent or late, and ample for what isn't.
  patience: { answerMs: 400, stallMs: 200, slowestUpload: 4 * 1024 * 1024 },
};

const error = (code: string) => `<Error><Code>${code}</Code><Message>${code}</Message></Error>`;

/** Each request is hit by one of these the first time it is sent. */
const FAULTS: readonly (readonly [string, readonly Fault[]])[] = [
  ["bursts of 429, 500 and 503", [
    { act: "answer", status: 503, body: error("SlowDown") },
    { act: "answer", status: 429, headers: { "retry-after": "0" } },
    { act: "answer", status: 500 },
  ]],
  ["lost answers", [{ act: "lose-answer" }]],
  ["dropped connections", [{ act: "drop" }]],
  ["bodies that are damaged on the way", [
    { act: "corrupt", which: "request" },
    { act: "corrupt", which: "response" },
  ]],
  ["answers cut at a byte", [
    { act: "cut", after: 10, how: "close" },
    { act: "cut", after: 0, how: "close" },
  ]],
  ["truncated listings and objects", [{ act: "body", change: (text) => text.slice(0, text.length >> 1) }]],
  ["stalls", [{ act: "cut", after: 10, how: "stall" }, { act: "silence" }]],
  ["credentials that have expired", [{ act: "answer", status: 400, body: error("ExpiredToken") }]],
  ["requests carried out twice", [{ act: "twice" }]],
  ["late requests and late answers", [{ act: "delay", beforeMs: 450 }, { act: "delay", afterMs: 450 }]],
];

/** What a line does to everything, or to a share of its connections. */
const TOXICS: readonly (readonly [string, Toxic])[] = [
  ["latency", { type: "latency", attributes: { latency: 60, jitter: 30 } }],
  ["a narrow line", { type: "bandwidth", attributes: { rate: 300 } }],
  ["a narrow line up", { type: "bandwidth", stream: "upstream", attributes: { rate: 300 } }],
  ["resets", { type: "reset_peer", toxicity: 0.3, attributes: { timeout: 20 } }],
  ["connections cut at byte 700", { type: "limit_data", toxicity: 0.3, attributes: { bytes: 700 } }],
];

function hitOnce(faults: readonly Fault[]): NonNullable<FaultProxy["fault"]> {
  const hit = new Set<string>();
  return ({ method, path, headers, kind }: SeenRequest) => {
    // Listings have no checksum: another key in one is a gap that restore names, and TLS is what prevents it.
    if (kind === "LIST" && faults.some(({ act }) => act === "corrupt")) return undefined;
    const request = `${method} ${path} ${headers["range"]}`;
    if (hit.has(request)) return undefined;
    hit.add(request);
    return faults[hit.size % faults.length];
  };
}

/** Replicate through `store` for the time of a fault, then restore through it, and compare. */
async function carryThrough(store: S3Store): Promise<void> {
  using folder = temporaryFolder();
  const before = process.memoryUsage().rss;
  let most = before;
  let roundCount = 0;
  const rows = await replicated(
    { path: join(folder.path, "app.db"), store },
    async (application, { replicas }) => {
      const endsAt = performance.now() + FAULT_MS;
      for (; roundCount < 3 || performance.now() < endsAt; roundCount++) {
        const position = JSON.stringify(replicas[0]!.position);
        write(application, 10);
        await until(
          () => JSON.stringify(replicas[0]!.position) !== position,
          () => `an upload: ${replicas[0]!.lastError}`,
          { limitMs: 30_000 },
        );
        most = Math.max(most, process.memoryUsage().rss);
      }
    },
  );
  const outputPath = join(folder.path, "restored.db");
  await restore({ clients: [new ReplicaClient(store)], outputPath, signal: AbortSignal.timeout(120_000) });
  assert.ok(contentOf(outputPath) === rows, `restored after ${roundCount} rounds`);
  assert.ok(most - before < FLAT_BYTES, `${(most - before) / MB} MB more than before`);
}

for (const [name, faults] of FAULTS) {
  test(`a replica in S3 loses nothing through ${name}`, async () => {
    const { port, bucket, credentials } = await server();
    const proxy = await startFaultProxy({ upstreamPort: port });
    const path = `faults/${name.replaceAll(" ", "-")}`;
    try {
      await using store = new S3Store({ bucket, endpoint: proxy.endpoint, credentials, path, ...SETTINGS });
      proxy.fault = hitOnce(faults);
      await carryThrough(store);
    } finally {
      await proxy.stop();
    }
  });
}

for (const [name, toxic] of TOXICS) {
  test(`a replica in S3 loses nothing through ${name}`, async () => {
    const { port, bucket, credentials } = await server();
    const line = await (await toxiproxy()).open({ upstreamPort: port });
    const endpoint = `http://127.0.0.1:${line.port}`;
    const path = `toxics/${name.replaceAll(" ", "-")}`;
    await using store = new S3Store({ bucket, endpoint, credentials, path, ...SETTINGS });
    await line.add(toxic);
    await carryThrough(store);
  });
}
