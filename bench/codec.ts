/**
 * `deno run -A bench/codec.ts [megabytes]` or `bun bench/codec.ts`: speed of the codec on the text database, on one
 * thread, and its ratio beside `lz4 -1`.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { equalBytes, streamOf } from "../src/bytes.ts";
import { BLOCK_LIMIT, compressBlock, decompressBlock, XxHash32 } from "../src/codec/lz4_kernel.ts";
import { decodeObject, encodeObject, encodeObjectBytes } from "../src/codec/object.ts";
import { makeTextDatabase } from "./text_database.ts";

const ROUNDS = 5;

/** Megabytes (10⁶ bytes) a second, the best of a few rounds. */
async function fastest(size: number, work: () => void | Promise<void>): Promise<number> {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now();
    await work();
    best = Math.min(best, performance.now() - startedAt);
  }
  return size / 1e6 / (best / 1000);
}

/** What is compared with: the size that `lz4 -1` makes of the file. */
async function measureOracle(path: string, raw: Uint8Array): Promise<{ name: string; size: number }> {
  const { error, stdout } = spawnSync("sh", ["-c", 'lz4 -1 -c "$0" | wc -c', path], { encoding: "utf8" });
  const size = Number.parseInt(stdout, 10);
  if (error === undefined && size > 0) return { name: "lz4 -1", size };
  const { compress } = await import("lz4-wasm-nodejs");
  let total = 0;
  for (let at = 0; at < raw.length; at += BLOCK_LIMIT) {
    total += compress(raw.subarray(at, at + BLOCK_LIMIT)).length;
  }
  return { name: "lz4-wasm-nodejs", size: total };
}

async function consume(stream: ReadableStream<Uint8Array>): Promise<void> {
  for await (const _ of stream);
}

async function measure(path: string): Promise<string[]> {
  const raw = new Uint8Array(readFileSync(path));
  const blocks: { raw: Uint8Array; compressed: Uint8Array }[] = [];
  for (let at = 0; at < raw.length; at += BLOCK_LIMIT) {
    const part = raw.subarray(at, at + BLOCK_LIMIT);
    const compressed = compressBlock(part)?.slice() ?? part;
    if (compressed === part) continue;
    if (!equalBytes(decompressBlock(compressed), part)) throw new Error(`block at ${at} does not come back`);
    blocks.push({ raw: part, compressed });
  }
  const size = blocks.reduce((sum, block) => sum + block.raw.length, 0);
  const compress = await fastest(size, () => blocks.forEach((block) => void compressBlock(block.raw)));
  const decompress = await fastest(
    size,
    () => blocks.forEach((block) => void decompressBlock(block.compressed)),
  );
  const hash = new XxHash32();
  const hashing = await fastest(size, () => blocks.forEach((block) => hash.update(block.raw)));
  // As the streams use it: on the block that the kernel's memory holds already.
  const [first] = blocks;
  if (first === undefined) throw new Error("the database has no block that shrinks");
  const held = decompressBlock(first.compressed);
  const hashingHeld = await fastest(
    held.length * 16,
    () =>
      Array.from({ length: 16 }).forEach(() => hash.updateWithin(held.byteOffset, { length: held.length })),
  );
  const stored = encodeObjectBytes(raw);
  const encode = await fastest(raw.length, () => consume(encodeObject(streamOf(raw))));
  const decode = await fastest(raw.length, async () => consume((await decodeObject(streamOf(stored))).raw));
  const oracle = await measureOracle(path, raw);
  const speed = (name: string, value: number, aim?: number) =>
    `${name.padEnd(24)}${value.toFixed(0).padStart(6)} MB/s${aim === undefined ? "" : `   aim ≥ ${aim}`}`;
  const ratio = stored.length / raw.length;
  return [
    speed("compress blocks", compress, 300),
    speed("decompress blocks", decompress, 1500),
    speed("xxHash32 in the kernel", hashingHeld, 4000),
    speed("xxHash32 of an array", hashing),
    speed("encodeObject()", encode),
    speed("decodeObject()", decode),
    `ratio ${ratio.toFixed(4)}, ${oracle.name} ${(oracle.size / raw.length).toFixed(4)}: ` +
    `${(stored.length / oracle.size).toFixed(3)} of it   aim ≤ 1.05`,
  ];
}

if (import.meta.main) {
  const folder = mkdtempSync(join(tmpdir(), "walbrook-bench-"));
  try {
    const path = join(folder, "text.db");
    const megabytes = Number(process.argv[2] ?? 64);
    makeTextDatabase(path, { bytes: megabytes * 1024 * 1024, seed: 1 });
    for (const line of await measure(path)) process.stdout.write(`${line}\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
