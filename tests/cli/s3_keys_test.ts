/** The keys of an s3 replica in a configuration file, as they reach a server. */
import { after, mock, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { assembleReplicators } from "../../src/cli/assemble.ts";
import { openReplica } from "../../src/cli/open_replica.ts";
import { silentLogger } from "../../src/logger.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { ReplicaClient } from "../../src/storage/replica_client.ts";
import { parsed } from "../config/parsed.ts";
import { pattern } from "../contract/object_store.ts";
import { recordLogs } from "../doubles/recording_logger.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { makeCertificate } from "../servers/certificates.ts";
import { type Fault, type SeenRequest, startFaultProxy } from "../servers/fault_proxy.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio, TEST_KEYS } from "../servers/s3_servers.ts";
import { assertHolds, failureOf, KEY, MIB } from "../storage/s3/proxied_store.ts";

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());

const certified = oncePerFile(async () => {
  const tls = makeCertificate(folder.path);
  return { ...await startMinio({ tls }), caCert: tls.caCert };
});

/** A file in the test's folder, for a key that names one. */
function file(name: string, text: string): string {
  const path = join(folder.path, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** A client of the replica that `text` describes; `top` stands at the top of the file. */
function clientOf(text: string, { top = "" }: { top?: string } = {}): Promise<ReplicaClient> {
  const { databases } = parsed(`${top}\ndbs: [{ path: /a, replicas: [{ ${text} }] }]`);
  return openReplica(databases[0]!.replicas[0]!, { logger: silentLogger });
}

const BEGUN: Fault = {
  act: "answer",
  status: 200,
  body: "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
};

/** What a server at `endpoint` sees of a put of `size` bytes; it takes everything. */
async function seenOf(
  text: string,
  { size = 10, top }: { size?: number; top?: string } = {},
): Promise<SeenRequest[]> {
  const proxy = await startFaultProxy({ upstreamPort: 1 });
  try {
    proxy.fault = ({ path }) =>
      path.includes("uploads=") ? BEGUN : { act: "answer", status: 200, headers: { etag: '"x"' } };
    const client = await clientOf(`type: s3, bucket: b1, endpoint: "${proxy.endpoint}", ${text}`, {
      ...top === undefined ? {} : { top },
    });
    await using _ = client.store;
    // What such a server says at the end of an upload is no answer.
    await client.put(KEY, pattern(size, 1)).catch(() => {});
    return proxy.seen;
  } finally {
    await proxy.stop();
  }
}

const KEYS = "access-key-id: id1, secret-access-key: secret1";

test("openReplica() signs with the keys of the replica, its files or the top of the file (case 94)", async () => {
  const cases: [string, string, string][] = [
    ["", KEYS, "id1"],
    [
      "",
      `access-key-id-file: "${file("id", "id2\n")}", secret-access-key-file: "${file("key", "s\n")}"`,
      "id2",
    ],
    ["access-key-id: id3\nsecret-access-key: secret3", "name: x", "id3"],
    ["access-key-id: id3\nsecret-access-key: secret3", KEYS, "id1"],
  ];
  for (const [top, text, id] of cases) {
    const [{ headers, path }] = await seenOf(`path: deep/er, ${text}`, { top }) as [SeenRequest];
    assert.match(String(headers["authorization"]), new RegExp(`Credential=${id}/\\d{8}/us-east-1/s3/`));
    assert.equal(path, `/b1/deep/er/${KEY}`);
    assert.equal(headers["x-amz-security-token"], undefined);
    assert.equal(headers["x-amz-storage-class"], undefined);
  }
});

test("openReplica() sends region, session token and storage class", async () => {
  for (const token of ["session-token: token-1", `session-token-file: "${file("token", "token-1\n")}"`]) {
    const [{ headers }] = await seenOf(
      `${KEYS}, region: eu-test-1, storage-class: STANDARD_IA, ${token}`,
    ) as [SeenRequest];
    assert.match(String(headers["authorization"]), /\/eu-test-1\/s3\//);
    assert.equal(headers["x-amz-security-token"], "token-1");
    assert.equal(headers["x-amz-storage-class"], "STANDARD_IA");
  }
});

test("openReplica() puts the bucket in the host with force-path-style: false, and in the path otherwise", async () => {
  const urls: string[] = [];
  // Not every machine's name service knows names of buckets, so nothing is to be sent.
  const fetch = mock.method(globalThis, "fetch", (url: string) => {
    urls.push(url);
    return Promise.resolve(new Response(null, { status: 200, headers: { etag: '"x"' } }));
  });
  try {
    for (const style of ["", ", force-path-style: false", ", force-path-style: true"]) {
      for (const place of ["bucket: b1, endpoint: h.example", 'url: "s3://b1.fra1.digitaloceanspaces.com"']) {
        const client = await clientOf(`type: s3, ${place}, ${KEYS}${style}`);
        await using _ = client.store;
        await client.put(KEY, pattern(10, 1));
      }
    }
  } finally {
    fetch.mock.restore();
  }
  const inPath = [`https://h.example/b1/${KEY}`, `https://fra1.digitaloceanspaces.com/b1/${KEY}`];
  const inHost = [`https://b1.h.example/${KEY}`, `https://b1.fra1.digitaloceanspaces.com/${KEY}`];
  assert.deepEqual(urls, [...inPath, ...inHost, ...inPath]);
});

test("openReplica() sends parts of part-size", async () => {
  const seen = await seenOf(`${KEYS}, part-size: 6Mi, concurrency: 1`, { size: 14 * MIB });
  const parts = seen.filter(({ path }) => path.includes("partNumber="));
  assert.deepEqual(parts.map(({ size }) => size), [6 * MIB, 6 * MIB, 2 * MIB]);
});

test("openReplica() has as many parts on their way as concurrency says", async () => {
  const proxy = await startFaultProxy({ upstreamPort: 1 });
  try {
    // Parts are never answered: no more are sent than may be on their way.
    proxy.fault = ({ path }) => path.includes("uploads=") ? BEGUN : { act: "silence" };
    for (const concurrency of [1, 3]) {
      proxy.seen.length = 0;
      const client = await clientOf(
        `type: s3, bucket: b1, endpoint: "${proxy.endpoint}", ${KEYS}, part-size: 5Mi, concurrency: ${concurrency}`,
      );
      await using _ = client.store;
      const abort = new AbortController();
      const put = client.put(KEY, pattern(26 * MIB, 1), { signal: abort.signal }).catch(() => {});
      const parts = () => proxy.seen.filter(({ path }) => path.includes("partNumber=")).length;
      await until(() => parts() >= concurrency, "the parts");
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(parts(), concurrency);
      // The abort of the upload is to be answered.
      proxy.fault = () => ({ act: "answer", status: 204 });
      abort.abort(new Error("enough"));
      await put;
      proxy.fault = ({ path }) => path.includes("uploads=") ? BEGUN : { act: "silence" };
    }
  } finally {
    await proxy.stop();
  }
});

test("openReplica() takes keys from the profile", async () => {
  mkdirSync(join(folder.path, ".aws"));
  const path = file(
    ".aws/credentials",
    "[mine]\naws_access_key_id = of-the-profile\naws_secret_access_key = s\n",
  );
  process.env["AWS_SHARED_CREDENTIALS_FILE"] = path;
  try {
    const [{ headers }] = await seenOf("profile: mine") as [SeenRequest];
    assert.match(String(headers["authorization"]), /Credential=of-the-profile\//);
  } finally {
    delete process.env["AWS_SHARED_CREDENTIALS_FILE"];
  }
});

test("openReplica() trusts ca-cert, or anybody with skip-verify", async () => {
  const { endpoint, caCert } = await certified();
  const common = `type: s3, bucket: backup, path: keys, endpoint: "${endpoint}", ` +
    `access-key-id: ${TEST_KEYS.accessKeyId}, secret-access-key: ${TEST_KEYS.secretAccessKey}`;
  for (const trust of [`ca-cert: "${file("ca.pem", caCert)}"`, "skip-verify: true"]) {
    const client = await clientOf(`${common}, ${trust}`);
    await using store = client.store;
    await client.put(KEY, pattern(10, 1));
    await assertHolds(store, KEY, pattern(10, 1));
  }
  const client = await clientOf(common);
  await using _ = client.store;
  assert.match((await failureOf(client.put(KEY, pattern(10, 1)))).text, /certificate/i);
});

test("assembleReplicators() logs where each URL leads (97)", async () => {
  const cases: [string, Record<string, unknown>][] = [
    ["s3://foo/bar", { bucket: "foo", path: "bar", region: "", endpoint: "" }],
    ["s3://foo.localhost:9000/bar", {
      bucket: "foo",
      path: "bar",
      region: "us-east-1",
      endpoint: "http://localhost:9000",
    }],
    ["s3://foo.s3.us-west-000.backblazeb2.com/bar", {
      bucket: "foo",
      path: "bar",
      region: "us-west-000",
      endpoint: "https://s3.us-west-000.backblazeb2.com",
    }],
  ];
  const replicas = cases.map(([url], at) => `{ name: r${at}, url: "${url}", sync-interval: 2s }`);
  const { databases } = parsed(`dbs: [{ path: ${folder.path}/a, replicas: [${replicas.join(", ")}] }]`);
  const { logger, records } = recordLogs();
  await assembleReplicators(databases, { clock: systemClock, logger });
  const told = records.filter(({ message }) => message === "replicating to").map(({ fields }) => fields);
  assert.deepEqual(
    told,
    cases.map(([, place], at) => ({
      name: `r${at}`,
      type: "s3",
      "sync-interval": { durationMs: 2000 },
      ...place,
    })),
  );
});
