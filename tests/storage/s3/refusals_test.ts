/** What a store does about each kind of refusal: again, in another way, or not at all. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readAll } from "../../../src/bytes.ts";
import { segmentKey } from "../../../src/storage/keys.ts";
import { NotFoundError, StoreError } from "../../../src/errors.ts";
import { Backoff } from "../../../src/replicate/backoff.ts";
import type { CredentialsProvider } from "../../../src/storage/s3/credentials/credentials.ts";
import { defaultCredentials } from "../../../src/storage/s3/credentials/default_chain.ts";
import { pattern } from "../../contract/object_store.ts";
import { recordLogs } from "../../doubles/recording_logger.ts";
import { temporaryFolder } from "../../doubles/temporary_folder.ts";
import type { Fault, SeenRequest } from "../../servers/fault_proxy.ts";
import { oncePerFile } from "../../servers/once.ts";
import { startMinio } from "../../servers/s3_servers.ts";
import { assertSame, failureOf, firstTimes, KEY, keysOf, proxied, refusal } from "./proxied_store.ts";

const minio = oncePerFile(() => startMinio());

const isGet = ({ method, path }: SeenRequest) => method === "GET" && !path.includes("list-type");
const isPut = ({ method }: SeenRequest) => method === "PUT";

const BURSTS = [
  [500, "InternalError"],
  [503, "SlowDown"],
  [429, "TooManyRequests"],
  [502, "BadGateway"],
  [400, "RequestTimeout"],
  [524, "status 524"],
  [544, "DatabaseTimeout"],
] as const;
for (const [status, code] of BURSTS) {
  test(`S3Store outlasts a burst of ${status} ${code} in every call`, async () => {
    await using opened = await proxied(await minio());
    const { store, proxy } = opened;
    const burst = () => proxy.fault = firstTimes(3, () => true, refusal(status, code));
    burst();
    await store.put(KEY, pattern(1000, 1));
    burst();
    assertSame(await readAll(await store.get(KEY), { limit: 2000 }), pattern(1000, 1));
    burst();
    assert.deepEqual(await keysOf(store), [KEY]);
    burst();
    assert.deepEqual(await store.listFolders(""), ["generations"]);
    burst();
    await store.delete([KEY]);
    assert.equal(proxy.seen.length, 5 * 4);
    assert.deepEqual(await keysOf(store), []);
  });
}

test("S3Store waits as long as Retry-After asks", async () => {
  await using opened = await proxied(await minio());
  opened.proxy.fault = firstTimes(1, isPut, refusal(503, "SlowDown", { headers: { "retry-after": "1" } }));
  const startedAt = performance.now();
  await opened.store.put(KEY, pattern(10, 2));
  assert.ok(performance.now() - startedAt >= 990);
});

test("S3Store gives up after its tries with an error that says what, why and how often", async () => {
  await using opened = await proxied(await minio());
  opened.proxy.fault = () => refusal(503, "SlowDown", { headers: { "x-amz-request-id": "R17" } });
  const { text, error } = await failureOf(opened.store.put(KEY, pattern(10, 3)));
  assert.equal(
    text,
    `cannot write s3://backup/${opened.path}/${KEY}: SlowDown, it said (status 503, SlowDown, request R17, 8 tries)`,
  );
  assert.ok(error instanceof StoreError && error.isTransient);
  assert.equal(opened.proxy.seen.length, 8);
});

const REPEATED: [string, (number: number) => Fault][] = [
  [
    "a refusal, whose request has another id at each try",
    (number) => refusal(403, "AccessDenied", { headers: { "x-amz-request-id": `R${number}` } }),
  ],
  [
    "a refusal that says when, in the server's words",
    (number) => ({
      act: "answer",
      status: 400,
      body: `<Error><Code>Odd</Code><Message>${number} s</Message></Error>`,
    }),
  ],
  ["a connection that breaks, on another port at each try", () => ({ act: "drop" })],
];
for (const [name, fault] of REPEATED) {
  test(`S3Store has Backoff say once: ${name}`, async () => {
    await using opened = await proxied(await minio());
    const { logger, records } = recordLogs();
    const backoff = new Backoff(logger);
    let count = 0;
    opened.proxy.fault = () => fault(++count);
    const texts: string[] = [];
    for (let round = 1; round <= 5; round++) {
      const { text, error } = await failureOf(opened.store.put(KEY, pattern(10, 1)));
      texts.push(text);
      backoff.fail("monitor error", error);
    }
    assert.deepEqual(records.map(({ message, fields }) => [message, fields]), [
      ["monitor error", { error: texts[0] }],
    ]);
    assert.equal(backoff.lastMessage, texts[4]);
    opened.proxy.fault = () => refusal(403, "InvalidRequest");
    backoff.fail("monitor error", (await failureOf(opened.store.put(KEY, pattern(10, 1)))).error);
    assert.equal(records.length, 2, "another one is said");
  });
}

test("S3Store asks again where only the status of a refusal came, since what is lost may say so", async () => {
  await using opened = await proxied(await minio(), { patience: { stallMs: 150 } });
  const { store, proxy } = opened;
  for (const how of ["close", "stall"] as const) {
    proxy.seen.length = 0;
    proxy.fault = firstTimes(1, isGet, { act: "cut", after: 60, how });
    await assert.rejects(store.get(KEY), NotFoundError);
    assert.equal(proxy.seen.length, 2, how);
  }
  const whole = '<?xml version="1.0"?><Error><Code>ExpiredToken</Code><Message>no</Message></Error>';
  const answer = (body: string): Fault => ({ act: "answer", status: 400, body });
  for (const length of [10, 25, 40, whole.length - 1]) {
    proxy.seen.length = 0;
    proxy.fault = firstTimes(1, isPut, answer(whole.slice(0, length)));
    await store.put(KEY, pattern(10, 1));
    assert.equal(proxy.seen.length, 2, `${length} bytes`);
  }
  // Where every refusal is cut off, its status has to do.
  proxy.seen.length = 0;
  proxy.fault = () => answer(whole.slice(0, 40));
  const { text } = await failureOf(store.put(KEY, pattern(10, 1)));
  assert.match(text, /^cannot write s3:.*: the server refuses it \(status 400, 5 tries\)$/);
  assert.equal(proxy.seen.length, 5);
  proxy.fault = (request) => isGet(request) ? { act: "cut", after: 60, how: "close" } : undefined;
  const missing = segmentKey({ generation: "0123456789abcdef", index: 9, offset: 0 });
  await assert.rejects(store.get(missing), NotFoundError);
  for (const body of ["", "<html><body>Bad request</body></html>"]) {
    proxy.seen.length = 0;
    proxy.fault = () => answer(body);
    assert.match(
      (await failureOf(store.put(KEY, pattern(10, 1)))).text,
      /the server refuses it \(status 400\)$/,
    );
    assert.equal(proxy.seen.length, 1, "what was never said can't be lost");
  }
});

test("S3Store follows a bucket to its region once and says so", async () => {
  await using opened = await proxied(await minio(), { region: "us-west-2" });
  const { store, proxy, warnings } = opened;
  const isWrong = ({ headers }: SeenRequest) => !String(headers["authorization"]).includes("/eu-central-1/");
  proxy.fault = (request) =>
    isWrong(request)
      ? refusal(301, "PermanentRedirect", { headers: { "x-amz-bucket-region": "eu-central-1" } })
      : undefined;
  await store.put(KEY, pattern(10, 1)).catch(() => {}); // MinIO has its own opinion of the region.
  await store.put(KEY, pattern(10, 1)).catch(() => {});
  assert.equal(proxy.seen.filter(isWrong).length, 1);
  assert.deepEqual(warnings, [[
    "bucket is in another region than configured, using that",
    { configured: "us-west-2", region: "eu-central-1" },
  ]]);
  proxy.fault = ({ headers }) => {
    const region = String(headers["authorization"]).includes("/eu-central-1/") ? "EU" : "eu-central-1";
    return refusal(400, "AuthorizationHeaderMalformed", { xml: `<Region>${region}</Region>` });
  };
  proxy.seen.length = 0;
  assert.match(
    (await failureOf(store.put(KEY, pattern(10, 1)))).text,
    /does not accept region "eu-west-1".*; set region/,
  );
  assert.equal(proxy.seen.length, 2);
});

test("S3Store asks for the region by HEAD where a redirect doesn't name it", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  proxy.fault = firstTimes(1, isPut, refusal(301, "PermanentRedirect"));
  const head = { act: "answer", status: 301, headers: { "x-amz-bucket-region": "us-east-2" } } as const;
  const put = proxy.fault;
  proxy.fault = (request) => request.method === "HEAD" ? head : put(request, 0);
  await store.put(KEY, pattern(10, 1)).catch(() => {});
  assert.deepEqual(proxy.seen.map(({ method }) => method), ["PUT", "HEAD", "PUT"]);
  assert.match(String(proxy.seen[2]!.headers["authorization"]), /\/us-east-2\/s3\//);
});

test("S3Store that is told to stop while it asks for the region doesn't wait for the answer", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  const stopping = new AbortController();
  proxy.fault = ({ method }) => {
    if (method !== "HEAD") return refusal(301, "PermanentRedirect");
    stopping.abort(new Error("stopping"));
    return { act: "delay", beforeMs: 3_000 };
  };
  const startedAt = performance.now();
  const { error } = await failureOf(store.put(KEY, pattern(10, 1), { signal: stopping.signal }));
  assert.equal(error, stopping.signal.reason);
  assert.ok(performance.now() - startedAt < 2_500);
});

const REDIRECTS: [number, string, RegExp][] = [
  [
    301,
    "https://s3.example:9000/backup/x?token=1",
    /redirects to https:\/\/s3\.example:9000; correct endpoint \(/,
  ],
  [302, "https://s3.example/", /redirects to https:\/\/s3\.example; correct endpoint \(/],
  [307, "https://s3.example/", /redirects to https:\/\/s3\.example; correct endpoint \(/],
  [308, "//s3.example/backup", /redirects to http:\/\/s3\.example; correct endpoint \(/],
  [301, "/login", /redirects to http:\/\/127\.0\.0\.1:\d+\/login; correct endpoint \(/],
];
for (const [status, location, message] of REDIRECTS) {
  test(`S3Store says where something on the way redirects to by ${status} to ${location}`, async () => {
    await using opened = await proxied(await minio());
    opened.proxy.fault = () => ({ act: "answer", status, headers: { location }, body: "<html>Moved</html>" });
    const { text } = await failureOf(opened.store.put(KEY, pattern(10, 1)));
    assert.match(text, message);
    assert.match(text, new RegExp(`\\(status ${status}[,)]`));
  });
}

test("S3Store gets new credentials once when the server says that they ended", async () => {
  const { credentials } = await minio();
  const keys = await credentials.get();
  let loads = 0;
  const renewing = {
    get: () => Promise.resolve({ ...keys, sessionToken: `token-${loads}` }),
    discard: () => void loads++,
  };
  await using opened = await proxied(await minio(), { credentials: renewing });
  const { store, proxy } = opened;
  proxy.fault = ({ headers }) =>
    headers["x-amz-security-token"] === "token-0"
      ? refusal(400, "ExpiredToken")
      : { act: "answer", status: 200, headers: { etag: '"x"' } };
  await store.put(KEY, pattern(10, 1));
  assert.deepEqual(proxy.seen.map(({ headers }) => headers["x-amz-security-token"]), ["token-0", "token-1"]);
  proxy.fault = () => refusal(400, "ExpiredToken");
  proxy.seen.length = 0;
  assert.match(
    (await failureOf(store.put(KEY, pattern(10, 1)))).text,
    /temporary credentials have ended; get new ones/,
  );
  assert.equal(proxy.seen.length, 2);
});

/** Keys in a file, as AWS's tools write it. */
function keysFile(): Disposable & { write(keys: string): void; readonly credentials: CredentialsProvider } {
  const folder = temporaryFolder();
  const path = join(folder.path, "credentials");
  return {
    write: (keys) =>
      writeFileSync(path, `[default]\naws_access_key_id = ${keys}\naws_secret_access_key = secret-${keys}\n`),
    credentials: defaultCredentials({ env: { AWS_SHARED_CREDENTIALS_FILE: path } }),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

const keyOf = ({ headers }: SeenRequest) => /Credential=([^/]+)/.exec(String(headers["authorization"]))![1]!;

for (const code of ["InvalidAccessKeyId", "XAdminUserNotFound", "InvalidToken", "SignatureDoesNotMatch"]) {
  test(`S3Store reads its keys again when ${code} says that they are others now`, async () => {
    using file = keysFile();
    await using opened = await proxied(await minio(), { credentials: file.credentials });
    const { store, proxy } = opened;
    let good = "A";
    proxy.fault = (request) =>
      keyOf(request) === good ? { act: "answer", status: 200, headers: { etag: '"x"' } } : refusal(403, code);
    const put = () => store.put(KEY, pattern(10, 1));
    file.write("A");
    await put();
    good = "B";
    // Refused before the file is replaced: once each time, since the keys are still the same.
    await failureOf(put());
    await failureOf(put());
    file.write("B");
    await Promise.all([put(), put()]);
    await put();
    const seen = proxy.seen.map(keyOf);
    assert.deepEqual(seen.slice(0, 3), ["A", "A", "A"]);
    assert.deepEqual(seen.slice(3).filter((key) => key === "B").length, 3);
    assert.equal(seen.at(-1), "B");
  });
}

test("S3Store tells why its keys are refused where the file has no others, no good ones, or none for now", async () => {
  for (const [then, sent] of [["A", ["A"]], ["B", ["A", "B"]], ["", ["A"]]] as const) {
    using file = keysFile();
    await using opened = await proxied(await minio(), { credentials: file.credentials });
    file.write("A");
    opened.proxy.fault = () => (file.write(then), refusal(403, "InvalidAccessKeyId"));
    const { text } = await failureOf(opened.store.put(KEY, pattern(10, 1)));
    assert.match(
      text,
      /: the server does not know this access key; check access-key-id \(status 403, InvalidAccess/,
    );
    assert.deepEqual(opened.proxy.seen.map(keyOf), sent);
  }
});
