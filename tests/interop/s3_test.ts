import assert from "node:assert/strict";
import { test } from "node:test";
import { S3Store } from "../../src/storage/s3/s3_store.ts";
import { until } from "../doubles/until.ts";
import { isFullRun } from "../full_run.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio, startRclone, startVersitygw } from "../servers/s3_servers.ts";
import { S3Commands } from "./s3_commands.ts";
import { contentOf, makeDatabase, rowsOf, write } from "./s3_replicated.ts";

/** For locks of the other process. */
const LOCKED = { timeout: 10_000 };

const servers = [
  ["MinIO", oncePerFile(() => startMinio())],
  ["versitygw", oncePerFile(() => startVersitygw())],
  ...(isFullRun() ? [["rclone", oncePerFile(() => startRclone())] as const] : []),
] as const;

for (const [name, server] of servers) {
  test(`Litestream restores what walbrook wrote to ${name}`, async () => {
    const { endpoint, bucket, credentials } = await server();
    const path = "interop/ours";
    await using store = new S3Store({ bucket, endpoint, credentials, path });
    using commands = new S3Commands({ endpoint, path });
    using application = makeDatabase(commands.databasePath, LOCKED);
    write(application, 3);
    await using walbrook = commands.start("replicate");
    for (let round = 0; round < 4; round++) {
      write(application, 20);
      await until(async () => await segmentCount(store) > round, () => `a segment:\n${walbrook.stderr}`);
    }
    const { code, stderr } = await walbrook.stop();
    assert.equal(code, 0, stderr);
    const rows = rowsOf(application);
    for (const restorer of ["litestreamRestore", "restore"] as const) {
      const outputPath = commands.path(restorer);
      const ending = await commands[restorer](outputPath);
      assert.equal(ending.code, 0, ending.stdout + ending.stderr);
      assert.ok(contentOf(outputPath) === rows, restorer);
    }
  });

  test(`walbrook restores what Litestream wrote to ${name}`, async () => {
    const { endpoint, bucket, credentials } = await server();
    const path = "interop/theirs";
    await using store = new S3Store({ bucket, endpoint, credentials, path });
    using commands = new S3Commands({ endpoint, path });
    using application = makeDatabase(commands.databasePath, LOCKED);
    write(application, 5);
    // Killed at the end: Litestream's own end can hang there.
    await using litestream = commands.startLitestream("replicate");
    for (let round = 0; round < 3; round++) {
      write(application, 20);
      await until(async () => await segmentCount(store) > round, () => `a segment:\n${litestream.stderr}`);
    }
    const rows = rowsOf(application);
    let tries = 0;
    await until(async () => {
      const outputPath = commands.path(`restored${++tries}.db`);
      const { code, stderr } = await commands.restore(outputPath);
      assert.equal(code, 0, stderr);
      return contentOf(outputPath) === rows;
    }, "the last row in the replica");
  });
}

async function segmentCount(store: S3Store): Promise<number> {
  let count = 0;
  for await (const { key } of store.list("generations/")) if (key.includes("/wal/")) count++;
  return count;
}
