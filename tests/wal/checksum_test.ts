import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, fromHex } from "../../src/bytes.ts";
import { RunningChecksum, walChecksum, wordsOf } from "../../src/wal/checksum.ts";

// Appendix C of the format's description: 24 header bytes, then the first 8 bytes of a frame header and a page.
const HEADER = fromHex("377f0682 002de218 00001000 00000000 52382eac 857b1a4e");
const FRAME = concatBytes([
  fromHex("00000002 00000002"),
  fromHex("0d000000080fe0000ffc0ff80ff40ff00fec0fe80fe40fe0"),
  new Uint8Array(4064 - 24),
  fromHex("0208020902070209020602090205020902040209020302090202020902010209"),
]);
const AFTER_HEADER = [0x81153b65, 0x87178e8f] as const;
const AFTER_FRAME = [0xdc2f3e84, 0x540488d3] as const;

/** Each word's bytes turned round. */
function swapped(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const turned = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at++) turned[at] = bytes[at ^ 3]!;
  return turned;
}

test("walChecksum() gives the published sums of a header and a frame (case 11)", () => {
  const header = walChecksum(HEADER, { bigEndian: false });
  assert.deepEqual(header, AFTER_HEADER);
  assert.deepEqual(walChecksum(FRAME, { bigEndian: false, seed: header }), AFTER_FRAME);
});

test("walChecksum() over big-endian words is that of the bytes turned round", () => {
  const header = walChecksum(swapped(HEADER), { bigEndian: true });
  assert.deepEqual(header, AFTER_HEADER);
  assert.deepEqual(walChecksum(swapped(FRAME), { bigEndian: true, seed: header }), AFTER_FRAME);
  assert.notDeepEqual(walChecksum(HEADER, { bigEndian: true }), AFTER_HEADER);
});

test("RunningChecksum gives the same in steps of every length (case 11)", () => {
  for (const bigEndian of [false, true]) {
    const whole = walChecksum(FRAME, { bigEndian, seed: AFTER_HEADER });
    for (const step of [2, 4, 6, 64, 1024]) {
      const running = new RunningChecksum(bigEndian, AFTER_HEADER);
      const words = wordsOf(FRAME);
      for (let at = 0; at < words.length; at += step) {
        running.update(words, at, Math.min(at + step, words.length));
      }
      assert.deepEqual(running.value, whole, `step ${step}`);
      assert.ok(running.equals(whole[0], whole[1]));
      assert.ok(!running.equals(whole[0], whole[1] ^ 1));
    }
  }
});

test("RunningChecksum.reset() starts again from the given sums", () => {
  const running = new RunningChecksum(false);
  running.update(wordsOf(FRAME), 0, 10);
  running.reset(AFTER_HEADER);
  running.update(wordsOf(FRAME), 0, FRAME.length / 4);
  assert.deepEqual(running.value, AFTER_FRAME);
});

test("walChecksum() takes bytes at any address", () => {
  for (const shift of [0, 1, 2, 3, 4, 5, 7]) {
    const memory = new Uint8Array(HEADER.length + 8);
    memory.set(HEADER, shift);
    const bytes = memory.subarray(shift, shift + HEADER.length);
    assert.deepEqual(walChecksum(bytes, { bigEndian: false }), AFTER_HEADER, `shift ${shift}`);
  }
});

test("walChecksum() refuses a length that is no multiple of 8", () => {
  assert.throws(() => walChecksum(new Uint8Array(12), { bigEndian: false }), /checksum over 12 bytes/);
  assert.deepEqual(walChecksum(new Uint8Array(0), { bigEndian: false, seed: [7, 8] }), [7, 8]);
});
