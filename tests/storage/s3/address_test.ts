import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../../src/errors.ts";
import { bucketAddress, type BucketAddressOptions } from "../../../src/storage/s3/address.ts";
import { cleanPrefix } from "../../../src/storage/s3/place.ts";

const URLS: [string, BucketAddressOptions, string][] = [
  ["AWS by host", { bucket: "b" }, "https://b.s3.eu-west-1.amazonaws.com/k"],
  ["AWS with a dot by path", { bucket: "b.c" }, "https://s3.eu-west-1.amazonaws.com/b.c/k"],
  ["AWS with capitals by path", { bucket: "Backup" }, "https://s3.eu-west-1.amazonaws.com/Backup/k"],
  [
    "AWS by path when forced",
    { bucket: "b", forcePathStyle: true },
    "https://s3.eu-west-1.amazonaws.com/b/k",
  ],
  ["an endpoint by path", { bucket: "b", endpoint: "http://h:9000" }, "http://h:9000/b/k"],
  ["an endpoint without scheme by https", { bucket: "b", endpoint: "h.example" }, "https://h.example/b/k"],
  ["an endpoint with a port without scheme", { bucket: "b", endpoint: "h:9000" }, "https://h:9000/b/k"],
  [
    "an endpoint with a path",
    { bucket: "b", endpoint: "https://h/storage/v1/s3/" },
    "https://h/storage/v1/s3/b/k",
  ],
  [
    "an endpoint by host when told",
    { bucket: "b", endpoint: "https://h", forcePathStyle: false },
    "https://b.h/k",
  ],
  [
    "a dotted bucket over http by host when told",
    { bucket: "b.c", endpoint: "http://h", forcePathStyle: false },
    "http://b.c.h/k",
  ],
];
for (const [name, options, url] of URLS) {
  test(`bucketAddress() addresses ${name}`, () => {
    assert.equal(bucketAddress(options).url({ region: "eu-west-1", key: "k" }), url);
  });
}

test("bucketAddress() knows China's partition", () => {
  assert.equal(bucketAddress({ bucket: "b" }).server("cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn");
});

test("bucketAddress() encodes keys and queries part by part", () => {
  const address = bucketAddress({ bucket: "b", endpoint: "http://h" });
  assert.equal(
    address.url({ region: "r", key: "a b/ü+%&?#/c", query: { prefix: "x/y z+", uploads: "" } }),
    "http://h/b/a%20b/%C3%BC%2B%25%26%3F%23/c?prefix=x%2Fy%20z%2B&uploads=",
  );
  assert.equal(address.url({ region: "r", query: { delete: "" } }), "http://h/b?delete=");
  assert.equal(bucketAddress({ bucket: "b" }).url({ region: "r" }), "https://b.s3.r.amazonaws.com/");
});

test("bucketAddress() refuses what is no bucket or endpoint, without showing keys", () => {
  assert.throws(() => bucketAddress({ bucket: "" }), {
    name: "UsageError",
    message: "bucket required for s3 replica",
  });
  for (const bucket of ["a/b", "a?b", "a b"]) assert.throws(() => bucketAddress({ bucket }), UsageError);
  for (const endpoint of ["ftp://h", "http://", "https://h?x=1"]) {
    assert.throws(() => bucketAddress({ bucket: "b", endpoint }), UsageError);
  }
  for (const keys of ["key:hunter2", "key:hunter2/hunter2", "key:/hunter2", "key:1/hunter2@hunter2"]) {
    assert.throws(() => bucketAddress({ bucket: "b", endpoint: `https://${keys}@h` }), {
      name: "UsageError",
      message: "endpoint must not contain keys: https://h; use access-key-id and secret-access-key",
    });
  }
});

test("cleanPrefix() strips slashes and dots", () => {
  const cases = [["", ""], [".", ""], ["/", ""], ["/a/b/", "a/b"], ["a//b", "a/b"], ["a/../b/./c", "b/c"], [
    "../a",
    "a",
  ]];
  for (const [path, wanted] of cases) assert.equal(cleanPrefix(path!), wanted, path);
});
