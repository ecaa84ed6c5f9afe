import assert from "node:assert/strict";
import { test } from "node:test";
import * as oracle from "lz4-wasm-nodejs";
import { randomFrom } from "../../bench/random.ts";
import { concatBytes, equalBytes, toHex, viewOf } from "../../src/bytes.ts";
import { compressBlock, decompressBlock, XxHash32, xxHash32 } from "../../src/codec/lz4_kernel.ts";
import { compileKernel, formatKernelModule, readKernelModule } from "../../tools/build_kernel.ts";
import { CONTENTS, KIB, MIB, noise, SIZES, text, word } from "./samples.ts";

const ascii = (from: string) => new TextEncoder().encode(from);

test("LZ4_WASM_BASE64 is what the compiler makes of kernel/lz4.ts, byte for byte", async () => {
  assert.equal(await readKernelModule(), formatKernelModule(await compileKernel()));
});

test("xxHash32() gives the published values", () => {
  assert.equal(xxHash32(new Uint8Array(0)), 0x02cc5d05);
  assert.equal(xxHash32(ascii("a")), 0x550d7456);
  assert.equal(xxHash32(ascii("abc")), 0x32d153ff);
  assert.equal(xxHash32(ascii("Nobody inspects the spammish repetition")), 0xe2293b2f);
});

test("XxHash32 gives the same for any cut of the input", () => {
  const seed = 11;
  const random = randomFrom(seed);
  const bytes = noise(5000, seed);
  const whole = xxHash32(bytes);
  for (let round = 0; round < 200; round++) {
    const hash = new XxHash32();
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + Math.floor(random() * 40) * (random() < 0.2 ? 40 : 1));
      hash.update(bytes.subarray(at, end));
      hash.digest();
      at = end;
    }
    assert.equal(hash.digest(), whole, `seed ${seed}, round ${round}`);
  }
});

test("XxHash32 takes more than a block at once", () => {
  const bytes = text(9 * MIB + 5, 3);
  const hash = new XxHash32();
  for (let at = 0; at < bytes.length; at += MIB) hash.update(bytes.subarray(at, at + MIB));
  assert.equal(xxHash32(bytes), hash.digest());
});

test("compressBlock() and decompressBlock() give back every content at every size", () => {
  for (const [name, make] of Object.entries(CONTENTS)) {
    for (const size of SIZES.filter((size) => size <= 4 * MIB)) {
      const raw = make(size, size + 1);
      const block = compressBlock(raw)?.slice();
      if (block === undefined) {
        assert.ok(name !== "zeros" || size < 20, `${size} zeros shrink`);
        continue;
      }
      assert.ok(block.length < raw.length, `${name} ${size} shrinks`);
      assert.ok(equalBytes(decompressBlock(block), raw), `${name} ${size} comes back`);
    }
  }
});

test("compressBlock() keeps noise as it is and never writes past what it was given", () => {
  for (const size of [13, 100, 4096, 4 * MIB]) assert.equal(compressBlock(noise(size, size)), undefined);
});

test("compressBlock() depends on nothing but its input", () => {
  const raw = text(300 * KIB, 5);
  const first = compressBlock(raw)?.slice();
  compressBlock(noise(4 * MIB, 6));
  compressBlock(text(4 * MIB, 7));
  const second = compressBlock(raw)?.slice();
  assert.ok(first !== undefined && second !== undefined && equalBytes(first, second));
});

test("compressBlock() writes blocks that lz4-wasm-nodejs decodes", () => {
  for (const [name, make] of Object.entries(CONTENTS)) {
    for (const size of [20, 300, 4096, 64 * KIB + 1, MIB + 7]) {
      const raw = make(size, size);
      const block = compressBlock(raw)?.slice();
      if (block === undefined) continue;
      const decoded = oracle.decompress(concatBytes([word(raw.length), block]));
      assert.ok(equalBytes(decoded, raw), `${name} ${size}`);
    }
  }
});

test("decompressBlock() reads blocks that lz4-wasm-nodejs wrote", () => {
  for (const [name, make] of Object.entries(CONTENTS)) {
    for (const size of [1, 20, 300, 4096, 64 * KIB + 1, MIB + 7]) {
      const raw = make(size, size);
      const written = oracle.compress(raw);
      assert.equal(viewOf(written).getUint32(0, true), size);
      assert.ok(equalBytes(decompressBlock(written.subarray(4)), raw), `${name} ${size}`);
    }
  }
});

/** A block of `start` literals, then a match, then five literals. */
function matchBlock(start: number, distance: number, length: number): Uint8Array {
  const bytes = [start << 4 | Math.min(15, length - 4)];
  for (let at = 0; at < start; at++) bytes.push(65 + at);
  bytes.push(distance & 255, distance >> 8);
  if (length - 4 >= 15) {
    let rest = length - 4 - 15;
    for (; rest >= 255; rest -= 255) bytes.push(255);
    bytes.push(rest);
  }
  bytes.push(0x50, 1, 2, 3, 4, 5);
  return Uint8Array.from(bytes);
}

test("decompressBlock() repeats patterns of every distance and length", () => {
  for (let distance = 1; distance <= 14; distance++) {
    for (const length of [4, 5, 7, 8, 15, 16, 17, 18, 19, 33, 100, 273, 274, 1000]) {
      const expected: number[] = [];
      for (let at = 0; at < 14; at++) expected.push(65 + at);
      for (let at = 0; at < length; at++) expected.push(expected[expected.length - distance] ?? 0);
      expected.push(1, 2, 3, 4, 5);
      const decoded = decompressBlock(matchBlock(14, distance, length));
      assert.equal(
        toHex(decoded),
        toHex(Uint8Array.from(expected)),
        `distance ${distance}, length ${length}`,
      );
    }
  }
});

/** A block of short sequences, some that repeat what they write themselves, and what a plain decoder makes of it. */
function shortSequences(random: () => number, historySize: number): { block: number[]; raw: number[] } {
  const below = (limit: number) => Math.floor(random() * limit);
  const block: number[] = [];
  const raw: number[] = [];
  const history = (at: number) => at < 0 ? historyByte(historySize + at) : raw[at]!;
  for (let left = below(12); left >= 0; left--) {
    const literals = Array.from({ length: below(left === 0 ? 8 : 15) }, () => below(256));
    raw.push(...literals);
    const reach = raw.length + historySize;
    const isLast = left === 0 || reach === 0;
    const length = below(15);
    block.push(literals.length << 4 | (isLast ? 0 : length), ...literals);
    if (isLast) break;
    const distance = 1 + below(Math.min(reach, 40));
    block.push(distance & 255, distance >> 8);
    for (let count = length + 4; count > 0; count--) raw.push(history(raw.length - distance));
  }
  return { block, raw };
}

const historyByte = (at: number) => at * 7 & 255;

test("decompressBlock() reads short sequences up to the edges of block, limit and history", () => {
  const seed = 5;
  const random = randomFrom(seed);
  for (let round = 0; round < 20_000; round++) {
    const history = Uint8Array.from({ length: round % 3 * 9 }, (_, at) => historyByte(at));
    const { block, raw } = shortSequences(random, history.length);
    const what = `seed ${seed}, round ${round}`;
    const stored = Uint8Array.from(block);
    const decoded = decompressBlock(stored, { history, limit: raw.length });
    const expected = Uint8Array.from(raw);
    assert.ok(equalBytes(decoded, expected), what);
    if (raw.length === 0) continue;
    assert.throws(() => decompressBlock(stored, { history, limit: raw.length - 1 }), /not a legal/, what);
    const cut = stored.subarray(0, 1 + Math.floor(random() * (stored.length - 1)));
    const start = outcomeOf(() => decompressBlock(cut, { history, limit: raw.length }).slice());
    assert.ok(start === undefined || equalBytes(start, expected.subarray(0, start.length)), `${what}, cut`);
  }
});

/** Absent when it throws. */
function outcomeOf<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}

test("decompressBlock() refuses what is not a block", () => {
  const cases: [string, number[]][] = [
    ["nothing", []],
    ["literals that are missing", [0x50, 1, 2]],
    ["a length that goes on", [0xf0, 255, 255]],
    ["a match at the end", [0x10, 65, 1, 0]],
    ["half a distance", [0x10, 65, 1]],
    ["distance 0", [0x10, 65, 0, 0, 0x50, 1, 2, 3, 4, 5]],
    ["a distance before the start", [0x10, 65, 2, 0, 0x50, 1, 2, 3, 4, 5]],
    ["a match length where no match follows", [0x51, 1, 2, 3, 4, 5]],
    ["a match length that goes on", [0x1f, 65, 1, 0, 255]],
  ];
  for (const [name, bytes] of cases) {
    assert.throws(() => decompressBlock(Uint8Array.from(bytes)), /not a legal LZ4 block/, name);
  }
});

test("decompressBlock() stops at its limit", () => {
  const block = matchBlock(14, 1, 1000);
  assert.equal(decompressBlock(block, { limit: 1019 }).length, 1019);
  assert.throws(() => decompressBlock(block, { limit: 1018 }), /not a legal LZ4 block/);
  assert.throws(() => decompressBlock(block, { limit: 14 }), /not a legal LZ4 block/);
  assert.throws(() => decompressBlock(block, { limit: 0 }), /not a legal LZ4 block/);
});

test("decompressBlock() reaches into its history and not before it", () => {
  const history = ascii("0123456789");
  const block = matchBlock(1, 11, 4);
  assert.equal(new TextDecoder().decode(decompressBlock(block, { history }).subarray(0, 5)), "A0123");
  assert.throws(() => decompressBlock(block, { history: history.subarray(1) }), /not a legal LZ4 block/);
  // The same where more follows than a short sequence can take.
  const far = concatBytes([matchBlock(1, 21, 4).subarray(0, 4), Uint8Array.of(0xf0, 85), noise(100, 1)]);
  const long = concatBytes([history, history]);
  assert.equal(new TextDecoder().decode(decompressBlock(far, { history: long }).subarray(0, 5)), "A0123");
  assert.throws(() => decompressBlock(far, { history: long.subarray(1) }), /not a legal LZ4 block/);
});
