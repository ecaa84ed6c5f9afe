/**
 * Requests to an S3 server, by kind, beside Litestream 0.3.13, and what they cost: `deno task bench:cost [SECONDS]`.
 * Both replicate at the same time, each through a counting proxy of its own. Then both restore one day of one write a
 * minute, a snapshot and 1440 segments over 24 indexes.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { LiveDatabase } from "../src/database/database.ts";
import { Replicator } from "../src/replicate/replicator.ts";
import { restore } from "../src/restore/restore.ts";
import { ReplicaClient } from "../src/storage/replica_client.ts";
import { S3Store } from "../src/storage/s3/s3_store.ts";
import { makeSegments } from "./segments.ts";
import { litestreamPath } from "../tests/litestream.ts";
import { type FaultProxy, type RequestKind, startFaultProxy } from "../tests/servers/fault_proxy.ts";
import { type S3Server, startMinio, TEST_KEYS } from "../tests/servers/s3_servers.ts";

/** Dollars per million requests, list prices of the beginning of 2025: AWS S3 Standard in us-east-1, Cloudflare R2. */
const PRICES: Readonly<Record<string, Readonly<Partial<Record<RequestKind, number>>>>> = {
  AWS: { PUT: 5, LIST: 5, GET: 0.4, HEAD: 0.4 },
  R2: { PUT: 4.5, LIST: 4.5, GET: 0.36, HEAD: 0.36 },
};

const HOURS_A_MONTH = 730;

type Counts = Partial<Record<RequestKind, number>>;

interface Load {
  readonly name: string;
  /** Milliseconds from one commit to the next; absent: none. */
  readonly everyMs?: number;
}

const LOADS: readonly Load[] = [
  { name: "idle" },
  { name: "one write a minute", everyMs: 60_000 },
  { name: "one write a second", everyMs: 1000 },
  { name: "a hundred writes a second", everyMs: 10 },
];

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A commit that waits without blocking: who holds the lock may be in this process. */
async function commit(application: DatabaseSync): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      return application.exec("INSERT INTO t (body) VALUES (hex(randomblob(100)))");
    } catch (error) {
      if (tries > 500) throw error;
      await pause(5);
    }
  }
}

interface RestoreJob {
  readonly proxy: FaultProxy;
  readonly databasePath: string;
  /** Of the replica. */
  readonly path: string;
  readonly outputPath: string;
}

async function restoreOurs(server: S3Server, { proxy, path, outputPath }: RestoreJob): Promise<void> {
  const { bucket, credentials } = server;
  await using store = new S3Store({ bucket, credentials, endpoint: proxy.endpoint, path });
  await restore({ clients: [new ReplicaClient(store)], outputPath });
}

const LITESTREAM_ENV = {
  LITESTREAM_ACCESS_KEY_ID: TEST_KEYS.accessKeyId,
  LITESTREAM_SECRET_ACCESS_KEY: TEST_KEYS.secretAccessKey,
};

/** Write Litestream's configuration of one replica; returns its path. */
function configureTheirs(
  server: S3Server,
  { proxy, databasePath, path }: Omit<RestoreJob, "outputPath">,
): string {
  const config = `${databasePath}.yml`;
  const replica = {
    type: "s3",
    bucket: server.bucket,
    path,
    endpoint: proxy.endpoint,
    "force-path-style": true,
    region: "us-east-1",
  };
  writeFileSync(config, JSON.stringify({ dbs: [{ path: databasePath, replicas: [replica] }] }));
  return config;
}

async function restoreTheirs(server: S3Server, job: RestoreJob): Promise<void> {
  const words = ["restore", "-config", configureTheirs(server, job), "-o", job.outputPath, job.databasePath];
  // Not spawnSync: the proxy that it talks to is in this process.
  const restoring = spawn(litestreamPath(), words, { stdio: "ignore", env: LITESTREAM_ENV });
  const code = await new Promise((resolve) => restoring.on("close", resolve));
  if (code !== 0) throw new Error("Litestream does not restore");
}

interface Running {
  readonly proxy: FaultProxy;
  finish(): Promise<void>;
  restoreTo(path: string): Promise<void>;
}

async function startOurs(
  server: S3Server,
  { databasePath, path }: { databasePath: string; path: string },
): Promise<Running> {
  const proxy = await startFaultProxy({ upstreamPort: server.port });
  const { bucket, credentials } = server;
  const store = new S3Store({ bucket, credentials, endpoint: proxy.endpoint, path });
  const client = new ReplicaClient(store);
  const replicator = new Replicator({
    database: new LiveDatabase({ path: databasePath }),
    replicas: [{ client }],
  });
  await replicator.start();
  return {
    proxy,
    finish: () => replicator.finish({ signal: AbortSignal.timeout(30_000) }),
    restoreTo: (outputPath) => restoreOurs(server, { proxy, databasePath, path, outputPath }),
  };
}

async function startTheirs(
  server: S3Server,
  { databasePath, path }: { databasePath: string; path: string },
): Promise<Running> {
  const proxy = await startFaultProxy({ upstreamPort: server.port });
  const config = configureTheirs(server, { proxy, databasePath, path });
  const words = ["replicate", "-config", config];
  const child = spawn(litestreamPath(), words, { stdio: "ignore", env: LITESTREAM_ENV });
  const gone = new Promise<void>((resolve) => child.on("close", () => resolve()));
  return {
    proxy,
    async finish() {
      child.kill("SIGTERM");
      await gone;
    },
    restoreTo: (outputPath) => restoreTheirs(server, { proxy, databasePath, path, outputPath }),
  };
}

function since(before: Counts, now: Counts): Counts {
  return Object.fromEntries(
    Object.entries(now).map(([kind, count]) => [kind, count - (before[kind as RequestKind] ?? 0)]),
  );
}

function describeCounts(counts: Counts): string {
  const kinds: RequestKind[] = ["PUT", "LIST", "GET", "HEAD", "DELETE"];
  return kinds.map((kind) => `${counts[kind] ?? 0} ${kind}`).join(", ");
}

/** What the requests cost at each provider, so many times. */
function dollars(counts: Counts, { times, digits = 2 }: { times: number; digits?: number }): string {
  return Object.entries(PRICES).map(([provider, prices]) => {
    const sum = Object.entries(counts).reduce(
      (total, [kind, count]) => total + count * (prices[kind as RequestKind] ?? 0),
      0,
    );
    return `${provider} $${(sum / 1e6 * times).toFixed(digits)}`;
  }).join(", ");
}

async function measure(server: S3Server, { load, seconds, folder, start, tool }: {
  load: Load;
  seconds: number;
  folder: string;
  start: typeof startOurs;
  tool: string;
}): Promise<string[]> {
  const id = `${tool}-${load.name}`.replaceAll(/[^a-z0-9]+/gi, "-");
  const databasePath = join(folder, `${id}.db`);
  const application = new DatabaseSync(databasePath);
  application.exec(
    "PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, body); INSERT INTO t VALUES (1, 'x')",
  );
  const running = await start(server, { databasePath, path: id });
  await pause(8000);
  const atStart = running.proxy.counts();
  const endsAt = performance.now() + seconds * 1000;
  while (performance.now() < endsAt) {
    if (load.everyMs === undefined) await pause(200);
    else {
      await commit(application);
      await pause(Math.max(1, Math.min(load.everyMs, endsAt - performance.now())));
    }
  }
  const counts = since(atStart, running.proxy.counts());
  await running.finish();
  const beforeRestore = running.proxy.counts();
  await running.restoreTo(join(folder, `${id}.restored`));
  const restoring = since(beforeRestore, running.proxy.counts());
  await running.proxy.stop();
  application.close();
  const times = HOURS_A_MONTH * 3600 / seconds;
  return [
    `${load.name}: ${tool}: start-up ${describeCounts(atStart)}`,
    `${load.name}: ${tool}: ${seconds} s ${describeCounts(counts)}; a month: ${dollars(counts, { times })}`,
    `${load.name}: ${tool}: restore ${describeCounts(restoring)}`,
  ];
}

async function measureDay(server: S3Server, { folder }: { folder: string }): Promise<void> {
  const databasePath = join(folder, "day.db");
  const { bucket, endpoint, credentials } = server;
  await using store = new S3Store({ bucket, endpoint, credentials, path: "day" });
  await makeSegments(databasePath, store, { segmentCount: 1440, indexCount: 24 });
  for (
    const [tool, restoreAs] of [["walbrook", restoreOurs], ["Litestream 0.3.13", restoreTheirs]] as const
  ) {
    const proxy = await startFaultProxy({ upstreamPort: server.port });
    await restoreAs(server, { proxy, databasePath, path: "day", outputPath: join(folder, `day-${tool}.db`) });
    const counts = proxy.counts();
    await proxy.stop();
    const sum = dollars(counts, { times: 1, digits: 5 });
    console.log(`restore of a day of one write a minute: ${tool}: ${describeCounts(counts)}; once: ${sum}`);
  }
}

const seconds = Number(process.argv[2] ?? 120);
const folder = mkdtempSync(join(tmpdir(), "walbrook-cost-"));
const server = await startMinio();
try {
  const tools = [["walbrook", startOurs], ["Litestream 0.3.13", startTheirs]] as const;
  const runs = LOADS.flatMap((load) =>
    tools.map(([tool, start]) => measure(server, { load, seconds, folder, start, tool }))
  );
  for (const lines of await Promise.all(runs)) for (const line of lines) console.log(line);
  await measureDay(server, { folder });
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
