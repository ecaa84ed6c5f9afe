import assert from "node:assert/strict";
import { test } from "node:test";
import { AwsV4Signer } from "aws4fetch";
import { RequestSigner, type UnsignedRequest } from "../../../src/storage/s3/signing.ts";

const CREDENTIALS = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
};
const KEY = "generations/0123456789abcdef/wal/00000001_00001018.wal.lz4";

const REQUESTS: readonly UnsignedRequest[] = [
  { method: "GET", url: `http://127.0.0.1:9000/bucket/a-b_c.d~e/${KEY}`, headers: { range: "bytes=0-477" } },
  { method: "GET", url: `https://bucket.s3.eu-west-1.amazonaws.com/${KEY}`, headers: {} },
  {
    method: "GET",
    url: `https://host/bucket/${KEY}`,
    headers: { "if-match": '"0a1b-2"', range: "bytes=5-9" },
  },
  {
    method: "PUT",
    url: `https://host/bucket/${KEY}`,
    headers: {
      "content-type": "application/octet-stream",
      "content-md5": "AAAA==",
      "x-amz-storage-class": "X",
    },
  },
  { method: "PUT", url: "https://host/b/k", headers: { "x-amz-content-sha256": "ab".repeat(32) } },
  // What has to be encoded or made normal.
  { method: "GET", url: `https://host/b/a%20b/${encodeURIComponent("!'()*+é")}/k`, headers: {} },
  { method: "GET", url: "https://host/b/./k/../l", headers: {} },
  { method: "GET", url: "https://HOST:443/b/k", headers: {} },
  { method: "GET", url: "https://host/b?list-type=2&prefix=a%2Fb&a=1", headers: {} },
  { method: "GET", url: "https://host", headers: {} },
  {
    method: "PUT",
    url: "https://host/b/k",
    headers: { "x-amz-meta-a": "two  spaces ", "X-Amz-Meta-B": "b" },
  },
];

test("RequestSigner signs as aws4fetch does, what is plain and what is not", async () => {
  const signer = new RequestSigner({ service: "s3" });
  for (const credentials of [CREDENTIALS, { ...CREDENTIALS, sessionToken: "to/ken+==" }]) {
    for (const request of REQUESTS) {
      const signed = await signer.sign(request, { credentials, region: "eu-west-1" });
      const datetime = signed["x-amz-date"]!;
      const oracle = new AwsV4Signer({
        ...request,
        ...credentials,
        service: "s3",
        region: "eu-west-1",
        datetime,
      });
      assert.deepEqual(
        Object.entries(signed).sort(),
        Object.entries(Object.fromEntries((await oracle.sign()).headers)).sort(),
        `${request.method} ${request.url}`,
      );
    }
  }
});
