/** What the program asks of a bucket while it begins, rests, writes, begins again and restores: docs/S3.md's table. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../doubles/until.ts";
import { S3Commands } from "../interop/s3_commands.ts";
import { contentOf, makeDatabase, rowsOf, write } from "../interop/s3_replicated.ts";
import { startFaultProxy } from "../servers/fault_proxy.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio } from "../servers/s3_servers.ts";
import type { Walbrook } from "../walbrook.ts";

const minio = oncePerFile(() => startMinio());

const SYNC_INTERVAL_MS = 200;

/** Long beside what is between two requests of a start. */
const REST_MS = 600;

test("walbrook asks of a bucket what is documented, from an empty place to a restore", async () => {
  const proxy = await startFaultProxy({ upstreamPort: (await minio()).port });
  try {
    const { endpoint, seen } = proxy;
    using commands = new S3Commands({ endpoint, path: "requests" }, {
      syncInterval: `${SYNC_INTERVAL_MS}ms`,
    });
    using application = makeDatabase(commands.databasePath, { timeout: 10_000 });
    write(application, 3);
    /** What it has asked for when it rests, after so many requests. */
    const begun = async (walbrook: Walbrook, { requestCount }: { requestCount: number }) => {
      await until(() => seen.length >= requestCount, () => `the start to be over:\n${walbrook.stderr}`);
      // That nothing follows can only be waited for.
      await delay(REST_MS);
      return proxy.counts();
    };
    {
      await using walbrook = commands.start("replicate");
      assert.deepEqual(await begun(walbrook, { requestCount: 6 }), { LIST: 4, PUT: 2 });
      seen.length = 0;
      const startedAt = performance.now();
      for (let rows = 0; rows < 150; rows++) {
        write(application, 1);
        await delay(5);
      }
      const { PUT = 0, ...others } = proxy.counts();
      const intervals = (performance.now() - startedAt) / SYNC_INTERVAL_MS;
      assert.ok(PUT >= 2 && PUT <= intervals + 1, `${PUT} PUT in ${intervals} intervals`);
      assert.deepEqual(others, {});
      const { code, stderr } = await walbrook.stop();
      assert.equal(code, 0, stderr);
      assert.deepEqual(Object.keys(proxy.counts()), ["PUT"]);
    }
    const segmentCount = seen.length + 1;
    seen.length = 0;
    {
      await using walbrook = commands.start("replicate");
      assert.deepEqual(await begun(walbrook, { requestCount: 3 }), { LIST: 2, GET: 1 });
      seen.length = 0;
      assert.equal((await walbrook.stop()).code, 0);
      assert.deepEqual(proxy.counts(), {});
    }
    const outputPath = commands.path("restored.db");
    const { code, stderr } = await commands.restore(outputPath);
    assert.equal(code, 0, stderr);
    assert.deepEqual(proxy.counts(), { LIST: 1, GET: 1 + segmentCount });
    assert.ok(contentOf(outputPath) === rowsOf(application));
    seen.length = 0;
    const check = await commands.start("check").ended;
    assert.equal(check.code, 0, check.stderr);
    // Is the bucket there; generations and snapshots; what is written, read and deleted to see that it can be; a snapshot's beginning.
    assert.deepEqual(proxy.counts(), { HEAD: 1, LIST: 2, PUT: 1, GET: 2, DELETE: 1 });
  } finally {
    await proxy.stop();
  }
});
