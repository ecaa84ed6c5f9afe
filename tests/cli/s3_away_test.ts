/** `walbrook restore` from a server that is restarted meanwhile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { S3Commands } from "../interop/s3_commands.ts";
import { contentOf, makeDatabase, rowsOf, write } from "../interop/s3_replicated.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio } from "../servers/s3_servers.ts";
import { startToxiproxy } from "../servers/toxiproxy.ts";

const minio = oncePerFile(() => startMinio());
const toxiproxy = oncePerFile(() => startToxiproxy());

/** Longer than the eight tries of a request last at most. */
const AWAY_MS = 4500;

test("walbrook restore outlasts a server that goes away amid it, and says what it waits for", async () => {
  const proxy = await (await toxiproxy()).open({ upstreamPort: (await minio()).port });
  using commands = new S3Commands({ endpoint: `http://127.0.0.1:${proxy.port}`, path: "away" });
  using application = makeDatabase(commands.databasePath, { timeout: 10_000 });
  write(application, 20);
  {
    await using walbrook = commands.start("replicate");
    await walbrook.says("snapshot written");
    assert.equal((await walbrook.stop()).code, 0);
  }
  // Time between the list, which shows that the server is the right one, and the objects.
  await proxy.add({ type: "latency", attributes: { latency: 2000 } });
  const outputPath = commands.path("restored.db");
  await using walbrook = commands.start("restore", "-o", outputPath, commands.databasePath);
  await walbrook.says("restoring snapshot");
  await proxy.enable(false);
  await proxy.clear();
  await delay(AWAY_MS);
  await proxy.enable(true);
  const { code, stderr } = await walbrook.ended;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /level=WARN msg="S3 requests fail, they are tried for up to 60 s" request="?read /);
  assert.ok(contentOf(outputPath) === rowsOf(application));
});
