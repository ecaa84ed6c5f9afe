/** What goes to each provider that is known: where to, signed for which region, and with what it wants otherwise. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpClient, HttpRequest } from "../../../src/runtime/http.ts";
import type { S3StoreOptions } from "../../../src/storage/s3/options.ts";
import { locateReplica } from "../../../src/storage/s3/providers.ts";
import { S3Store } from "../../../src/storage/s3/s3_store.ts";
import { pattern } from "../../contract/object_store.ts";
import { fixedCredentials, TEST_KEYS } from "../../servers/s3_servers.ts";
import { failureOf, KEY, MIB, QUICK_RETRY } from "./proxied_store.ts";

/** Keeps what is sent, and answers as `answer` says, without a body. */
function recorder(answer: (request: HttpRequest) => { status: number; headers?: Record<string, string> }) {
  const seen: HttpRequest[] = [];
  const http: HttpClient = {
    send(request) {
      seen.push(request);
      const { status, headers } = answer(request);
      const whole = () => Promise.resolve(new Uint8Array(0));
      return Promise.resolve({ status, headers: new Headers(headers), body: null, whole });
    },
    [Symbol.dispose]() {},
  };
  return { seen, http };
}

function open(place: Pick<S3StoreOptions, "bucket"> & Partial<S3StoreOptions>, http: HttpClient): S3Store {
  return new S3Store({
    ...place,
    credentials: fixedCredentials(TEST_KEYS),
    http,
    partSize: 5 * MIB,
    retry: { ...QUICK_RETRY, tries: 1 },
  });
}

const ACCOUNT = "0123456789abcdef0123456789abcdef";
const PROJECT = "abcdefghijklmnopqrst";

/** What stands before the key, by the provider's own documentation; the region; what is done in another way. */
const PROVIDERS: [string, string, string, string, ("single deletes" | "MD5 alone")[]?][] = [
  ["AWS", "b", "https://b.s3.us-east-1.amazonaws.com/app/", "us-east-1"],
  [
    "AWS by a host",
    "b.s3.eu-west-1.amazonaws.com",
    "https://b.s3.eu-west-1.amazonaws.com/app/",
    "eu-west-1",
  ],
  [
    "AWS in China",
    "b.s3.cn-north-1.amazonaws.com.cn",
    "https://b.s3.cn-north-1.amazonaws.com.cn/app/",
    "cn-north-1",
  ],
  ["localhost", "b.localhost:9000", "http://localhost:9000/b/app/", "us-east-1"],
  [
    "Backblaze B2",
    "b.s3.us-west-000.backblazeb2.com",
    "https://s3.us-west-000.backblazeb2.com/b/app/",
    "us-west-000",
  ],
  ["Filebase", "b.s3.filebase.com", "https://s3.filebase.com/b/app/", "us-east-1"],
  ["DigitalOcean", "b.fra1.digitaloceanspaces.com", "https://fra1.digitaloceanspaces.com/b/app/", "fra1"],
  ["Scaleway", "b.s3.nl-ams.scw.cloud", "https://s3.nl-ams.scw.cloud/b/app/", "nl-ams"],
  [
    "Linode",
    "b.us-east-1.linodeobjects.com",
    "https://us-east-1.linodeobjects.com/b/app/",
    "us-east-1",
  ],
  [
    "Cloudflare R2",
    `b.${ACCOUNT}.r2.cloudflarestorage.com`,
    `https://${ACCOUNT}.r2.cloudflarestorage.com/b/app/`,
    "auto",
  ],
  ["Tigris", "b.t3.storage.dev", "https://b.t3.storage.dev/app/", "auto"],
  ["Tigris at Fly", "b.fly.storage.tigris.dev", "https://b.fly.storage.tigris.dev/app/", "auto"],
  [
    "Wasabi",
    "b.s3.eu-central-1.wasabisys.com",
    "https://s3.eu-central-1.wasabisys.com/b/app/",
    "eu-central-1",
  ],
  ["Hetzner", "b.fsn1.your-objectstorage.com", "https://fsn1.your-objectstorage.com/b/app/", "fsn1"],
  ["OVHcloud", "b.s3.gra.io.cloud.ovh.net", "https://s3.gra.io.cloud.ovh.net/b/app/", "gra"],
  [
    "Supabase",
    `b.${PROJECT}.supabase.co`,
    `https://${PROJECT}.supabase.co/storage/v1/s3/b/app/`,
    "us-east-1",
  ],
  [
    "Google Cloud Storage",
    "b.storage.googleapis.com",
    "https://storage.googleapis.com/b/app/",
    "auto",
    ["single deletes", "MD5 alone"],
  ],
  ["MinIO at an endpoint", "b", "https://minio.example:9000/b/app/", "us-east-1"],
];
for (const [name, host, root, region, special = []] of PROVIDERS) {
  test(`S3Store addresses ${name} as it wants to be`, async () => {
    const { seen, http } = recorder(() => ({ status: 200 }));
    const endpoint = name === "MinIO at an endpoint" ? "minio.example:9000" : undefined;
    await using store = open(locateReplica({ host, path: "app" }, { endpoint }), http);
    await store.put(KEY, pattern(10, 1));
    await store.put(KEY, pattern(6 * MIB, 1)).catch(() => {}); // There is no upload id in the answer.
    await store.delete([KEY, `${KEY}2`]).catch(() => {});
    const [put, begin] = seen;
    assert.equal(put!.url, `${root}${KEY}`);
    assert.match(put!.headers["authorization"]!, new RegExp(`Credential=[^/]*/\\d{8}/${region}/s3/`));
    const hasMd5Alone = begin!.headers["x-amz-checksum-algorithm"] === undefined;
    assert.equal(hasMd5Alone, special.includes("MD5 alone"));
    const deletes = seen.slice(2).map(({ method }) => method);
    assert.deepEqual(deletes, special.includes("single deletes") ? ["DELETE", "DELETE"] : ["POST"]);
  });
}

test("S3Store addresses a provider that is named by its endpoint in the same way", async () => {
  const cases: [string, Partial<S3StoreOptions>, string][] = [
    ["Tigris", { endpoint: "https://t3.storage.dev" }, "https://b.t3.storage.dev/"],
    [
      "Tigris, told otherwise",
      { endpoint: "t3.storage.dev", forcePathStyle: true },
      "https://t3.storage.dev/b/",
    ],
    ["Wasabi", { endpoint: "s3.wasabisys.com" }, "https://s3.wasabisys.com/b/"],
    ["AWS", { endpoint: "https://s3.eu-west-1.amazonaws.com" }, "https://s3.eu-west-1.amazonaws.com/b/"],
  ];
  for (const [name, options, root] of cases) {
    const { seen, http } = recorder(() => ({ status: 200 }));
    await using store = open({ bucket: "b", ...options }, http);
    await store.put(KEY, pattern(10, 1));
    assert.equal(seen[0]!.url, `${root}${KEY}`, name);
    const located = locateReplica({ host: "b", path: "" }, options);
    await using byUrl = open(located, http);
    await byUrl.put(KEY, pattern(10, 1));
    assert.equal(seen[1]!.url, `${root}${KEY}`, `${name} beside a url`);
  }
});

test("S3Store says that an endpoint is that of another region than the bucket's, having asked there twice", async () => {
  const headers = { "x-amz-bucket-region": "eu-central-1" };
  const { seen, http } = recorder(() => ({ status: 301, headers }));
  await using store = open({ bucket: "b", endpoint: "https://s3.us-west-2.amazonaws.com" }, http);
  assert.match(
    (await failureOf(store.put(KEY, pattern(10, 1)))).text,
    /: bucket "b" is not at https:\/\/s3\.us-west-2\.amazonaws\.com but in region "eu-central-1"; correct endpoint and/,
  );
  assert.equal(seen.length, 2);
});

test("S3Store follows a bucket of AWS to the host of its region, whether or not its URL names another one", async () => {
  for (const host of ["b", "b.s3.us-west-2.amazonaws.com"]) {
    const { seen, http } = recorder(({ url }) =>
      url.startsWith("https://b.s3.eu-central-1.amazonaws.com/")
        ? { status: 200 }
        : { status: 301, headers: { "x-amz-bucket-region": "eu-central-1" } }
    );
    await using store = open(locateReplica({ host, path: "app" }), http);
    await store.put(KEY, pattern(10, 1));
    await store.put(KEY, pattern(10, 1));
    assert.equal(seen.length, 3, "the way round is made once");
    assert.match(seen[1]!.headers["authorization"]!, /\/eu-central-1\/s3\//);
    assert.equal(seen[2]!.url, `https://b.s3.eu-central-1.amazonaws.com/app/${KEY}`);
  }
});
