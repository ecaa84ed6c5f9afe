import assert from "node:assert/strict";
import { test } from "node:test";
import { viewOf } from "../../src/bytes.ts";
import { ChecksumMismatchError } from "../../src/errors.ts";
import { walChecksum } from "../../src/wal/checksum.ts";
import { encodeWalHeader, isPageSize, parseWalHeader } from "../../src/wal/header.ts";
import { MADE_SALTS } from "./made_wal.ts";

const PLAIN = { bigEndian: false, pageSize: 4096, checkpointSequence: 3, salts: MADE_SALTS };

/** A header with one field overwritten and its checksum made right again. */
function withField(at: number, value: number): Uint8Array<ArrayBuffer> {
  const bytes = encodeWalHeader(PLAIN);
  const view = viewOf(bytes);
  view.setUint32(at, value);
  const [first, second] = walChecksum(bytes.subarray(0, 24), { bigEndian: false });
  view.setUint32(24, first);
  view.setUint32(28, second);
  return bytes;
}

test("encodeWalHeader() and parseWalHeader() are inverse in both byte orders and every page size", () => {
  for (const bigEndian of [false, true]) {
    for (let pageSize = 512; pageSize <= 65536; pageSize *= 2) {
      const bytes = encodeWalHeader({ ...PLAIN, bigEndian, pageSize });
      assert.equal(viewOf(bytes).getUint32(0), bigEndian ? 0x377f0683 : 0x377f0682);
      const { checksum, ...header } = parseWalHeader(bytes);
      assert.deepEqual(header, { ...PLAIN, bigEndian, pageSize });
      assert.deepEqual(checksum, walChecksum(bytes.subarray(0, 24), { bigEndian }));
    }
  }
});

test("parseWalHeader() refuses every flipped bit", () => {
  const bytes = encodeWalHeader(PLAIN);
  for (let bit = 0; bit < 256; bit++) {
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
    assert.throws(() => parseWalHeader(bytes), Error, `bit ${bit}`);
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
  }
  parseWalHeader(bytes);
});

test("parseWalHeader() says what is wrong (case 12)", () => {
  assert.throws(() => parseWalHeader(new Uint8Array(31)), /wal header has 31 bytes, not 32/);
  assert.throws(() => parseWalHeader(withField(0, 0x377f0684)), /invalid wal header magic: 377f0684/);
  assert.throws(() => parseWalHeader(withField(4, 3007001)), /unknown wal format version: 3007001/);
  for (const size of [0, 1, 256, 511, 513, 4095, 131072]) {
    assert.throws(() => parseWalHeader(withField(8, size)), new RegExp(`invalid wal page size: ${size}`));
  }
  const broken = encodeWalHeader(PLAIN);
  broken[25]! ^= 1;
  assert.throws(() => parseWalHeader(broken), ChecksumMismatchError);
});

test("isPageSize() knows SQLite's page sizes", () => {
  const sizes = Array.from({ length: 70000 }, (_, size) => size).filter(isPageSize);
  assert.deepEqual(sizes, [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]);
});
