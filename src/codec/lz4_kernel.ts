/**
 * The WebAssembly kernel behind typed functions: LZ4 blocks and xxHash32.
 *
 * There is one shared instance per thread, made at first use. Every call is synchronous and carries nothing over to the
 * next, so any number of streams may take turns: a running hash lives in its `XxHash32`, linked blocks bring
 * their history along. An array that a call returns shows kernel memory and holds until the next call.
 *
 * Who decodes much brings instances of its own along: what one returns holds until that one decodes again, so it needs
 * no copy, and a block that is gathered in `input` needs none either.
 */
import { assert } from "../errors.ts";
import { LZ4_WASM_BASE64 } from "./lz4_wasm.ts";

/** Most bytes of one block, raw or compressed. */
export const BLOCK_LIMIT = 4 * 1024 * 1024;

/** How far back a match can reach. */
export const HISTORY_LIMIT = 64 * 1024;

const BLOCK_CHECKSUM_SIZE = 4;

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

/** An instance of the kernel. */
export interface Kernel {
  readonly exports: KernelExports;
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly hashAt: number;
  readonly inputAt: number;
  readonly outputAt: number;
  /** Room for a block and its checksum, where it is decoded from without a copy. */
  readonly input: Uint8Array<ArrayBuffer>;
}

/** Instances share one: what the runtime has made of its code holds for all. */
let module: WebAssembly.Module | undefined;
let shared: Kernel | undefined;

/** Whether blocks have been in the memory of the shared one, not only a few bytes to hash. */
let isSharedUsed = false;

/** Instances that nobody uses at the moment: a collector would let those that are dropped pile up. */
const spare: Kernel[] = [];
const SPARE_COUNT = 2;

function makeKernel(): Kernel {
  module ??= new WebAssembly.Module(
    Uint8Array.from(atob(LZ4_WASM_BASE64), (char) => char.charCodeAt(0)),
  );
  const exports = new WebAssembly.Instance(module).exports as unknown as KernelExports;
  const memory = new Uint8Array(exports.memory.buffer as ArrayBuffer);
  const inputAt: number = exports.INPUT_AT.value;
  return {
    exports,
    memory,
    hashAt: exports.HASH_AT.value,
    inputAt,
    outputAt: exports.OUTPUT_AT.value,
    input: memory.subarray(inputAt, inputAt + BLOCK_LIMIT + BLOCK_CHECKSUM_SIZE),
  };
}

function sharedKernel(): Kernel {
  return shared ??= makeKernel();
}

function sharedForBlocks(): Kernel {
  isSharedUsed = true;
  return sharedKernel();
}

/** An instance that nobody else uses; its memory is anything. */
export function acquireKernel(): Kernel {
  return spare.pop() ?? makeKernel();
}

/** Give an instance back. What it returned no longer holds. */
export function releaseKernel(kernel: Kernel): void {
  // Its memory is there already, that of the shared one would come on top.
  if (!isSharedUsed) {
    shared = kernel;
    isSharedUsed = true;
  } else if (spare.length < SPARE_COUNT) spare.push(kernel);
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
  const { exports, memory, inputAt, outputAt } = sharedForBlocks();
  memory.set(raw, inputAt);
  hash?.updateWithin(inputAt, { length: raw.length });
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
  /** Default: the shared instance. */
  readonly kernel?: Kernel | undefined;
}

/**
 * Decompress one block.
 *
 * @returns kernel memory
 * @throws {Error} when the block isn't legal, reaches before its history or decodes to more than the limit
 */
export function decompressBlock(block: Uint8Array, options: DecompressOptions = {}): Uint8Array<ArrayBuffer> {
  const { limit = BLOCK_LIMIT, history, hash, kernel = sharedForBlocks() } = options;
  assert(block.length <= BLOCK_LIMIT && limit <= BLOCK_LIMIT, "a block is longer than 4 MiB");
  const { exports, memory, inputAt, outputAt } = kernel;
  if (!isAt(memory, { at: inputAt, bytes: block })) memory.set(block, inputAt);
  const reach = history?.length ?? 0;
  assert(reach <= HISTORY_LIMIT, "history is longer than 64 KiB");
  if (history !== undefined) memory.set(history, outputAt - reach);
  const size = exports.decompress(block.length, limit, reach);
  if (size < 0) throw new Error(`not a legal LZ4 block: wrong at its byte ${-1 - size}`);
  hash?.updateWithin(outputAt, { length: size, kernel });
  return memory.subarray(outputAt, outputAt + size);
}

/**
 * Take a block that was stored as it is, as if it had been decompressed.
 *
 * @returns memory of `kernel`
 */
export function takeStoredBlock(
  block: Uint8Array,
  { kernel, hash }: { kernel: Kernel; hash?: XxHash32 | undefined },
): Uint8Array<ArrayBuffer> {
  const { memory, outputAt } = kernel;
  memory.set(block, outputAt);
  hash?.updateWithin(outputAt, { length: block.length, kernel });
  return memory.subarray(outputAt, outputAt + block.length);
}

function isAt(memory: Uint8Array, { at, bytes }: { at: number; bytes: Uint8Array }): boolean {
  return bytes.buffer === memory.buffer && bytes.byteOffset === at;
}

/** A running xxHash32 with seed 0. */
export class XxHash32 {
  readonly #state = new Uint8Array(HASH_STATE_SIZE);

  constructor() {
    const { exports, memory, hashAt } = sharedKernel();
    exports.hashReset();
    this.#state.set(memory.subarray(hashAt, hashAt + HASH_STATE_SIZE));
  }

  /** Add `bytes`. */
  update(bytes: Uint8Array): void {
    const kernel = sharedKernel();
    for (let from = 0; from < bytes.length; from += HASH_PART) {
      const part = bytes.subarray(from, from + HASH_PART);
      kernel.memory.set(part, kernel.inputAt);
      this.updateWithin(kernel.inputAt, { length: part.length, kernel });
    }
  }

  /** Add bytes that are in the memory of `kernel` (default: the shared instance) already. */
  updateWithin(
    at: number,
    { length, kernel: { exports, memory, hashAt } = sharedKernel() }: { length: number; kernel?: Kernel },
  ): void {
    memory.set(this.#state, hashAt);
    exports.hashUpdate(at, length);
    this.#state.set(memory.subarray(hashAt, hashAt + HASH_STATE_SIZE));
  }

  /** The hash of what was added so far, 0 to 2³² − 1; more may be added after it. */
  digest(): number {
    const { exports, memory, hashAt } = sharedKernel();
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
