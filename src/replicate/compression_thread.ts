/**
 * Another thread with a kernel of its own: it compresses blocks while ours reads, checks and sends others. Wherever a
 * block is compressed, the bytes are the same.
 *
 * There is one for the whole process, as long as anybody uses it.
 */
import type { BlockInMemory, CompressedBlock, Compressor } from "../codec/lz4_encode.ts";
import { LZ4_WASM_BASE64 } from "../codec/lz4_wasm.ts";
import { startThread } from "../runtime/thread.ts";

/** Blocks that it has or that wait for it; with one more whoever brings it is done sooner by himself. */
const MOST_BLOCKS = 2;

const SOURCE = `
const code = Uint8Array.from(atob("${LZ4_WASM_BASE64}"), (char) => char.charCodeAt(0));
const kernel = new WebAssembly.Instance(new WebAssembly.Module(code)).exports;
const memory = new Uint8Array(kernel.memory.buffer);
const [inputAt, outputAt] = [kernel.INPUT_AT.value, kernel.OUTPUT_AT.value];
self.onmessage = ({ data: { buffer, from, length } }) => {
  const bytes = new Uint8Array(buffer);
  memory.set(bytes.subarray(from, from + length), inputAt);
  const size = kernel.compress(length);
  bytes.set(memory.subarray(outputAt, outputAt + size), from);
  self.postMessage({ buffer, size }, [buffer]);
};
self.postMessage("ready");
`;

class CompressionThread {
  readonly #worker: Worker;
  readonly #waiting: PromiseWithResolvers<CompressedBlock>[] = [];
  #isReady = false;

  constructor() {
    this.#worker = startThread(SOURCE);
    this.#worker.onmessage = ({ data }) => {
      if (data === "ready") this.#isReady = true;
      else this.#waiting.shift()!.resolve({ buffer: new Uint8Array(data.buffer), size: data.size });
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#isReady = false;
      isUsable = false;
      for (const { reject } of this.#waiting.splice(0)) {
        reject(new Error(`compression failed: ${event.message}`));
      }
    };
  }

  /** Whether it takes a block now: not before it has started, nor more than it can do soon. */
  get hasRoom(): boolean {
    return this.#isReady && this.#waiting.length < MOST_BLOCKS;
  }

  /** Compress a block, which must have room for it; `buffer` is of no use here from now on. */
  compress({ buffer: { buffer }, from, length }: BlockInMemory): Promise<CompressedBlock> {
    const waiting = Promise.withResolvers<CompressedBlock>();
    this.#waiting.push(waiting);
    this.#worker.postMessage({ buffer, from, length }, [buffer]);
    return waiting.promise;
  }

  terminate(): void {
    this.#worker.terminate();
  }
}

let shared: CompressionThread | undefined;
let userCount = 0;
/** False once one has failed: our own thread does as well, and nothing is to fail twice for it. */
let isUsable = true;

/** The thread for one of its users; disposed of, it ends with the last one. */
export function useCompressionThread(): Compressor {
  return new ThreadUse();
}

class ThreadUse implements Compressor {
  #isOver = false;

  constructor() {
    userCount++;
    try {
      if (isUsable) shared ??= new CompressionThread();
    } catch {
      isUsable = false;
    }
  }

  /** Never where there is none. */
  get hasRoom(): boolean {
    return isUsable && !this.#isOver && shared?.hasRoom === true;
  }

  compress(block: BlockInMemory): Promise<CompressedBlock> {
    return shared!.compress(block);
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (--userCount > 0) return;
    shared?.terminate();
    shared = undefined;
  }
}
