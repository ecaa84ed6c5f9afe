import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { toHex } from "../../src/bytes.ts";
import { continueCrc32, crc32, hmacSha256, md5, sha256, toBase64 } from "../../src/runtime/digests.ts";

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

test("continueCrc32() gives in parts what crc32() gives at once", () => {
  const sum = [CHECK.subarray(0, 4), CHECK.subarray(4, 4), CHECK.subarray(4)].reduce(continueCrc32, 0);
  assert.equal(sum, 0xcbf43926);
});

/** Keys and texts of RFC 4231, cases 1, 2, 6 and 7: shorter than a block, and longer. */
const HMACS: [Uint8Array, string, string][] = [
  [
    new Uint8Array(20).fill(0x0b),
    "Hi There",
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
  ],
  [
    new TextEncoder().encode("Jefe"),
    "what do ya want for nothing?",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  [
    new Uint8Array(131).fill(0xaa),
    "Test Using Larger Than Block-Size Key - Hash Key First",
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  ],
  [
    new Uint8Array(131).fill(0xaa),
    "This is a test using a larger than block-size key and a larger than block-size data. " +
    "The key needs to be hashed before being used by the HMAC algorithm.",
    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
  ],
];
test("hmacSha256() gives the values of RFC 4231, and for keys around a block those of the runtime", () => {
  for (const [key, text, wanted] of HMACS) {
    assert.equal(toHex(hmacSha256(key, text)), wanted);
  }
  for (const size of [0, 1, 63, 64, 65]) {
    const key = new Uint8Array(size).map((_, at) => at);
    assert.equal(
      toHex(hmacSha256(key, "text")),
      createHmac("sha256", key).update("text").digest("hex"),
      `${size}`,
    );
  }
});

test("toBase64() pads", () => {
  assert.deepEqual([0, 1, 2, 3].map((size) => toBase64(CHECK.subarray(0, size))), [
    "",
    "MQ==",
    "MTI=",
    "MTIz",
  ]);
});
