import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { locateReplica, parseS3Host, quirksOf, type S3Location } from "../../../src/storage/s3/providers.ts";

const R2 = "0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com";
const SUPABASE = "abcdefghijklmnopqrst.supabase.co";

/** Host, bucket, region, endpoint; without an endpoint it is a bucket of AWS. */
const HOSTS: [string, string, string | undefined, string | undefined][] = [
  ["backup", "backup", undefined, undefined],
  ["my.dotted.bucket", "my.dotted.bucket", undefined, undefined],
  ["backup:9000", "backup", undefined, undefined],
  ["localhost", "", "us-east-1", "http://localhost"],
  ["b.localhost:9000", "b", "us-east-1", "http://localhost:9000"],
  ["x.y.localhost", "x.y", "us-east-1", "http://localhost"],
  ["notlocalhost", "notlocalhost", undefined, undefined],
  ["b.s3.us-west-000.backblazeb2.com", "b", "us-west-000", "https://s3.us-west-000.backblazeb2.com"],
  ["s3.eu-central-003.backblazeb2.com", "", "eu-central-003", "https://s3.eu-central-003.backblazeb2.com"],
  ["b.s3.filebase.com", "b", undefined, "https://s3.filebase.com"],
  ["b.fra1.digitaloceanspaces.com", "b", "fra1", "https://fra1.digitaloceanspaces.com"],
  ["fra1.digitaloceanspaces.com:8443", "", "fra1", "https://fra1.digitaloceanspaces.com:8443"],
  ["b.s3.nl-ams.scw.cloud", "b", "nl-ams", "https://s3.nl-ams.scw.cloud"],
  ["b.c.us-east-1.linodeobjects.com", "b.c", "us-east-1", "https://us-east-1.linodeobjects.com"],
  [`b.${R2}`, "b", "auto", `https://${R2}`],
  [`b.${R2.replace(".r2", ".eu.r2")}`, "b", "auto", `https://${R2.replace(".r2", ".eu.r2")}`],
  ["b.fly.storage.tigris.dev", "b", "auto", "https://fly.storage.tigris.dev"],
  ["b.t3.storage.dev", "b", "auto", "https://t3.storage.dev"],
  ["b.s3.eu-central-1.wasabisys.com", "b", "eu-central-1", "https://s3.eu-central-1.wasabisys.com"],
  ["b.s3.wasabisys.com", "b", "us-east-1", "https://s3.wasabisys.com"],
  ["b.fsn1.your-objectstorage.com", "b", "fsn1", "https://fsn1.your-objectstorage.com"],
  ["b.s3.gra.io.cloud.ovh.net", "b", "gra", "https://s3.gra.io.cloud.ovh.net"],
  [`b.${SUPABASE}`, "b", undefined, `https://${SUPABASE}/storage/v1/s3`],
  ["b.storage.googleapis.com", "b", "auto", "https://storage.googleapis.com"],
  ["b.s3.eu-west-1.amazonaws.com", "b", "eu-west-1", undefined],
  ["b.s3.cn-north-1.amazonaws.com.cn", "b", "cn-north-1", undefined],
];
for (const [host, bucket, region, endpoint] of HOSTS) {
  test(`parseS3Host() knows ${host} (case 97)`, () => {
    const wanted: S3Location = {
      bucket,
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: !/tigris|t3\./.test(host) }),
    };
    assert.deepEqual(parseS3Host(host), wanted);
  });
}

test("locateReplica() lets explicit keys win, also forcePathStyle: false", () => {
  const url = { host: "b.fra1.digitaloceanspaces.com", path: "/a//b/../c/" };
  assert.deepEqual(locateReplica(url), {
    bucket: "b",
    path: "a/c",
    region: "fra1",
    endpoint: "https://fra1.digitaloceanspaces.com",
    forcePathStyle: true,
  });
  assert.deepEqual(
    locateReplica(url, { region: "x", endpoint: "http://127.0.0.1:1", forcePathStyle: false }),
    {
      bucket: "b",
      path: "a/c",
      region: "x",
      endpoint: "http://127.0.0.1:1",
      forcePathStyle: false,
    },
  );
  assert.deepEqual(locateReplica({ host: "b", path: "." }, { endpoint: "h:1", region: "" }), {
    bucket: "b",
    path: "",
    endpoint: "h:1",
    forcePathStyle: true,
  });
});

test("parseS3Host() knows every row of the table of providers", () => {
  const table = readFileSync(new URL("../../../docs/S3.md", import.meta.url), "utf8");
  const rows = [...table.matchAll(/^\| ([A-Z][^|]*?) +\| `s3:\/\/(B\.[^`/:]+)[^|]*\| ([^|]*?) +\|/gm)];
  assert.ok(rows.length >= 12, `${rows.length} rows`);
  for (const [, name, host, region] of rows) {
    const real = host!.replace("REGION", "r-1").replace("ACCOUNT", R2.split(".")[0]!)
      .replace("PROJECT", SUPABASE.split(".")[0]!);
    const { bucket, region: found, endpoint, forcePathStyle } = parseS3Host(real);
    assert.equal(bucket, "B", name);
    assert.equal(forcePathStyle, name === "Tigris" ? false : true, name);
    assert.ok(endpoint?.includes(real.slice(2)), `${name}: ${endpoint}`);
    if (region === "in the host") assert.equal(found, "r-1", name);
    const fixed = /^`([^`]+)`$/.exec(region!)?.[1];
    // Filebase's is what every endpoint of no known region is signed for.
    if (fixed !== undefined) assert.equal(found ?? "us-east-1", fixed, name);
  }
});

test("quirksOf() knows providers by their endpoints, with or without a scheme", () => {
  assert.deepEqual(quirksOf(`https://${R2}`), { hasEqualParts: true, region: "auto" });
  assert.deepEqual(quirksOf(R2), { hasEqualParts: true, region: "auto" });
  assert.deepEqual(quirksOf("storage.googleapis.com"), {
    hasBatchDelete: false,
    checksum: "md5",
    region: "auto",
  });
  assert.deepEqual(quirksOf("https://s3.nl-ams.scw.cloud"), { region: "nl-ams" });
  assert.deepEqual(quirksOf("https://t3.storage.dev"), { hasBucketInHost: true, region: "auto" });
  assert.deepEqual(quirksOf("https://mine.t3.storage.dev"), { region: "auto" }, "with the bucket already");
  assert.deepEqual(quirksOf("http://127.0.0.1:9000"), {});
  assert.deepEqual(quirksOf(undefined), {});
  assert.deepEqual(quirksOf("::"), {});
});
