import assert from "node:assert/strict";
import { test } from "node:test";
import { randomFrom } from "../../bench/random.ts";
import { concatBytes, equalBytes, fromHex, readAll, streamOf, toHex } from "../../src/bytes.ts";
import { acquireKernel } from "../../src/codec/lz4_kernel.ts";
import { decodeObject, decodeObjectBytes, encodeObject, encodeObjectBytes } from "../../src/codec/object.ts";
import { ChecksumMismatchError } from "../../src/errors.ts";
import { CONTENTS, frame, KIB, lz4, MIB, noise, pages, pieces, SEGMENT_NOTE } from "./samples.ts";
import { skippable, SNAPSHOT_NOTE, text, word } from "./samples.ts";

const LIMIT = { limit: 64 * MIB };

async function decodeStream(stored: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return await readAll((await decodeObject(stored)).raw, LIMIT);
}

/** Flags of the `lz4` program that change the frame. */
const FRAME_FLAGS: readonly (readonly string[])[] = [
  ...["-B4", "-B5", "-B6", "-B7"].flatMap((size) => [[size, "-BI"], [size, "-BD"], [size, "-BD", "-BX"]]),
  ["-B4", "-BI", "-BX", "--content-size"],
  ["-B7", "-BD", "--content-size"],
  ["-B5", "--no-frame-crc"],
  ["-B6", "-BX", "--no-frame-crc", "--content-size"],
  ["-B7", "-9"],
  ["-B4", "-BD", "-9"],
];

test("decodeObject() reads what the lz4 program writes with every flag", async () => {
  const kernels = [acquireKernel(), acquireKernel()];
  for (const [name, make] of Object.entries(CONTENTS)) {
    for (const size of [0, 1, 100, 64 * KIB, 200 * KIB + 1, 5 * MIB + 3]) {
      const raw = make(size, size + 9);
      for (const flags of FRAME_FLAGS) {
        if (size > MIB && name !== "pages") continue;
        const stored = lz4([...flags, "-c"], raw);
        const what = `${name} ${size} ${flags.join(" ")}`;
        assert.ok(equalBytes(decodeObjectBytes(stored).raw, raw), what);
        assert.ok(equalBytes(await decodeStream(pieces(stored, 50_021)), raw), `${what} stream`);
        const own = await decodeObject(pieces(stored, 500_009), { kernels });
        assert.ok(equalBytes(await readAll(own.raw, LIMIT), raw), `${what} in kernels of its own`);
      }
    }
  }
});

test("encodeObject() writes what the lz4 program reads", async () => {
  for (const [name, make] of Object.entries(CONTENTS)) {
    for (const size of [0, 1, 12, 13, 100, 64 * KIB + 1, 4 * MIB, 9 * MIB + 1]) {
      const raw = make(size, size + 2);
      const stored = await readAll(encodeObject(pieces(raw, MIB), { note: SNAPSHOT_NOTE }), LIMIT);
      assert.ok(equalBytes(lz4(["-d", "-c"], stored), raw), `${name} ${size}`);
    }
  }
});

test("decodeObject() streams take turns without touching each other", async () => {
  const raws = [
    pages(3 * MIB + 1, 1),
    text(2 * MIB + 2, 2),
    noise(2 * MIB, 3),
    text(9 * MIB, 4),
    pages(70_000, 5),
  ];
  const flags = [["-B4", "-BD"], ["-B4", "-BD", "-BX"], ["-B5", "-BD"], ["-B7", "-BI"], ["-B4", "-BD", "-9"]];
  const readers = await Promise.all(raws.map(async (raw, nth) => {
    const stored = lz4([...flags[nth] ?? [], "-c"], raw);
    const decoded = await decodeObject(pieces(stored, 10_007 + nth));
    return { reader: decoded.raw.getReader(), parts: [] as Uint8Array[], isDone: false };
  }));
  // Two encoders share the kernel meanwhile.
  const encoders = raws.slice(0, 2).map((raw) => ({
    reader: encodeObject(pieces(raw, 300_000)).getReader(),
    parts: [] as Uint8Array[],
    isDone: false,
  }));
  const all = [...readers, ...encoders];
  while (all.some(({ isDone }) => !isDone)) {
    await Promise.all(all.map(async (state) => {
      if (state.isDone) return;
      const { done, value } = await state.reader.read();
      if (done) state.isDone = true;
      else state.parts.push(value.slice());
    }));
  }
  readers.forEach(({ parts }, nth) => {
    assert.ok(equalBytes(concatBytes(parts), raws[nth] ?? new Uint8Array(0)), `decoder ${nth}`);
  });
  encoders.forEach(({ parts }, nth) => {
    const expected = encodeObjectBytes(raws[nth] ?? new Uint8Array(0));
    assert.ok(equalBytes(concatBytes(parts), expected), `encoder ${nth}`);
  });
});

test("decodeObject() reads every legal header made by hand (case 67)", async () => {
  const raw = text(150 * KIB, 1);
  const blocks = [
    raw.subarray(0, 64 * KIB),
    raw.subarray(64 * KIB, 65 * KIB),
    raw.subarray(65 * KIB, 129 * KIB),
  ];
  blocks.push(raw.subarray(129 * KIB));
  for (const linked of [false, true]) {
    for (const blockChecksums of [false, true]) {
      for (const contentChecksum of [false, true]) {
        for (const sizeCode of [4, 5, 6, 7]) {
          for (const contentSize of [undefined, BigInt(raw.length)]) {
            const options = { linked, blockChecksums, contentChecksum, sizeCode };
            const stored = frame(blocks, contentSize === undefined ? options : { ...options, contentSize });
            const what = JSON.stringify(options);
            assert.ok(equalBytes(decodeObjectBytes(stored).raw, raw), what);
            assert.ok(equalBytes(await decodeStream(pieces(stored, 999)), raw), what);
          }
        }
      }
    }
  }
});

test("decodeObject() lets a linked block reach into blocks that were stored", () => {
  // A match of 4 at distance 8 in the second block, then five literals.
  const stored = concatBytes([
    fromHex("04224d18 40 40 c0"),
    word(0x80000008),
    new TextEncoder().encode("abcdefgh"),
    word(9),
    Uint8Array.of(0x00, 8, 0, 0x50, 1, 2, 3, 4, 5),
    word(0),
  ]);
  assert.equal(
    toHex(decodeObjectBytes(stored).raw),
    toHex(new TextEncoder().encode("abcdefghabcd")) + "0102030405",
  );
  const independent = concatBytes([fromHex("04224d18 60 40 82"), stored.subarray(7)]);
  assert.throws(() => decodeObjectBytes(independent), /cannot decode LZ4 block 1/);
});

test("decodeObject() passes over any number of skippable frames", async () => {
  const raw = text(5000, 1);
  const object = encodeObjectBytes(raw, { note: SEGMENT_NOTE });
  const before = [
    skippable(new Uint8Array(0), 0x184d2a50),
    skippable(noise(100_000, 1), 0x184d2a5f),
    skippable(new Uint8Array(0), 0x184d2a5b),
    skippable(noise(60, 1), 0x184d2a5b),
    skippable(noise(5000, 1), 0x184d2a5b),
  ];
  const stored = concatBytes([...before, object]);
  for (const pieceSize of [1, 7, 5000, 1_000_000]) {
    const decoded = await decodeObject(pieces(stored, pieceSize));
    assert.deepEqual(decoded.note, SEGMENT_NOTE);
    assert.ok(equalBytes(await readAll(decoded.raw, LIMIT), raw));
  }
  assert.deepEqual(decodeObjectBytes(stored).note, SEGMENT_NOTE);
});

test("decodeObject() passes over 4 GiB of skippable frame without holding it", async () => {
  const chunk = new Uint8Array(16 * MIB);
  const raw = text(1000, 1);
  let left = 0xffffffff;
  let step = 0;
  const stored = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (step === 0) controller.enqueue(concatBytes([word(0x184d2a5b), word(left)]));
      else if (left > 0) {
        const size = Math.min(left, chunk.length);
        left -= size;
        controller.enqueue(chunk.subarray(0, size));
      } else if (step > 0) {
        controller.enqueue(encodeObjectBytes(raw));
        controller.close();
      }
      step++;
    },
  }, { highWaterMark: 0 });
  assert.ok(equalBytes(await decodeStream(stored), raw));
});

test("decodeObject() takes the first note of several", () => {
  const stored = concatBytes([
    encodeObjectBytes(new Uint8Array(0), { note: SEGMENT_NOTE }).subarray(0, 48),
    encodeObjectBytes(text(100, 1), { note: SNAPSHOT_NOTE }),
  ]);
  assert.deepEqual(decodeObjectBytes(stored).note, SEGMENT_NOTE);
});

/** What must be refused, with the words that say why. */
function refusals(): [string, Uint8Array, RegExp][] {
  const raw = text(1000, 1);
  const good = encodeObjectBytes(raw);
  const changed = (at: number, value: number) => {
    const copy = good.slice();
    copy.set([value], at < 0 ? copy.length + at : at);
    return copy;
  };
  const large = noise(64 * KIB + 1, 1);
  return [
    ["nothing", new Uint8Array(0), /empty/],
    ["a note alone", encodeObjectBytes(raw, { note: SEGMENT_NOTE }).subarray(0, 48), /empty or ends before/],
    ["another magic", changed(0, 5), /bad magic number 05224d18/],
    [
      "an encrypted object",
      new TextEncoder().encode("age-encryption.org/v1\n-> X25519"),
      /encrypted with age/,
    ],
    ["a legacy frame", concatBytes([word(0x184c2102), raw]), /bad magic number/],
    ["version 0", frame([raw], { flags: 0x24 }), /version 0/],
    ["version 2", frame([raw], { flags: 0xa4 }), /version 2/],
    ["a reserved flag", frame([raw], { flags: 0x66 }), /reserved/],
    ["a reserved size bit", frame([raw], { sizeCode: 15 }), /reserved/],
    ["block size code 3", frame([raw], { sizeCode: 3 }), /block size code 3/],
    ["a dictionary", frame([raw], { dictionary: 7 }), /dictionary/],
    ["a header checksum", changed(6, 0xb8), /header does not match its checksum/],
    ["a content checksum", changed(-1, (good.at(-1) ?? 0) ^ 1), /content does not match its checksum/],
    [
      "a block over 64 KiB",
      frame([large], { sizeCode: 4 }),
      /block 0 of 65537 bytes where 65536 is the most/,
    ],
    [
      "too little content",
      frame([raw], { contentSize: 1001n }),
      /announces 1001 bytes of content and holds 1000/,
    ],
    ["too much content", frame([raw], { contentSize: 999n }), /announces 999 bytes/],
    ["content of 2^63", frame([raw], { contentSize: 1n << 63n }), /announces 9223372036854775808 bytes/],
    ["a byte after it", concatBytes([good, Uint8Array.of(0)]), /data after the end/],
    ["a second frame", concatBytes([good, good]), /data after the end/],
    ["a skippable frame after it", concatBytes([good, skippable(raw)]), /data after the end/],
  ];
}

test("decodeObject() refuses what is not one legal frame and says why", async () => {
  for (const [name, stored, expected] of refusals()) {
    assert.throws(() => decodeObjectBytes(stored), expected, name);
    await assert.rejects(decodeStream(pieces(stored, 11)), expected, `${name} stream`);
  }
});

test("decodeObject() refuses a block whose own checksum is wrong", () => {
  const stored = frame([text(1000, 1), text(500, 2)], { blockChecksums: true, contentChecksum: false });
  for (const at of [500, 1010, 1012, 1100]) {
    const copy = stored.slice();
    copy[at] = (copy[at] ?? 0) ^ 0x10;
    assert.throws(() => decodeObjectBytes(copy), ChecksumMismatchError, `byte ${at}`);
  }
});

test("decodeObject() refuses a small compressed bomb in a frame of small blocks", () => {
  // A match of 64 KiB and more in a frame whose blocks decode to 64 KiB at most.
  const lengths = new Uint8Array(300).fill(255);
  const block = concatBytes([Uint8Array.of(0x1f, 65, 1, 0), lengths, Uint8Array.of(0, 0x50, 1, 2, 3, 4, 5)]);
  const stored = concatBytes([fromHex("04224d18 60 40 82"), word(block.length), block, word(0)]);
  assert.throws(() => decodeObjectBytes(stored), /cannot decode LZ4 block 0/);
});

/** Content in which what repeats stands twice only: no flip of a match distance can decode to the same bytes. */
function strictContent(): Uint8Array {
  const twice = noise(40, 1);
  return concatBytes([twice, noise(20, 2), twice, noise(20, 3)]);
}

test("decodeObject() refuses a truncation at every byte (case 66)", async () => {
  for (const note of [undefined, SNAPSHOT_NOTE]) {
    for (const raw of [new Uint8Array(0), strictContent(), text(700, 1)]) {
      const stored = encodeObjectBytes(raw, { note });
      for (let size = 0; size < stored.length; size++) {
        const cut = stored.subarray(0, size);
        assert.throws(() => decodeObjectBytes(cut), /truncated LZ4 frame|no LZ4 frame/, `${size}`);
        await assert.rejects(
          decodeStream(streamOf(cut)),
          /truncated LZ4 frame|no LZ4 frame/,
          `${size} stream`,
        );
      }
    }
  }
});

test("decodeObject() refuses every flip of every byte of a data frame (case 67)", async () => {
  for (const raw of [new Uint8Array(0), Uint8Array.of(7), strictContent()]) {
    const stored = encodeObjectBytes(raw);
    assert.ok(raw.length < 100 || stored.length < raw.length, "the sample has a match");
    for (let at = 0; at < stored.length; at++) {
      for (let flip = 1; flip < 256; flip++) {
        const copy = stored.slice();
        copy[at] = (copy[at] ?? 0) ^ flip;
        assert.throws(() => decodeObjectBytes(copy), Error, `byte ${at} ^ ${flip}`);
        if (flip === 1 || flip === 0x80) {
          await assert.rejects(decodeStream(streamOf(copy)), Error, `byte ${at}`);
        }
      }
    }
  }
});

test("decodeObject() gives no wrong byte for any flip, even where a run hides it", () => {
  // In a run of zeros a match at distance 2 equals one at distance 1: such a flip changes nothing that counts.
  const raw = concatBytes([text(60, 1), new Uint8Array(60), text(60, 2), new Uint8Array(60), text(60, 1)]);
  const stored = encodeObjectBytes(raw);
  let refused = 0;
  for (let at = 0; at < stored.length; at++) {
    for (let flip = 1; flip < 256; flip++) {
      const copy = stored.slice();
      copy[at] = (copy[at] ?? 0) ^ flip;
      let decoded: Uint8Array;
      try {
        decoded = decodeObjectBytes(copy).raw;
      } catch {
        refused++;
        continue;
      }
      assert.ok(equalBytes(decoded, raw), `byte ${at} ^ ${flip}`);
    }
  }
  assert.ok(refused > stored.length * 250, `${refused} of ${stored.length * 255} flips refused`);
});

test("decodeObject() reads the content whole behind any flip of a note that leaves its size", () => {
  const raw = strictContent();
  const stored = encodeObjectBytes(raw, { note: SNAPSHOT_NOTE });
  let damaged = 0;
  for (let at = 0; at < 84; at++) {
    for (let flip = 1; flip < 256; flip++) {
      const copy = stored.slice();
      copy[at] = (copy[at] ?? 0) ^ flip;
      const what = `byte ${at} ^ ${flip}`;
      const isFrameBroken = (at >= 1 && at < 8) || (at === 0 && flip > 15);
      if (isFrameBroken) {
        assert.throws(() => decodeObjectBytes(copy), Error, what);
        continue;
      }
      const decoded = decodeObjectBytes(copy);
      assert.equal(decoded.note, undefined, what);
      assert.ok(equalBytes(decoded.raw, raw), what);
      if (decoded.noteDamage !== undefined) damaged++;
    }
  }
  assert.equal(damaged, (84 - 13) * 255 + 1, "all but magic, tag and a newer version; version 0");
});

test("decodeObject() neither hangs nor swells on random and mutated bytes", async () => {
  const seed = 20260304;
  const random = randomFrom(seed);
  const raw = pages(20_000, 1);
  const originals = [encodeObjectBytes(raw, { note: SEGMENT_NOTE }), lz4(["-B4", "-BD", "-BX", "-c"], raw)];
  originals.push(lz4(["-B5", "--no-frame-crc", "--content-size", "-c"], raw), noise(300, 1));
  const startedAt = performance.now();
  let decodedCount = 0;
  for (let round = 0; round < 6000; round++) {
    const copy = (originals[round % originals.length] ?? raw).slice(
      0,
      random() < 0.1 ? random() * 20_000 : undefined,
    );
    const changes = 1 + random() * 8;
    for (let change = 0; change < changes; change++) {
      copy[Math.floor(random() ** 2 * copy.length)] = random() * 256;
    }
    try {
      const { raw: decoded } = decodeObjectBytes(copy, { limit: 64 * MIB });
      decodedCount++;
      assert.ok(decoded.length <= 64 * MIB, `seed ${seed}, round ${round}`);
    } catch (error) {
      assert.match((error as Error).message, /LZ4|object decodes/, `seed ${seed}, round ${round}`);
    }
    if (round % 20 === 0) await decodeStream(pieces(copy, 1 + random() * 5000)).catch(() => {});
  }
  const seconds = (performance.now() - startedAt) / 1000;
  assert.ok(seconds < 60, `seed ${seed}: ${seconds} s`);
  assert.ok(decodedCount < 2000, `seed ${seed}: ${decodedCount} mutants of 6000 were taken`);
});
