import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { restore } from "../../src/restore/restore.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { S3Store } from "../../src/storage/s3/s3_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { litestreamPath } from "../litestream.ts";
import { oncePerFile } from "../servers/once.ts";
import { isFullRun } from "../full_run.ts";
import { startMinio, startRclone, startVersitygw, TEST_BUCKET, TEST_KEYS } from "../servers/s3_servers.ts";
import { contentOf, makeDatabase, replicated, rowsOf, write } from "./s3_replicated.ts";

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

const servers = [
  ["MinIO", oncePerFile(() => startMinio())],
  ["versitygw", oncePerFile(() => startVersitygw())],
  ...(isFullRun() ? [["rclone", oncePerFile(() => startRclone())] as const] : []),
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
    const application = makeDatabase(path, { timeout: 10_000 });
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
