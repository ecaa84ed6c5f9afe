import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { concatBytes, equalBytes, fromHex, readAll, streamOf, toHex, viewOf } from "../../src/bytes.ts";
import { acquireKernel, releaseKernel, xxHash32 } from "../../src/codec/lz4_kernel.ts";
import { encodeNote } from "../../src/codec/note.ts";
import {
  decodeObject,
  decodeObjectBytes,
  encodeObject,
  encodeObjectBytes,
  readNote,
} from "../../src/codec/object.ts";
import {
  CONTENTS,
  frame,
  KIB,
  MIB,
  noise,
  pages,
  pieces,
  SEGMENT_NOTE,
  SIZES,
  skippable,
} from "./samples.ts";
import { SNAPSHOT_NOTE, text } from "./samples.ts";

const LIMIT = { limit: 64 * MIB };
const GOLDEN = new URL("../golden/seed_512/generations/d3fec2d6d6dfa285/", import.meta.url);
const golden = (name: string) => new Uint8Array(readFileSync(new URL(name, GOLDEN)));

async function decodeStream(stored: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return await readAll((await decodeObject(stored)).raw, LIMIT);
}

test("decodeObjectBytes() decodes the golden objects to the given lengths (case 63)", () => {
  const cases: [string, number, number][] = [
    ["snapshots/00000001.snapshot.lz4", 277, 2048],
    ["wal/00000001_00000000.wal.lz4", 105, 568],
    ["wal/00000001_00000238.wal.lz4", 77, 536],
  ];
  for (const [name, storedSize, rawSize] of cases) {
    const stored = golden(name);
    assert.equal(stored.length, storedSize, name);
    const { raw, note, noteDamage } = decodeObjectBytes(stored);
    assert.equal(raw.length, rawSize, name);
    assert.equal(note, undefined);
    assert.equal(noteDamage, undefined);
  }
});

test("decodeObjectBytes() gives the golden database once its WAL is applied by hand", () => {
  const database = decodeObjectBytes(golden("snapshots/00000001.snapshot.lz4")).raw.slice();
  for (const name of ["wal/00000001_00000000.wal.lz4", "wal/00000001_00000238.wal.lz4"]) {
    const last = decodeObjectBytes(golden(name)).raw.slice(-536);
    const pageNumber = viewOf(last).getUint32(0, false);
    database.set(last.subarray(24), (pageNumber - 1) * 512);
  }
  const hash = createHash("sha256").update(database).digest("hex");
  assert.equal(hash, "d5d4455532507ead5c3f81591b5a26184d773626d91905a4ca56b9fee7a1b80c");
});

test("encodeObjectBytes() writes the golden frames of hello and of nothing (case 64)", async () => {
  const hello = new TextEncoder().encode("hello");
  assert.equal(toHex(encodeObjectBytes(hello)), "04224d186470b90500008068656c6c6f00000000f97700fb");
  assert.equal(toHex(encodeObjectBytes(new Uint8Array(0))), "04224d186470b900000000055dcc02");
  assert.equal(toHex(await readAll(encodeObject(streamOf(hello)), LIMIT)), toHex(encodeObjectBytes(hello)));
  assert.equal(toHex(await readAll(encodeObject(streamOf()), LIMIT)), "04224d186470b900000000055dcc02");
});

test("decodeObjectBytes() takes the zero-length block that ends a snapshot of whole blocks (cases 64, 65)", async () => {
  const empty = fromHex("04224d186470b9 00000080 00000000 055dcc02");
  assert.equal(decodeObjectBytes(empty).raw.length, 0);
  assert.equal((await decodeStream(pieces(empty, 1))).length, 0);
  const raw = text(1000, 1);
  const stored = frame([raw.subarray(0, 400), new Uint8Array(0), raw.subarray(400), new Uint8Array(0)]);
  assert.ok(equalBytes(decodeObjectBytes(stored).raw, raw));
});

test("encodeObject() writes Litestream's header, end mark and checksum", () => {
  for (const name of ["snapshots/00000001.snapshot.lz4", "wal/00000001_00000000.wal.lz4"]) {
    const theirs = golden(name);
    const { raw } = decodeObjectBytes(theirs);
    const ours = encodeObjectBytes(raw);
    assert.equal(toHex(ours.subarray(0, 7)), toHex(theirs.subarray(0, 7)));
    assert.equal(toHex(ours.subarray(-8)), toHex(theirs.subarray(-8)));
    assert.equal(viewOf(ours).getUint32(ours.length - 4, true), xxHash32(raw));
  }
});

test("encodeObject() cuts blocks of exactly 4 MiB and stores what does not shrink (cases 65, 68)", async () => {
  const raw = concatBytes([noise(4 * MIB, 1), new Uint8Array(4 * MIB), noise(100, 2)]);
  const stored = await readAll(encodeObject(pieces(raw, 65_000)), LIMIT);
  const view = viewOf(stored);
  assert.equal(view.getUint32(7, true), (4 * MIB | 0x80000000) >>> 0);
  const second = 7 + 4 + 4 * MIB;
  const zerosSize = view.getUint32(second, true);
  assert.ok(zerosSize > 0 && zerosSize < 20 * KIB, `4 MiB of zeros take ${zerosSize} bytes`);
  const third = second + 4 + zerosSize;
  assert.equal(view.getUint32(third, true), (100 | 0x80000000) >>> 0);
  assert.equal(stored.length, third + 4 + 100 + 8);
});

test("encodeObject() and encodeObjectBytes() write the same and both decoders give it back", async () => {
  for (const [name, make] of Object.entries(CONTENTS)) {
    for (const size of SIZES) {
      const raw = make(size, size + 3);
      const stored = encodeObjectBytes(raw);
      const streamed = await readAll(encodeObject(pieces(raw, 100_003)), LIMIT);
      assert.ok(equalBytes(streamed, stored), `${name} ${size} stream`);
      assert.ok(equalBytes(decodeObjectBytes(stored).raw, raw), `${name} ${size}`);
      assert.ok(
        equalBytes(await decodeStream(pieces(stored, 100_003)), raw),
        `${name} ${size} decoded stream`,
      );
    }
  }
});

test("encodeObject() and decodeObject() take streams one byte at a time", async () => {
  for (const size of [0, 1, 13, 5000, 64 * KIB, 64 * KIB + 1, 150_000]) {
    const raw = pages(size, 4);
    const stored = await readAll(encodeObject(pieces(raw, 1), { note: SEGMENT_NOTE }), LIMIT);
    assert.ok(equalBytes(stored, encodeObjectBytes(raw, { note: SEGMENT_NOTE })), `${size}`);
    const decoded = await decodeObject(pieces(stored, 1));
    assert.deepEqual(decoded.note, SEGMENT_NOTE);
    assert.ok(equalBytes(await readAll(decoded.raw, LIMIT), raw), `${size}`);
  }
});

test("encodeObject() puts the note in front and changes nothing else", async () => {
  const raw = text(10_000, 1);
  const plain = encodeObjectBytes(raw);
  for (const note of [SEGMENT_NOTE, SNAPSHOT_NOTE]) {
    const expected = concatBytes([encodeNote(note), plain]);
    assert.ok(equalBytes(encodeObjectBytes(raw, { note }), expected));
    assert.ok(equalBytes(await readAll(encodeObject(streamOf(raw), { note }), LIMIT), expected));
    assert.deepEqual(decodeObjectBytes(expected).note, note);
  }
});

test("encodeObject() uses one buffer for all blocks of a stream", async () => {
  const buffers = new Set<ArrayBufferLike>();
  let count = 0;
  for await (const chunk of encodeObject(pieces(noise(40 * MIB, 1), MIB))) {
    buffers.add(chunk.buffer);
    count++;
  }
  assert.equal(count, 11);
  assert.ok(buffers.size <= 2, `${buffers.size} buffers for ${count} chunks`);
});

test("decodeObject() uses one buffer for all blocks of a stream", async () => {
  const stored = encodeObjectBytes(text(40 * MIB, 1));
  const buffers = new Set<ArrayBufferLike>();
  let count = 0;
  for await (const chunk of (await decodeObject(pieces(stored, 100_000))).raw) {
    buffers.add(chunk.buffer);
    count++;
  }
  assert.equal(count, 10);
  assert.equal(buffers.size, 1);
});

test("decodeObject() in two kernels lets a chunk hold until two more are read, and after the end", async () => {
  // Blocks of both kinds.
  const raw = concatBytes([text(10 * MIB, 1), noise(8 * MIB, 1), text(4 * MIB, 1)]);
  const kernels = [acquireKernel(), acquireKernel()];
  const other = encodeObjectBytes(text(MIB, 2));
  const reader = (await decodeObject(pieces(encodeObjectBytes(raw), 100_000), { kernels })).raw.getReader();
  let before: Uint8Array | undefined;
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    const held = before ?? new Uint8Array(0);
    assert.equal(Buffer.compare(held, raw.subarray(at - held.length, at)), 0, `before ${at}`);
    if (done) break;
    assert.ok(kernels.some(({ memory }) => memory.buffer === value.buffer), `a copy at ${at}`);
    before = value;
    at += value.length;
    // Others go on meanwhile.
    decodeObjectBytes(other);
  }
  assert.equal(at, raw.length);
});

test("releaseKernel() gives instances to who comes next, so that none are made again", () => {
  const seen = new Set<unknown>();
  for (let round = 0; round < 10; round++) {
    const kernels = [acquireKernel(), acquireKernel()];
    for (const kernel of kernels) seen.add(kernel);
    assert.notEqual(kernels[0], kernels[1]);
    for (const kernel of kernels) releaseKernel(kernel);
  }
  // One may take the place of the shared one.
  assert.ok(seen.size <= 3, `${seen.size} instances`);
});

/** A stream that counts what is asked of it. */
function counted(chunks: readonly Uint8Array[], { failAfter }: { failAfter?: Error } = {}) {
  const seen = { pulls: 0, cancelledWith: undefined as unknown, isCancelled: false };
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = chunks[seen.pulls++];
      if (chunk !== undefined) controller.enqueue(chunk);
      else if (failAfter !== undefined) controller.error(failAfter);
      else controller.close();
    },
    cancel(reason) {
      seen.isCancelled = true;
      seen.cancelledWith = reason;
    },
  }, { highWaterMark: 0 });
  return { stream, seen };
}

test("encodeObject() reads no further than it is asked to", async () => {
  const { stream, seen } = counted(Array.from({ length: 6 }, () => noise(4 * MIB, 1)));
  const reader = encodeObject(stream).getReader();
  assert.equal(seen.pulls, 0);
  await reader.read();
  assert.equal(seen.pulls, 1);
  await reader.read();
  assert.equal(seen.pulls, 2);
  await reader.cancel();
});

test("encodeObject() passes an error of its source on and a cancel back", async () => {
  const failure = new Error("disk gone");
  const failing = encodeObject(counted([noise(5 * MIB, 1)], { failAfter: failure }).stream);
  await assert.rejects(readAll(failing, LIMIT), failure);
  const { stream, seen } = counted([noise(5 * MIB, 1), noise(5 * MIB, 2)]);
  const reader = encodeObject(stream).getReader();
  await reader.read();
  const reason = new Error("enough");
  await reader.cancel(reason);
  assert.equal(seen.cancelledWith, reason);
});

test("decodeObject() passes an error of its source on and a cancel back", async () => {
  const stored = encodeObjectBytes(noise(9 * MIB, 1));
  const failure = new Error("connection reset");
  const failing = await decodeObject(counted([stored.subarray(0, 5 * MIB)], { failAfter: failure }).stream);
  await assert.rejects(readAll(failing.raw, LIMIT), failure);
  await assert.rejects(decodeObject(counted([], { failAfter: failure }).stream), failure);
  const { stream, seen } = counted([stored.subarray(0, 5 * MIB), stored.subarray(5 * MIB)]);
  const reader = (await decodeObject(stream)).raw.getReader();
  await reader.read();
  const reason = new Error("enough");
  await reader.cancel(reason);
  assert.equal(seen.cancelledWith, reason);
});

test("decodeObject() cancels its source when the object is damaged", async () => {
  const { stream, seen } = counted([noise(100, 1), noise(100, 2)]);
  await assert.rejects(decodeObject(stream), /bad magic number/);
  assert.ok(seen.isCancelled);
  const stored = encodeObjectBytes(noise(9 * MIB, 1));
  stored[8] = 0x7f;
  const second = counted([stored, stored]);
  const { raw } = await decodeObject(second.stream);
  await assert.rejects(readAll(raw, LIMIT), /is the most/);
  assert.ok(second.seen.isCancelled);
});

/** Reads a chunk of every stream at a time, all at once; what each gave. */
async function readInTurn(streams: readonly ReadableStream<Uint8Array>[]): Promise<Uint8Array[]> {
  const states = streams.map((stream) => ({
    reader: stream.getReader(),
    parts: [] as Uint8Array[],
    isDone: false,
  }));
  while (states.some(({ isDone }) => !isDone)) {
    await Promise.all(states.map(async (state) => {
      if (state.isDone) return;
      const { done, value } = await state.reader.read();
      if (done) state.isDone = true;
      else state.parts.push(value.slice());
    }));
  }
  return states.map(({ parts }) => concatBytes(parts));
}

test("encodeObject() streams take turns without touching each other", async () => {
  const raws = [text(13 * MIB + 1, 1), pages(14 * MIB + 2, 2), noise(9 * MIB, 3), text(100, 4)];
  const stored = await readInTurn(raws.map((raw, nth) => encodeObject(pieces(raw, 70_001 + nth))));
  raws.forEach((raw, nth) =>
    assert.ok(equalBytes(stored[nth] ?? raw, encodeObjectBytes(raw)), `stream ${nth}`)
  );
});

test("readNote() reads no further than the note and cancels the rest", async () => {
  const stored = encodeObjectBytes(text(10_000, 1), { note: SNAPSHOT_NOTE });
  const { stream, seen } = counted([stored.subarray(0, 84), stored.subarray(84)]);
  assert.deepEqual(await readNote(stream), { note: SNAPSHOT_NOTE, noteDamage: undefined });
  assert.equal(seen.pulls, 1);
  assert.ok(seen.isCancelled);
});

test("readNote() finds no note where there is none", async () => {
  const none = { note: undefined, noteDamage: undefined };
  const raw = text(10_000, 1);
  assert.deepEqual(await readNote(streamOf(encodeObjectBytes(raw))), none);
  assert.deepEqual(await readNote(streamOf(concatBytes([skippable(raw), encodeObjectBytes(raw)]))), none);
  await assert.rejects(readNote(streamOf(raw)), /bad magic number/);
  await assert.rejects(readNote(streamOf()), /empty/);
});

test("readNote() says that a note is damaged", async () => {
  const stored = encodeObjectBytes(text(10_000, 1), { note: SNAPSHOT_NOTE });
  stored[30] = (stored[30] ?? 0) ^ 1;
  const { note, noteDamage } = await readNote(streamOf(stored));
  assert.equal(note, undefined);
  assert.match(noteDamage ?? "", /does not match its checksum/);
});

test("decodeObjectBytes() keeps to its limit", () => {
  const stored = encodeObjectBytes(new Uint8Array(20 * MIB));
  assert.equal(decodeObjectBytes(stored, { limit: 20 * MIB }).raw.length, 20 * MIB);
  assert.throws(() => decodeObjectBytes(stored, { limit: 20 * MIB - 1 }), /more than 20971519 bytes/);
});
