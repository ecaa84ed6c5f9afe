/**
 * The WebAssembly kernel behind typed functions: LZ4 blocks and xxHash32.
 *
 * There is one instance per thread, made at first use. Every call is synchronous and carries nothing over to the
 * next, so any number of streams may take turns: a running hash lives in its `XxHash32`, linked blocks bring
 * their history along. An array that a call returns shows kernel memory and holds until the next call.
 */
import { assert } from "../errors.ts";
import { LZ4_WASM_BASE64 } from "./lz4_wasm.ts";

/** Most bytes of one block, raw or compressed. */
export const BLOCK_LIMIT = 4 * 1024 * 1024;

/** How far back a match can reach. */
export const HISTORY_LIMIT = 64 * 1024;

const HASH_STATE_SIZE = 48;

/** So much is copied and hashed at once: what was copied is still in a near cache when it is hashed. */
const HASH_PART = 128 * 1024;

/** What the module exports; places are bytes from the start of its memory. */
interface KernelExports {
  readonly memory: WebAssembly.Memory;
  readonly HASH_AT: WebAssembly.Global;
  readonly INPUT_AT: WebAssembly.Global;
  readonly OUTPUT_AT: WebAssembly.Global;
  compress(length: number): number;
  decompress(length: number, capacity: number, history: number): number;
  hashReset(): void;
  hashUpdate(at: number, length: number): void;
  hashDigest(): number;
}

interface Kernel {
  readonly exports: KernelExports;
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly hashAt: number;
  readonly inputAt: number;
  readonly outputAt: number;
}

let loaded: Kernel | undefined;

function kernel(): Kernel {
  if (loaded !== undefined) return loaded;
  const binary = Uint8Array.from(atob(LZ4_WASM_BASE64), (char) => char.charCodeAt(0));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(binary));
  const exports = instance.exports as unknown as KernelExports;
  loaded = {
    exports,
    memory: new Uint8Array(exports.memory.buffer as ArrayBuffer),
    hashAt: exports.HASH_AT.value,
    inputAt: exports.INPUT_AT.value,
    outputAt: exports.OUTPUT_AT.value,
  };
  return loaded;
}

/**
 * Compress `raw` as one independent block and add it to `hash`.
 *
 * @param raw at most `BLOCK_LIMIT` bytes
 * @returns kernel memory, always shorter than `raw`; absent when the block would not shrink
 */
export function compressBlock(
  raw: Uint8Array,
  { hash }: { hash?: XxHash32 | undefined } = {},
): Uint8Array<ArrayBuffer> | undefined {
  assert(raw.length <= BLOCK_LIMIT, "a block is longer than 4 MiB");
  const { exports, memory, inputAt, outputAt } = kernel();
  memory.set(raw, inputAt);
  hash?.updateWithin(inputAt, raw.length);
  const size = exports.compress(raw.length);
  return size === 0 ? undefined : memory.subarray(outputAt, outputAt + size);
}

/** How a block is to be decompressed. */
export interface DecompressOptions {
  /** The most bytes that it may decode to; default `BLOCK_LIMIT`. */
  readonly limit?: number;
  /** The raw bytes before the block that a linked one may refer to, at most 64 KiB; default none. */
  readonly history?: Uint8Array | undefined;
  /** Takes the raw bytes. */
  readonly hash?: XxHash32 | undefined;
}

/**
 * Decompress one block.
 *
 * @returns kernel memory
 * @throws {Error} when the block isn't legal, reaches before its history or decodes to more than the limit
 */
export function decompressBlock(block: Uint8Array, options: DecompressOptions = {}): Uint8Array<ArrayBuffer> {
  const { limit = BLOCK_LIMIT, history, hash } = options;
  assert(block.length <= BLOCK_LIMIT && limit <= BLOCK_LIMIT, "a block is longer than 4 MiB");
  const { exports, memory, inputAt, outputAt } = kernel();
  memory.set(block, inputAt);
  const reach = history?.length ?? 0;
  assert(reach <= HISTORY_LIMIT, "history is longer than 64 KiB");
  if (history !== undefined) memory.set(history, outputAt - reach);
  const size = exports.decompress(block.length, limit, reach);
  if (size < 0) throw new Error(`not a legal LZ4 block: wrong at its byte ${-1 - size}`);
  hash?.updateWithin(outputAt, size);
  return memory.subarray(outputAt, outputAt + size);
}

/** A running xxHash32 with seed 0. */
export class XxHash32 {
  readonly #state = new Uint8Array(HASH_STATE_SIZE);

  constructor() {
    const { exports, memory, hashAt } = kernel();
    exports.hashReset();
    this.#state.set(memory.subarray(hashAt, hashAt + HASH_STATE_SIZE));
  }

  /** Add `bytes`. */
  update(bytes: Uint8Array): void {
    const { memory, inputAt } = kernel();
    for (let from = 0; from < bytes.length; from += HASH_PART) {
      const part = bytes.subarray(from, from + HASH_PART);
      memory.set(part, inputAt);
      this.updateWithin(inputAt, part.length);
    }
  }

  /** Add bytes that are in kernel memory already. */
  updateWithin(at: number, length: number): void {
    const { exports, memory, hashAt } = kernel();
    memory.set(this.#state, hashAt);
    exports.hashUpdate(at, length);
    this.#state.set(memory.subarray(hashAt, hashAt + HASH_STATE_SIZE));
  }

  /** The hash of what was added so far, 0 to 2³² − 1; more may be added after it. */
  digest(): number {
    const { exports, memory, hashAt } = kernel();
    memory.set(this.#state, hashAt);
    return exports.hashDigest() >>> 0;
  }
}

/** xxHash32 of `bytes` with seed 0. */
export function xxHash32(bytes: Uint8Array): number {
  const hash = new XxHash32();
  hash.update(bytes);
  return hash.digest();
}
