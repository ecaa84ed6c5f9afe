import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UsageError } from "../../../src/errors.ts";
import { openS3Store } from "../../../src/storage/s3/open.ts";
import { pattern } from "../../contract/object_store.ts";
import { temporaryFolder } from "../../doubles/temporary_folder.ts";
import { makeCertificate } from "../../servers/certificates.ts";
import { startFaultProxy } from "../../servers/fault_proxy.ts";
import { oncePerFile } from "../../servers/once.ts";
import { startMinio, TEST_KEYS } from "../../servers/s3_servers.ts";
import { assertHolds, KEY, MIB } from "./proxied_store.ts";

const certified = oncePerFile(async () => {
  const folder = temporaryFolder();
  const tls = makeCertificate(folder.path);
  const server = await startMinio({ tls });
  const stop = async () => {
    await server.stop();
    folder[Symbol.dispose]();
  };
  return { ...server, caCert: tls.caCert, stop };
});
const minio = oncePerFile(() => startMinio());

test("openS3Store() opens what the host of a URL says, with keys from the environment", async () => {
  const { port, bucket } = await minio();
  const env = {
    LITESTREAM_ACCESS_KEY_ID: TEST_KEYS.accessKeyId,
    LITESTREAM_SECRET_ACCESS_KEY: TEST_KEYS.secretAccessKey,
  };
  await using store = openS3Store({ urlHost: `${bucket}.localhost:${port}`, path: "/by//url/" }, { env });
  assert.equal(store.place, "s3://backup/by/url");
  await store.put(KEY, pattern(100, 1));
  await assertHolds(store, KEY, pattern(100, 1));
});

test("openS3Store() passes part size, storage class, token and concurrency on", async () => {
  const proxy = await startFaultProxy({ upstreamPort: (await minio()).port });
  try {
    proxy.fault = (request) => request.path.includes("uploads=") ? undefined : { act: "silence" };
    await using store = openS3Store({
      bucket: "backup",
      path: "passed",
      endpoint: proxy.endpoint,
      ...TEST_KEYS,
      partSize: 6 * MIB,
      concurrency: 2,
    }, { env: {} });
    const abort = new AbortController();
    const put = store.put(KEY, pattern(30 * MIB, 1), { signal: abort.signal });
    const parts = () => proxy.seen.filter(({ path }) => path.includes("partNumber="));
    const deadline = performance.now() + 10_000;
    while (parts().length < 2 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    proxy.fault = undefined;
    abort.abort(new Error("seen enough"));
    await assert.rejects(put, /seen enough/);
    assert.deepEqual(parts().map(({ size }) => size), [6 * MIB, 6 * MIB]);

    proxy.fault = () => ({ act: "answer", status: 200, headers: { etag: '"x"' } });
    const classed = {
      bucket: "b",
      path: "",
      endpoint: proxy.endpoint,
      ...TEST_KEYS,
      sessionToken: "t",
      storageClass: "COLD",
    };
    await using other = openS3Store(classed, { env: {} });
    await other.put(KEY, pattern(10, 1));
    const { headers } = proxy.seen.at(-1)!;
    assert.equal(`${headers["x-amz-storage-class"]} ${headers["x-amz-security-token"]}`, "COLD t");
  } finally {
    await proxy.stop();
  }
});

test("openS3Store() trusts the authority in the file of ca-cert", async () => {
  const { endpoint, caCert } = await certified();
  using folder = temporaryFolder();
  const caCertPath = join(folder.path, "ca.pem");
  writeFileSync(caCertPath, caCert);
  const settings = { bucket: "backup", path: "tls", endpoint, ...TEST_KEYS };
  await using store = openS3Store({ ...settings, caCertPath }, { env: {} });
  await store.put(KEY, pattern(10, 1));
  await using trusting = openS3Store({ ...settings, skipVerify: true }, { env: {} });
  await assertHolds(trusting, KEY, pattern(10, 1));
  const open = (path: string) => () => openS3Store({ ...settings, caCertPath: path }, { env: {} });
  assert.throws(open(join(folder.path, "none")), /^UsageError: ca-cert: there is no file /);
  writeFileSync(caCertPath, "nothing");
  assert.throws(open(caCertPath), UsageError);
});

test("openS3Store() refuses a replica without a bucket", () => {
  for (const settings of [{ urlHost: "fra1.digitaloceanspaces.com", path: "" }, { path: "x" }]) {
    assert.throws(() => openS3Store(settings, { env: {} }), {
      name: "UsageError",
      message: "bucket required for s3 replica",
    });
  }
});
