/** Content and frames for the tests of the codec. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TextRows } from "../../bench/text_rows.ts";
import { randomFrom } from "../../bench/random.ts";
import { concatBytes, viewOf } from "../../src/bytes.ts";
import { xxHash32 } from "../../src/codec/lz4_kernel.ts";
import type { SegmentNote, SnapshotNote } from "../../src/codec/note.ts";

const encoder = new TextEncoder();

export const KIB = 1024;
export const MIB = 1024 * KIB;

/**
 * What comes once more in a longer sample, as making one costs thirty times what the codec does with it. It is far
 * beyond the 64 KiB that LZ4 sees, and no two blocks of 64 KiB to 4 MiB of a sample are equal.
 */
const PERIOD = 263 * 4096;

/** A sample that is made up to its period. */
function repeated(size: number, fill: (bytes: Uint8Array<ArrayBuffer>) => void): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  fill(bytes.subarray(0, PERIOD));
  for (let at = PERIOD; at < size; at += PERIOD) {
    bytes.copyWithin(at, 0, Math.min(PERIOD, size - at));
  }
  return bytes;
}

/** Bytes that no compressor shrinks. */
export function noise(size: number, seed: number): Uint8Array<ArrayBuffer> {
  const random = randomFrom(seed);
  return repeated(size, (bytes) => {
    for (let at = 0; at < bytes.length; at++) bytes[at] = random() * 256;
  });
}

/** Text that shrinks to about six tenths. */
export function text(size: number, seed: number): Uint8Array<ArrayBuffer> {
  const rows = new TextRows(seed);
  return repeated(size, (bytes) => {
    let at = 0;
    while (at < bytes.length) {
      const row = encoder.encode(rows.next().join("|") + "\n");
      bytes.set(row.subarray(0, bytes.length - at), at);
      at += row.length;
    }
  });
}

/** Pages as in a database: some text, some zeros, some noise, some the same again. */
export function pages(size: number, seed: number): Uint8Array<ArrayBuffer> {
  const random = randomFrom(seed);
  return repeated(size, (bytes) => {
    for (let at = 0; at < bytes.length; at += 4096) {
      const end = Math.min(bytes.length, at + 4096);
      const kind = Math.floor(random() * 4);
      if (kind === 0) bytes.set(text(end - at, at + seed), at);
      if (kind === 1) bytes.set(noise(end - at, at + seed), at);
      if (kind === 2 && at >= 4096) bytes.copyWithin(at, at - 4096, end - 4096);
    }
  });
}

/** The contents that round trips are tried with, by name. */
export const CONTENTS: Readonly<Record<string, (size: number, seed: number) => Uint8Array<ArrayBuffer>>> = {
  noise,
  text,
  pages,
  zeros: (size) => new Uint8Array(size),
};

/** Sizes around every edge of the format. */
export const SIZES: readonly number[] = [
  ...[0, 1, 4, 5, 11, 12, 13, 14, 15, 16, 17, 31, 255, 270, 271, 4096],
  ...[64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 8 * MIB],
];

export const SEGMENT_NOTE: SegmentNote = {
  kind: "segment",
  generation: "0123456789abcdef",
  index: 7,
  offset: 0x1_0000_0020,
  newestCommitAt: new Date("2026-03-04T05:06:07.089Z"),
};

export const SNAPSHOT_NOTE: SnapshotNote = {
  kind: "snapshot",
  generation: "fedcba9876543210",
  index: 0x7fffffff,
  offset: 4152,
  newestCommitAt: new Date("2026-03-04T05:06:07.089Z"),
  pageSize: 65536,
  pageCount: 12345,
  previousEnd: {
    index: 0x7ffffffe,
    length: 0x2_0000_0040,
    checksum: [0xdc2f3e84, 0x540488d3],
    salts: [0xffffffff, 0],
  },
};

/** `chunks` as a stream, cut into pieces of `pieceSize` bytes that all lie in one reused buffer. */
export function pieces(bytes: Uint8Array, pieceSize: number): ReadableStream<Uint8Array> {
  const buffer = new Uint8Array(pieceSize);
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at === bytes.length) return controller.close();
      const piece = bytes.subarray(at, at + pieceSize);
      buffer.fill(0xee);
      buffer.set(piece);
      at += piece.length;
      controller.enqueue(buffer.subarray(0, piece.length));
    },
  }, { highWaterMark: 0 });
}

/** A number of 4 bytes. */
export function word(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

/** A skippable frame. */
export function skippable(payload: Uint8Array, magic = 0x184d2a50): Uint8Array<ArrayBuffer> {
  return concatBytes([word(magic), word(payload.length), payload]);
}

/** A frame made by hand from blocks that are stored as they are, with whatever a header can announce. */
export function frame(blocks: readonly Uint8Array[], options: {
  linked?: boolean;
  blockChecksums?: boolean;
  contentSize?: bigint;
  contentChecksum?: boolean;
  sizeCode?: number;
  flags?: number;
  dictionary?: number;
} = {}): Uint8Array<ArrayBuffer> {
  const { contentChecksum = true, sizeCode = 7, contentSize, dictionary } = options;
  const flags = options.flags ?? 0x40 | (options.linked ? 0 : 0x20) | (options.blockChecksums ? 0x10 : 0) |
      (contentSize === undefined ? 0 : 8) | (contentChecksum ? 4 : 0) | (dictionary === undefined ? 0 : 1);
  const optional: Uint8Array[] = [];
  if (contentSize !== undefined) {
    const size = new Uint8Array(8);
    viewOf(size).setBigUint64(0, contentSize, true);
    optional.push(size);
  }
  if (dictionary !== undefined) optional.push(word(dictionary));
  const descriptor = concatBytes([Uint8Array.of(flags, sizeCode << 4), ...optional]);
  const parts: Uint8Array[] = [word(0x184d2204), descriptor, Uint8Array.of(xxHash32(descriptor) >>> 8)];
  for (const block of blocks) {
    parts.push(word((block.length | 0x80000000) >>> 0), block);
    if (options.blockChecksums) parts.push(word(xxHash32(block)));
  }
  parts.push(word(0));
  if (contentChecksum) parts.push(word(xxHash32(concatBytes(blocks))));
  return concatBytes(parts);
}

/** Run the `lz4` program on `input`; what it wrote. */
export function lz4(args: readonly string[], input: Uint8Array): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "walbrook-lz4-"));
  try {
    // A file, not standard input: Deno's spawnSync hangs when more than a pipe holds goes in and comes out.
    const inputPath = join(folder, "input");
    writeFileSync(inputPath, input);
    const options = { maxBuffer: 64 * MIB, timeout: 60_000 };
    const { error, status, stdout, stderr } = spawnSync("lz4", [...args, inputPath], options);
    if (error !== undefined) {
      throw new Error("cannot run lz4; these tests need the program: apt-get install lz4", { cause: error });
    }
    if (status !== 0) throw new Error(`lz4 ${args.join(" ")} exited with ${status}: ${stderr}`);
    return new Uint8Array(stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
