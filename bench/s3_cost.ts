/**
 * Requests to an S3 server, by kind, beside Litestream 0.3.13, and what they cost:
 * `deno task bench:cost [--as deno|bun|PATH] [SECONDS]`. Prints the table of docs/S3.md.
 *
 * All loads run at the same time with both tools, each through a counting proxy of its own in front of MinIO. Then both
 * restore one day of one write a minute: a snapshot and 1440 segments over 24 indexes.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { S3Store } from "../src/storage/s3/s3_store.ts";
import { type FaultProxy, type RequestKind, startFaultProxy } from "../tests/servers/fault_proxy.ts";
import { type S3Server, startMinio, TEST_KEYS } from "../tests/servers/s3_servers.ts";
import { formatTable } from "./markdown_table.ts";
import { litestream, type Program, walbrook } from "./process.ts";
import { makeSegments } from "./segments.ts";

/** Dollars per million requests, list prices of the beginning of 2025: AWS S3 Standard in us-east-1, Cloudflare R2. */
const PRICES: readonly Readonly<Partial<Record<RequestKind, number>>>[] = [
  { PUT: 5, LIST: 5, GET: 0.4, HEAD: 0.4 },
  { PUT: 4.5, LIST: 4.5, GET: 0.36, HEAD: 0.36 },
];

const SECONDS_A_MONTH = 730 * 3600;

/** A start is over when it has stored something and then nothing was asked for so long. */
const QUIET_MS = 4000;

const RETENTION_CHECK_SECONDS = 10;

/** How many requests of each kind. */
export type Counts = Partial<Record<RequestKind, number>>;

interface Load {
  readonly name: string;
  /** Milliseconds from one commit to the next; absent: none. */
  readonly everyMs?: number;
  /** Settings of the replica besides where it is. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

const LOADS: readonly Load[] = [
  { name: "idle" },
  { name: "one write a minute", everyMs: 60_000 },
  { name: "one write a second", everyMs: 1000 },
  { name: "a hundred writes a second", everyMs: 10 },
];

/** Retention looks often, and writes give it a reason to. */
const RETENTION: Load = {
  name: "retention",
  everyMs: 1000,
  settings: { "retention-check-interval": `${RETENTION_CHECK_SECONDS}s` },
};

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a tool is started with. */
interface Job {
  readonly proxy: FaultProxy;
  readonly databasePath: string;
  readonly replicaPath: string;
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** Write a configuration of one replica, which both tools read; returns its path. */
function configure(bucket: string, { proxy, databasePath, replicaPath, settings = {} }: Job): string {
  const path = `${databasePath}.${proxy.endpoint.split(":").at(-1)}.yml`;
  const replica = {
    type: "s3",
    bucket,
    path: replicaPath,
    endpoint: proxy.endpoint,
    "force-path-style": true,
    region: "us-east-1",
    ...settings,
  };
  writeFileSync(path, JSON.stringify({ dbs: [{ path: databasePath, replicas: [replica] }] }));
  return path;
}

/** Not spawnSync: the proxy that the program talks to is in this process. */
function start({ words: [command, ...words] }: Program, args: readonly string[]) {
  const env = {
    ...process.env,
    LITESTREAM_ACCESS_KEY_ID: TEST_KEYS.accessKeyId,
    LITESTREAM_SECRET_ACCESS_KEY: TEST_KEYS.secretAccessKey,
  };
  const child = spawn(command!, [...words, ...args], { stdio: "ignore", env });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  return { child, ended };
}

/** How many requests one restore asks for. */
async function countRestore(
  program: Program,
  { server, folder, databasePath, replicaPath }: {
    server: S3Server;
    folder: string;
    databasePath: string;
    replicaPath: string;
  },
): Promise<Counts> {
  const proxy = await startFaultProxy({ upstreamPort: server.port });
  const config = configure(server.bucket, { proxy, databasePath, replicaPath });
  const output = join(folder, `restored-${proxy.endpoint.split(":").at(-1)}.db`);
  const code = await start(program, ["restore", "-config", config, "-o", output, databasePath]).ended;
  const counts = proxy.counts();
  await proxy.stop();
  if (code !== 0) throw new Error(`${program.name} does not restore ${replicaPath}`);
  return counts;
}

function since(before: Counts, now: Counts): Counts {
  return Object.fromEntries(
    Object.entries(now).map(([kind, count]) => [kind, count - (before[kind as RequestKind] ?? 0)]),
  );
}

async function started(proxy: FaultProxy): Promise<void> {
  for (let seen = 0; (proxy.counts().PUT ?? 0) < 2 || proxy.seen.length > seen;) {
    seen = proxy.seen.length;
    await pause(QUIET_MS);
  }
}

/** Replicate under a load: the requests of the start, and those of `seconds` after it. */
async function countLoad(
  program: Program,
  { server, folder, load, seconds }: { server: S3Server; folder: string; load: Load; seconds: number },
): Promise<{ atStart: Counts; counts: Counts }> {
  const id = `${program === litestream ? "theirs" : "ours"}-${load.name.replaceAll(" ", "-")}`;
  const databasePath = join(folder, `${id}.db`);
  using application = new DatabaseSync(databasePath, { timeout: 10_000 });
  application.exec("PRAGMA journal_mode = wal; CREATE TABLE t (body); INSERT INTO t VALUES ('x')");
  const proxy = await startFaultProxy({ upstreamPort: server.port });
  const { settings = {} } = load;
  const config = configure(server.bucket, { proxy, databasePath, replicaPath: id, settings });
  const { child, ended } = start(program, ["replicate", "-config", config]);
  await started(proxy);
  const atStart = proxy.counts();
  const endsAt = performance.now() + seconds * 1000;
  // By the clock: a busy machine may fall behind with the commits, and then makes fewer of them.
  for (let due = performance.now(); performance.now() < endsAt;) {
    if (load.everyMs !== undefined) application.exec("INSERT INTO t VALUES (hex(randomblob(100)))");
    due += load.everyMs ?? Infinity;
    await pause(Math.max(1, Math.min(due, endsAt) - performance.now()));
  }
  const counts = since(atStart, proxy.counts());
  child.kill("SIGTERM");
  await ended;
  await proxy.stop();
  return { atStart, counts };
}

/** `2 PUT, 1 LIST`. */
function describeCounts(counts: Counts): string {
  const kinds: RequestKind[] = ["PUT", "LIST", "GET", "HEAD", "DELETE"];
  const parts = kinds.filter((kind) => (counts[kind] ?? 0) > 0).map((kind) => `${counts[kind]} ${kind}`);
  return parts.length === 0 ? "nothing" : parts.join(", ");
}

/** What the requests cost at AWS and R2, so many times. */
function dollars(counts: Counts, times: number): string {
  return PRICES.map((prices) => {
    const sum = Object.entries(counts).reduce(
      (total, [kind, count]) => total + count * (prices[kind as RequestKind] ?? 0),
      0,
    ) / 1e6 * times;
    return `$${sum.toFixed(sum > 0 && sum < 0.01 ? 4 : 2)}`;
  }).join(", ");
}

/** Requests of one look: all that aren't uploads, by how often it was looked. */
function perLook({ PUT: _, ...counts }: Counts, looks: number): Counts {
  return Object.fromEntries(Object.entries(counts).map(([kind, count]) => [kind, Math.round(count / looks)]));
}

async function measureAll(
  server: S3Server,
  { ours, folder, seconds }: { ours: Program; folder: string; seconds: number },
): Promise<string[][]> {
  const programs = [ours, litestream];
  const under = (load: Load) =>
    Promise.all(programs.map((program) => countLoad(program, { server, folder, load, seconds })));
  const [retention, ...loads] = await Promise.all([RETENTION, ...LOADS].map(under));
  const row = (name: string, counts: readonly Counts[], cost: (counts: Counts) => string) => [
    name,
    ...counts.flatMap((of) => [describeCounts(of), cost(of)]),
  ];
  const rows = loads.map((pair, index) =>
    row(LOADS[index]!.name, pair.map(({ counts }) => counts), (of) => dollars(of, SECONDS_A_MONTH / seconds))
  );
  const looks = Math.floor(seconds / RETENTION_CHECK_SECONDS);
  rows.push(row(
    "a look at retention, hourly",
    retention!.map(({ counts }) => perLook(counts, looks)),
    (of) => dollars(of, 730),
  ));
  rows.push(row("start with an empty place", loads[0]!.map(({ atStart }) => atStart), () => ""));
  const databasePath = join(folder, "day.db");
  const { bucket, endpoint, credentials } = server;
  await using store = new S3Store({ bucket, endpoint, credentials, path: "day" });
  await makeSegments(databasePath, store, { segmentCount: 1440, indexCount: 24 });
  const restored: Counts[] = [];
  for (const program of programs) {
    restored.push(await countRestore(program, { server, folder, databasePath, replicaPath: "day" }));
  }
  rows.push(row("restore of a day, once", restored, (of) => dollars(of, 1)));
  return rows;
}

const args = process.argv.slice(2);
const as = args[0] === "--as" ? args.splice(0, 2)[1]! : "deno";
const seconds = Number(args[0] ?? 120);
if (!(seconds >= RETENTION_CHECK_SECONDS)) throw new Error(`${args[0]}: not a number of seconds from 10 up`);
const folder = mkdtempSync(join(tmpdir(), "walbrook-cost-"));
const server = await startMinio();
try {
  const ours = walbrook(as);
  const rows = await measureAll(server, { ours, folder, seconds });
  const costs = "a month on AWS, R2";
  console.log(formatTable([`Load, ${seconds} s`, ours.name, costs, litestream.name, costs], rows));
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
