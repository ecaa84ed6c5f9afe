import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../src/bytes.ts";
import { crc32, md5, sha256, toBase64 } from "../../src/runtime/digests.ts";

const CHECK = new TextEncoder().encode("123456789");

/** The check values of each algorithm's own specification. */
const VECTORS = [
  ["md5", md5, "d41d8cd98f00b204e9800998ecf8427e", "25f9e794323b453885f5181f1b624d0b"],
  ["crc32", crc32, "00000000", "cbf43926"],
  [
    "sha256",
    sha256,
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
  ],
] as const;
for (const [name, digest, ofNothing, ofCheck] of VECTORS) {
  test(`${name}() gives its check values, also of a part of a buffer`, () => {
    assert.equal(toHex(digest(new Uint8Array(0))), ofNothing);
    assert.equal(toHex(digest(CHECK)), ofCheck);
    assert.equal(toHex(digest(new Uint8Array([0, ...CHECK, 0]).subarray(1, 10))), ofCheck);
  });
}

test("toBase64() pads", () => {
  assert.deepEqual([0, 1, 2, 3].map((size) => toBase64(CHECK.subarray(0, size))), [
    "",
    "MQ==",
    "MTI=",
    "MTIz",
  ]);
});
