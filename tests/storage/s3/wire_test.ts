import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mock, test } from "node:test";
import { readAll } from "../../../src/bytes.ts";
import { StoreError, UsageError } from "../../../src/errors.ts";
import { openHttpClient } from "../../../src/runtime/http.ts";
import { segmentKey } from "../../../src/storage/keys.ts";
import { BufferPool } from "../../../src/storage/s3/buffer_pool.ts";
import { defaultCredentials } from "../../../src/storage/s3/credentials/default_chain.ts";
import { S3Store } from "../../../src/storage/s3/s3_store.ts";
import { pattern, reusingStream } from "../../contract/object_store.ts";
import { temporaryFolder } from "../../doubles/temporary_folder.ts";
import type { SeenRequest } from "../../servers/fault_proxy.ts";
import { oncePerFile } from "../../servers/once.ts";
import { startMinio, startVersitygw, TEST_KEYS } from "../../servers/s3_servers.ts";
import { assertHolds, failureOf, KEY, keysOf, MIB, proxied, QUICK_RETRY } from "./proxied_store.ts";

const minio = oncePerFile(() => startMinio());
const versitygw = oncePerFile(() => startVersitygw());

const isPart = ({ path }: SeenRequest) => path.includes("partNumber=");

test("S3Store sends region, session token, path and storage class", async () => {
  const keys = { ...TEST_KEYS, sessionToken: "token-1" };
  await using opened = await proxied(await minio(), {
    region: "eu-test-1",
    path: "/deep//er/./x/",
    storageClass: "STANDARD_IA",
    patience: { completionMs: 1 },
    credentials: { get: () => Promise.resolve(keys), discard() {} },
  });
  const { store, proxy } = opened;
  assert.equal(store.place, "s3://backup/deep/er/x");
  proxy.fault = ({ method }) =>
    method === "POST"
      ? {
        act: "answer",
        status: 200,
        body: "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
      }
      : { act: "answer", status: 200, headers: { etag: '"x"' } };
  await store.put(KEY, pattern(10, 1));
  await store.put(KEY, pattern(6 * MIB, 1)).catch(() => {}); // The completion is not one.
  const put = proxy.seen.find(({ method }) => method === "PUT")!;
  assert.equal(put.path, `/backup/deep/er/x/${KEY}`);
  assert.match(
    String(put.headers["authorization"]),
    /Credential=walbrook-test\/\d{8}\/eu-test-1\/s3\/aws4_request/,
  );
  assert.match(
    String(put.headers["authorization"]),
    /SignedHeaders=[^,]*content-md5[^,]*x-amz-security-token/,
  );
  assert.equal(put.headers["x-amz-security-token"], "token-1");
  assert.equal(put.headers["accept-encoding"], "identity");
  assert.equal(put.headers["content-length"], "10");
  const created = proxy.seen.find(({ path }) => path.includes("uploads="))!;
  for (const request of [put, created]) assert.equal(request.headers["x-amz-storage-class"], "STANDARD_IA");
  assert.ok(proxy.seen.filter(isPart).every(({ headers }) => headers["x-amz-storage-class"] === undefined));
});

test("S3Store puts the bucket in the host where forcePathStyle is false", async () => {
  await using opened = await proxied(await minio());
  const port = new URL(opened.proxy.endpoint).port;
  opened.proxy.fault = () => ({ act: "answer", status: 200, headers: { etag: '"x"' } });
  const toLocalhost = openHttpClient();
  await using store = new S3Store({
    bucket: "backup",
    endpoint: `http://localhost:${port}`,
    forcePathStyle: false,
    credentials: (await minio()).credentials,
    http: {
      // Not every machine's name service knows the names under localhost.
      send: (request) =>
        toLocalhost.send({ ...request, url: request.url.replace("backup.localhost", "127.0.0.1") }),
      [Symbol.dispose]: () => toLocalhost[Symbol.dispose](),
    },
  });
  await store.put(KEY, pattern(10, 1));
  assert.equal(opened.proxy.seen[0]!.path, `/${KEY}`);
});

test("S3Store sends parts of the part size, no more than concurrency at once, from the pool alone", async () => {
  const buffers = new BufferPool({ limit: 24 * MIB });
  await using opened = await proxied(await minio(), { partSize: 6 * MIB, concurrency: 2, buffers });
  await opened.store.put(KEY, reusingStream(pattern(40 * MIB, 1), 300_000));
  const sizes = opened.proxy.seen.filter(isPart).map(({ size }) => size).sort((a, b) => b - a);
  assert.deepEqual(sizes, [...Array(6).fill(6 * MIB), 4 * MIB]);
  assert.ok(buffers.largestLentSize <= 3 * 6 * MIB, String(buffers.largestLentSize));
  await assertHolds(opened.store, KEY, pattern(40 * MIB, 1));
});

test("S3Store.put() of many large streams at once keeps within the pool and ends", async () => {
  const buffers = new BufferPool({ limit: 12 * MIB });
  await using opened = await proxied(await versitygw(), { buffers });
  const keys = [0, 1, 2, 3, 4].map((index) =>
    segmentKey({ generation: "0123456789abcdef", index, offset: 0 })
  );
  await Promise.all(
    keys.map((key, seed) => opened.store.put(key, reusingStream(pattern(11 * MIB, seed), 300_000))),
  );
  assert.ok(buffers.largestLentSize <= 12 * MIB);
  for (const [seed, key] of keys.entries()) await assertHolds(opened.store, key, pattern(11 * MIB, seed));
});

test("S3Store.get() asks for the ranges of a large object side by side", async () => {
  await using opened = await proxied(await minio(), { rangeSize: MIB, concurrency: 3 });
  await opened.store.put(KEY, pattern(4 * MIB + 5, 1));
  opened.proxy.seen.length = 0;
  await assertHolds(opened.store, KEY, pattern(4 * MIB + 5, 1));
  assert.deepEqual(
    opened.proxy.seen.map(({ headers }) => headers["range"]).sort(),
    ["0-1048575", "1048576-2097151", "2097152-3145727", "3145728-4194303", "4194304-4194308"].map((range) =>
      `bytes=${range}`
    ),
  );
});

test("S3Store asks for nothing when nothing is asked of it, and once for each small object", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  assert.deepEqual(proxy.counts(), {});
  for (let index = 0; index < 5; index++) {
    await store.put(segmentKey({ generation: "0123456789abcdef", index, offset: 0 }), pattern(2000, 1));
  }
  assert.deepEqual(proxy.counts(), { PUT: 5 });
  const keys = await keysOf(store, "generations/");
  for (const key of keys) await readAll(await store.get(key), { limit: 3000 });
  assert.deepEqual(proxy.counts(), { PUT: 5, LIST: 1, GET: 5 });
  await store.delete(keys);
  assert.deepEqual(proxy.counts(), { PUT: 5, LIST: 1, GET: 5, DELETE: 1 });
  await store.put(KEY, pattern(16 * MIB, 1));
  assert.equal(proxy.counts().PUT, 5 + 1 + 4 + 1, "begin, four parts, end");
});

test("S3Store.delete() takes 2500 objects with three requests, of a thousand at most (case 60)", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  const keys = Array.from(
    { length: 2500 },
    (_, index) => segmentKey({ generation: "0123456789abcdef", index, offset: 0 }),
  );
  await store.put(keys[2499]!, pattern(10, 1));
  proxy.seen.length = 0;
  await store.delete(keys);
  assert.equal(proxy.counts().DELETE, 3);
  assert.deepEqual(await keysOf(store), []);
});

test("S3Store counts its requests under Litestream's names", async () => {
  const counted: string[] = [];
  const metrics = {
    count: (name: string, labels: Readonly<Record<string, string>>, amount = 1) =>
      void counted.push(
        `${name.replace("litestream_replica_operation_", "")} ${labels["operation"]} ${amount}`,
      ),
    gauge() {},
  };
  await using opened = await proxied(await minio(), { metrics });
  const { store } = opened;
  await store.put(KEY, pattern(100, 1));
  await readAll(await store.get(KEY), { limit: 200 });
  await keysOf(store);
  await store.delete([KEY]);
  assert.deepEqual(counted, [
    "total PUT 1",
    "bytes PUT 100",
    "total GET 1",
    "bytes GET 100",
    "total LIST 1",
    "total DELETE 1",
  ]);
});

test("S3Store signs with the profile of the AWS files", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, ".aws"));
  writeFileSync(
    join(folder.path, ".aws", "credentials"),
    `[mine]\naws_access_key_id = ${TEST_KEYS.accessKeyId}\naws_secret_access_key = ${TEST_KEYS.secretAccessKey}\n`,
  );
  const credentials = defaultCredentials({ env: { HOME: folder.path }, profile: "mine" });
  await using opened = await proxied(await minio(), { credentials });
  await opened.store.put(KEY, pattern(10, 1));
  await assertHolds(opened.store, KEY, pattern(10, 1));
});

test("S3Store takes the quirks of an endpoint's provider: equal parts, no batch delete, MD5", async () => {
  const { port, credentials } = await minio();
  for (
    const [endpoint, isEqual] of [["https://storage.googleapis.com", false], [
      "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com",
      true,
    ]] as const
  ) {
    const seen: { method: string; url: string; headers: Readonly<Record<string, string>> }[] = [];
    const client = openHttpClient();
    await using store = new S3Store({
      bucket: "backup",
      endpoint,
      credentials,
      path: `quirks/${isEqual}`,
      partSize: 5 * MIB,
      http: {
        send(request) {
          seen.push(request);
          return client.send({ ...request, url: request.url.replace(endpoint, `http://127.0.0.1:${port}`) });
        },
        [Symbol.dispose]: () => client[Symbol.dispose](),
      },
    });
    // The signature is for the provider's host, so MinIO refuses all; what was sent is what counts.
    await store.delete([KEY, `${KEY}2`]).catch(() => {});
    await store.put(KEY, pattern(6 * MIB, 1)).catch(() => {});
    assert.match(seen[0]!.headers["authorization"]!, /\/auto\/s3\//);
    assert.equal(seen[0]!.method, isEqual ? "POST" : "DELETE");
    const created = seen.find(({ url }) => url.includes("uploads="))!;
    assert.equal(created.headers["x-amz-checksum-algorithm"], isEqual ? "CRC32" : undefined);
  }
});

test("S3Store refuses options out of their range", async () => {
  const { bucket, credentials } = await minio();
  for (
    const wrong of [{ partSize: 1024 }, { partSize: NaN }, { concurrency: 0 }, { concurrency: 1.5 }, {
      bucket: "",
    }]
  ) {
    assert.throws(() => new S3Store({ bucket, credentials, ...wrong }), UsageError);
  }
});

for (const [name, server] of [["MinIO", minio], ["versitygw", versitygw]] as const) {
  const wrongs = [
    [
      "a bucket that isn't there",
      { bucket: "nowhere" },
      /there is no bucket "nowhere" at http:\/\/127\.0\.0\.1:\d+; create it/,
    ],
    [
      "an unknown access key",
      { credentials: { accessKeyId: "stranger", secretAccessKey: "hunter22" } },
      /does not know this access key; check access-key-id/,
    ],
    [
      "a wrong secret",
      { credentials: { ...TEST_KEYS, secretAccessKey: "hunter22" } },
      /the signature does not match; check secret-access-key/,
    ],
  ] as const;
  for (const [what, wrong, text] of wrongs) {
    test(`S3Store tells in one line of ${what} on ${name}`, async () => {
      const { endpoint, bucket, credentials } = await server();
      const keys = "credentials" in wrong ? wrong.credentials : undefined;
      await using store = new S3Store({
        bucket: "bucket" in wrong ? wrong.bucket : bucket,
        endpoint,
        retry: QUICK_RETRY,
        credentials: keys === undefined ? credentials : { get: () => Promise.resolve(keys), discard() {} },
      });
      for (
        const call of [
          () => store.put(KEY, pattern(10, 1)),
          () => store.get(KEY),
          () => keysOf(store),
          () => store.delete([KEY, `${KEY}2`]),
          () => store.check(),
          () => store.put(KEY, pattern(9 * MIB, 1)),
        ]
      ) {
        const failure = await failureOf(call());
        assert.match(failure.text, text);
        assert.ok(!failure.text.includes("hunter22"));
        assert.ok(failure.error instanceof StoreError && !failure.error.isTransient);
      }
    });
  }

  test(`S3Store.check() of ${name} costs one request when all is well`, async () => {
    await using opened = await proxied(await server());
    await opened.store.check();
    assert.deepEqual(opened.proxy.counts(), { HEAD: 1 });
  });

  test(`S3Store keeps keys with odd characters apart on ${name}`, async () => {
    await using opened = await proxied(await server());
    const { store } = opened;
    const keys = ["a b", "a+b", "a%20b", "a&b=c", "ü/é", "a'(b)!*", "#?;:@", 'a"<>'].map((key) =>
      `odd/${key}`
    );
    for (const [seed, key] of keys.entries()) await store.put(key, pattern(20, seed));
    assert.deepEqual(await keysOf(store, "odd/"), [...keys].sort());
    for (const [seed, key] of keys.entries()) await assertHolds(store, key, pattern(20, seed));
    await store.delete(keys);
    assert.deepEqual(await keysOf(store, "odd/"), []);
  });
}

for (const [name, server] of [["MinIO", minio], ["versitygw", versitygw]] as const) {
  for (const [minutes, way] of [[90, "ahead of"], [-90, "behind"]] as const) {
    test(`S3Store says in words that ${name} refuses a clock ${way} its own`, async () => {
      const { endpoint, bucket, credentials } = await server();
      await using store = new S3Store({ bucket, endpoint, credentials, retry: QUICK_RETRY });
      mock.timers.enable({ apis: ["Date"], now: Date.now() + minutes * 60_000 });
      try {
        const { text, error } = await failureOf(store.put(KEY, pattern(10, 1)));
        assert.match(
          text,
          new RegExp(`this machine's clock is (89|90) minutes ${way} the server's; set this machine`),
        );
        assert.ok(error instanceof StoreError && !error.isTransient);
      } finally {
        mock.timers.reset();
      }
    });
  }
}

test("S3Store tells in one line that there is no such host and that nothing listens", async () => {
  const { bucket, credentials, port } = await minio();
  const retry = { ...QUICK_RETRY, tries: 2 };
  await using lost = new S3Store({ bucket, credentials, endpoint: "http://no-such-host.invalid", retry });
  assert.match(
    (await failureOf(lost.check())).text,
    /there is no host of this name: http:\/\/no-such-host\.invalid; check endpoint/,
  );
  await using other = await proxied(await minio(), { retry });
  const { endpoint } = other.proxy;
  assert.notEqual(new URL(endpoint).port, String(port));
  await other.proxy.stop();
  assert.match(
    (await failureOf(other.store.check())).text,
    /nothing listens at http:\/\/127\.0\.0\.1:\d+; check endpoint.*\(2 tries\)/,
  );
});

test("S3Store doesn't wait long for a server that isn't there, to be early when it is back", async () => {
  const retry = { tries: 4, firstWaitMs: 20_000, longestWaitMs: 20_000, random: () => 1 };
  await using opened = await proxied(await minio(), { retry });
  await opened.proxy.stop();
  const startedAt = performance.now();
  const { error } = await failureOf(opened.store.put(KEY, pattern(10, 1)));
  assert.ok(error instanceof StoreError && error.isAway && error.isTransient);
  assert.ok(performance.now() - startedAt < 20_000);
});

test("S3Store follows versitygw to the region that it names", async () => {
  await using opened = await proxied(await versitygw(), { region: "eu-central-1" });
  await opened.store.put(KEY, pattern(10, 1));
  assert.equal(opened.warnings.length, 1);
  assert.equal(opened.warnings[0]![1]!["region"], "us-east-1");
});

test("S3Store.cleanUp() aborts stale uploads of ours and leaves others alone", async () => {
  await using opened = await proxied(await versitygw(), { staleUploadMs: -60_000 });
  const { store, proxy, path } = opened;
  const foreign = "generations/0123456789abcdef/wal/notes.txt";
  proxy.fault = (request) =>
    request.method === "PUT" || request.method === "DELETE"
      ? { act: "answer", status: 400, body: "" }
      : undefined;
  for (const key of [KEY, foreign]) await failureOf(store.put(key, pattern(6 * MIB, 1)));
  proxy.fault = undefined;
  proxy.seen.length = 0;
  assert.equal(await store.cleanUp(), 1);
  const aborted = proxy.seen.filter(({ method }) => method === "DELETE");
  assert.deepEqual(aborted.map(({ path }) => path.split("?")[0]), [`/backup/${path}/${KEY}`]);
  assert.equal(await store.cleanUp(), 0);
  await using patient = await proxied(await versitygw(), { path });
  proxy.fault = (request) =>
    request.method === "PUT" || request.method === "DELETE"
      ? { act: "answer", status: 400, body: "" }
      : undefined;
  await failureOf(store.put(KEY, pattern(6 * MIB, 1)));
  assert.equal(await patient.store.cleanUp(), 0, "a young one may belong to a running upload");
});

test("S3Store.cleanUp() goes on behind an upload that can't be aborted", async () => {
  await using opened = await proxied(await versitygw(), { staleUploadMs: -60_000, retry: { tries: 1 } });
  const { store, proxy } = opened;
  const other = KEY.replace("0123456789abcdef", "0123456789abcde0");
  proxy.fault = ({ method }) =>
    method === "PUT" || method === "DELETE" ? { act: "answer", status: 400, body: "" } : undefined;
  for (const key of [KEY, other]) await failureOf(store.put(key, pattern(6 * MIB, 1)));
  // The first of them, in the order of their names.
  proxy.fault = ({ method, path }) =>
    method === "DELETE" && path.includes(other) ? { act: "answer", status: 400, body: "" } : undefined;
  assert.equal(await store.cleanUp(), 0);
  proxy.fault = undefined;
  proxy.seen.length = 0;
  assert.equal(await store.cleanUp(), 1);
  const aborted = proxy.seen.filter(({ method }) => method === "DELETE").map(({ path }) => path);
  assert.ok(aborted.length === 1 && aborted[0]!.includes(other), String(aborted));
});

test("S3Store.cleanUp() without the right to list uploads does nothing and harms nobody", async () => {
  await using opened = await proxied(await minio());
  opened.proxy.fault = () => ({
    act: "answer",
    status: 403,
    body: "<Error><Code>AccessDenied</Code><Message>no</Message></Error>",
  });
  assert.equal(await opened.store.cleanUp(), 0);
  assert.equal(opened.proxy.seen.length, 1);
});
