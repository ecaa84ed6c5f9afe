import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreError } from "../../../src/errors.ts";
import { openHttpClient } from "../../../src/runtime/http.ts";
import type { S3StoreOptions } from "../../../src/storage/s3/options.ts";
import { S3Store } from "../../../src/storage/s3/s3_store.ts";
import { objectStoreContract, pattern } from "../../contract/object_store.ts";
import { temporaryFolder } from "../../doubles/temporary_folder.ts";
import { makeCertificate } from "../../servers/certificates.ts";
import { oncePerFile } from "../../servers/once.ts";
import { startMinio, startVersitygw } from "../../servers/s3_servers.ts";
import { assertHolds, failureOf, KEY, keysOf, MIB } from "./proxied_store.ts";

let storeCount = 0;

for (const [name, start] of [["MinIO", startMinio], ["versitygw", startVersitygw]] as const) {
  const server = oncePerFile(async () => {
    const folder = temporaryFolder();
    const tls = makeCertificate(folder.path);
    const running = await start({ tls });
    // One for all: on Deno it takes a tenth of a second to make.
    const http = openHttpClient({ caCert: tls.caCert });
    const stop = async () => {
      http[Symbol.dispose]();
      await running.stop();
      folder[Symbol.dispose]();
    };
    return { ...running, caCert: tls.caCert, http, stop };
  });
  const open = async (options: Partial<S3StoreOptions> = {}) => {
    const { endpoint, bucket, credentials } = await server();
    return new S3Store({
      bucket,
      endpoint,
      credentials,
      path: `tls/${++storeCount}`,
      partSize: 5 * MIB,
      retry: { firstWaitMs: 1 },
      ...options,
    });
  };

  objectStoreContract({
    name: `S3Store over TLS on ${name}`,
    manyCount: 20,
    largestSize: 5 * MIB,
    async open() {
      const store = await open({ http: (await server()).http });
      return { store, cleanup: () => store[Symbol.asyncDispose]() };
    },
  });

  test(`S3Store with skipVerify works on ${name} without its authority`, async () => {
    await using store = await open({ skipVerify: true, rangeSize: MIB });
    for (const size of [0, 1000, 12 * MIB]) {
      await store.put(KEY, pattern(size, 1));
      await assertHolds(store, KEY, pattern(size, 1));
    }
    assert.deepEqual(await keysOf(store), [KEY]);
    const reader = (await store.get(KEY)).getReader();
    await reader.read();
    await reader.cancel();
    const abort = new AbortController();
    const aborted = (await store.get(KEY, { signal: abort.signal })).getReader();
    abort.abort(new Error("stopped"));
    await assert.rejects(async () => {
      while (!(await aborted.read()).done);
    }, /stopped/);
    await store.delete([KEY]);
    assert.deepEqual(await keysOf(store), []);
  });

  test(`S3Store with caCert works on ${name}`, async () => {
    await using store = await open({ caCert: (await server()).caCert });
    await store.put(KEY, pattern(9 * MIB, 1));
    await assertHolds(store, KEY, pattern(9 * MIB, 1));
  });

  test(`S3Store refuses ${name} without its authority in one line`, async () => {
    await using store = await open();
    const { text, error } = await failureOf(store.put(KEY, pattern(10, 1)));
    assert.match(
      text,
      /^cannot write s3:.*: the certificate of https:\/\/localhost:\d+ is not trusted; set ca-cert to its certificate/,
    );
    assert.ok(error instanceof StoreError && !error.isTransient);
  });

  test(`S3Store doesn't take ${name}'s certificate for another host's`, async () => {
    const { caCert, port } = await server();
    await using store = await open({ caCert, endpoint: `https://127.0.0.2:${port}` });
    const { text } = await failureOf(store.put(KEY, pattern(10, 1)));
    assert.match(text, /is not trusted|nothing listens/);
  });

  test(`S3Store says that ${name} speaks TLS when it is addressed without`, async () => {
    const { port } = await server();
    await using plain = await open({
      endpoint: `http://localhost:${port}`,
      retry: { tries: 2, firstWaitMs: 1 },
    });
    await assert.rejects(plain.put(KEY, pattern(10, 1)), StoreError);
  });
}

test("S3Store refuses a caCert that is none", () => {
  const credentials = { get: () => Promise.reject(new Error("not asked")), discard() {} };
  for (
    const caCert of ["not a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
  ) {
    assert.throws(
      () => new S3Store({ bucket: "b", caCert, credentials }),
      /^UsageError: ca-cert holds no certificate/,
    );
  }
});
