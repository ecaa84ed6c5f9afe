import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../src/bytes.ts";
import { type Crc64, crc64, Crc64Joiner, EMPTY_CRC64, formatCrc64 } from "../src/crc64.ts";

/** Bit by bit with 64-bit integers: slow and plain. */
function oracle(bytes: Uint8Array): string {
  let crc = ~0n & 0xffffffffffffffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ ((crc & 1n) * 0xd800000000000000n);
  }
  return (~crc & 0xffffffffffffffffn).toString(16).padStart(16, "0");
}

function someBytes(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => (state = Math.imul(state, 1664525) + 1013904223 | 0) >>> 24);
}

test("crc64() gives the vector of appendix C", () => {
  assert.equal(formatCrc64(crc64(new TextEncoder().encode("123456789"))), "b90956c775a41001");
  assert.equal(formatCrc64(crc64(new Uint8Array(0))), "0000000000000000");
});

test("crc64() agrees with the bit-by-bit definition at every length up to 40 and at any split", () => {
  for (let length = 0; length <= 40; length++) {
    const bytes = someBytes(length, length + 1);
    assert.equal(formatCrc64(crc64(bytes)), oracle(bytes), `length ${length}`);
    for (let split = 0; split <= length; split++) {
      const first = crc64(bytes.subarray(0, split));
      assert.deepEqual(crc64(bytes.subarray(split), first), crc64(bytes), `length ${length}, split ${split}`);
    }
  }
});

test("Crc64Joiner joins pages to the checksum of the file", () => {
  for (const pageSize of [1, 512, 4096, 65536]) {
    const joiner = new Crc64Joiner(pageSize);
    const pages = Array.from({ length: 5 }, (_, nth) => someBytes(pageSize, 77 * nth + pageSize));
    let joined: Crc64 = EMPTY_CRC64;
    for (const page of pages) joined = joiner.join(joined, crc64(page));
    assert.deepEqual(joined, crc64(concatBytes(pages)), `page size ${pageSize}`);
  }
});
