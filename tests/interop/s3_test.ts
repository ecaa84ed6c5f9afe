import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { LiveDatabase } from "../../src/database/database.ts";
import { Replicator } from "../../src/replicate/replicator.ts";
import { restore } from "../../src/restore/restore.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { S3Store } from "../../src/storage/s3/s3_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { litestreamPath } from "../litestream.ts";
import { type Fault, type FaultProxy, type SeenRequest, startFaultProxy } from "../servers/fault_proxy.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio, startVersitygw, TEST_BUCKET, TEST_KEYS } from "../servers/s3_servers.ts";

const RETRY = { firstWaitMs: 5, longestWaitMs: 20 };

function makeDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec(
    "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (id INTEGER PRIMARY KEY, body)",
  );
  return database;
}

function write(database: DatabaseSync, count: number): void {
  for (let number = 0; number < count; number++) {
    database.exec(`INSERT INTO t (body) VALUES (hex(randomblob(${200 + number * 7})))`);
  }
}

function contentOf(path: string): string {
  using database = new DatabaseSync(path);
  assert.equal(database.prepare("PRAGMA integrity_check").get()!["integrity_check"], "ok");
  return JSON.stringify(database.prepare("SELECT id, body FROM t ORDER BY id").all());
}

function rowsOf(database: DatabaseSync): string {
  return JSON.stringify(database.prepare("SELECT id, body FROM t ORDER BY id").all());
}

function litestreamEnvironment(): Record<string, string> {
  return {
    LITESTREAM_ACCESS_KEY_ID: TEST_KEYS.accessKeyId,
    LITESTREAM_SECRET_ACCESS_KEY: TEST_KEYS.secretAccessKey,
  };
}

/** A configuration of Litestream's for one replica in S3. */
function configure(
  folder: string,
  { databasePath, endpoint, path }: { databasePath: string; endpoint: string; path: string },
) {
  const configPath = join(folder, "litestream.yml");
  const replica = {
    type: "s3",
    bucket: TEST_BUCKET,
    path,
    endpoint,
    region: "us-east-1",
    "force-path-style": true,
    "sync-interval": "50ms",
  };
  writeFileSync(
    configPath,
    JSON.stringify({ dbs: [{ path: databasePath, "monitor-interval": "20ms", replicas: [replica] }] }),
  );
  return configPath;
}

/** Replicate a database in this process while `act` writes to it, and finish. */
async function replicated(
  { path, store }: { path: string; store: S3Store },
  act: (database: DatabaseSync, replicator: Replicator) => Promise<void>,
): Promise<string> {
  const application = makeDatabase(path);
  write(application, 3);
  const database = new LiveDatabase({ path });
  const replicator = new Replicator({
    database,
    replicas: [{
      client: new ReplicaClient(store),
      syncIntervalMs: 20,
      backoff: { firstMs: 20, longestMs: 100 },
    }],
  });
  await replicator.start();
  await act(application, replicator);
  await replicator.finish({ signal: AbortSignal.timeout(30_000) });
  const rows = rowsOf(application);
  application.close();
  return rows;
}

const servers = [
  ["MinIO", oncePerFile(() => startMinio())],
  ["versitygw", oncePerFile(() => startVersitygw())],
] as const;

for (const [name, server] of servers) {
  test(`Litestream restores what walbrook wrote to ${name}`, async () => {
    const { endpoint, bucket, credentials } = await server();
    using folder = temporaryFolder();
    const path = join(folder.path, "app.db");
    await using store = new S3Store({ bucket, endpoint, credentials, path: "interop/ours" });
    const rows = await replicated({ path, store }, async (application) => {
      for (let round = 0; round < 4; round++) {
        write(application, 20);
        await until(async () => (await segmentCount(store)) > round, "a segment");
      }
    });
    const output = join(folder.path, "restored.db");
    const configPath = configure(folder.path, { databasePath: path, endpoint, path: "interop/ours" });
    const { status, stdout, stderr } = spawnSync(
      litestreamPath(),
      ["restore", "-config", configPath, "-o", output, path],
      { encoding: "utf8", env: litestreamEnvironment() },
    );
    assert.equal(status, 0, stdout + stderr);
    assert.equal(contentOf(output), rows);
    const again = join(folder.path, "again.db");
    await restore({
      clients: [new ReplicaClient(store)],
      outputPath: again,
      signal: AbortSignal.timeout(20_000),
    });
    assert.equal(contentOf(again), rows);
  });

  test(`walbrook restores what Litestream wrote to ${name}`, async () => {
    const { endpoint, bucket, credentials } = await server();
    using folder = temporaryFolder();
    const path = join(folder.path, "app.db");
    const application = makeDatabase(path);
    write(application, 5);
    const configPath = configure(folder.path, { databasePath: path, endpoint, path: "interop/theirs" });
    const child = spawn(litestreamPath(), ["replicate", "-config", configPath], {
      stdio: "ignore",
      env: litestreamEnvironment(),
    });
    const gone = new Promise((resolve) => child.on("close", resolve));
    await using store = new S3Store({ bucket, endpoint, credentials, path: "interop/theirs" });
    for (let round = 0; round < 3; round++) {
      write(application, 20);
      await until(async () => (await segmentCount(store)) > round, "a segment");
    }
    const rows = rowsOf(application);
    const restoredRows = async (number: number) => {
      const outputPath = join(folder.path, `restored${number}.db`);
      await restore({ clients: [new ReplicaClient(store)], outputPath, signal: AbortSignal.timeout(20_000) });
      return contentOf(outputPath);
    };
    let tries = 0;
    try {
      await until(async () => await restoredRows(++tries) === rows, "the last row in the replica");
    } finally {
      // Its own end is not waited for: it can hang there.
      child.kill("SIGKILL");
      await gone;
      application.close();
    }
  });
}

async function segmentCount(store: S3Store): Promise<number> {
  let count = 0;
  for await (const { key } of store.list("generations/")) if (key.includes("/wal/")) count++;
  return count;
}

const isWrite = ({ method }: SeenRequest) => method === "PUT" || method === "POST";

/** Faults that come at random: a third of the requests is hit, by one of these. */
const FAULTS: readonly (readonly [string, readonly Fault[]])[] = [
  ["bursts of refusals", [
    { act: "answer", status: 503, body: "<Error><Code>SlowDown</Code></Error>" },
    { act: "answer", status: 429, headers: { "retry-after": "0" } },
    { act: "answer", status: 500 },
  ]],
  ["lost answers and dropped connections", [{ act: "lose-answer" }, { act: "drop" }]],
  ["damage on the way", [{ act: "corrupt", which: "request" }, { act: "corrupt", which: "response" }]],
  ["cut answers", [{ act: "cut", after: 10, how: "close" }]],
];
for (const [name, faults] of FAULTS) {
  test(`a replica in S3 loses nothing through ${name}`, async () => {
    const { port, bucket, credentials } = await servers[0][1]();
    const proxy: FaultProxy = await startFaultProxy({ upstreamPort: port });
    using folder = temporaryFolder();
    const path = join(folder.path, "app.db");
    let number = 0;
    proxy.fault = () => number++ % 3 === 0 ? faults[(number / 3 | 0) % faults.length] : undefined;
    try {
      const replica = `faults/${name.replaceAll(" ", "-")}`;
      await using store = new S3Store({
        bucket,
        endpoint: proxy.endpoint,
        credentials,
        path: replica,
        retry: RETRY,
      });
      const rows = await replicated({ path, store }, async (application) => {
        for (let round = 0; round < 6; round++) {
          const before = proxy.seen.filter(isWrite).length;
          write(application, 10);
          await until(() => proxy.seen.filter(isWrite).length > before, "an upload");
        }
      });
      const output = join(folder.path, "restored.db");
      await restore({
        clients: [new ReplicaClient(store)],
        outputPath: output,
        signal: AbortSignal.timeout(20_000),
      });
      assert.equal(contentOf(output), rows);
      assert.ok(number > 15, `${number} requests`);
    } finally {
      await proxy.stop();
    }
  });
}
