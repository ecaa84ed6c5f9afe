import { orAbort } from "../../async.ts";
import type { BufferPool, PooledBuffer } from "./buffer_pool.ts";

/** Bytes to be sent in one piece; dispose of them once they are. */
export interface Part extends Disposable {
  readonly bytes: Uint8Array;
}

/** A body starts in a buffer of this size of its own, so that small ones never wait for the pool. */
const SMALL_SIZE = 64 * 1024;

/** Cuts a body into parts, copied into pooled buffers when it is a stream. */
export class PartSource {
  readonly #pool: BufferPool;
  readonly #signal: AbortSignal;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  /** What is not in a part yet; of a stream valid until the next read. */
  #rest: Uint8Array = new Uint8Array(0);
  #isAtEnd = false;

  constructor(
    body: Uint8Array | ReadableStream<Uint8Array>,
    { pool, signal }: { pool: BufferPool; signal: AbortSignal },
  ) {
    this.#pool = pool;
    this.#signal = signal;
    if (body instanceof Uint8Array) {
      this.#rest = body;
      this.#isAtEnd = true;
    } else this.#reader = body.getReader();
  }

  /** The first part and whether the body ends with it; waits for the byte after it. The body may be empty. */
  async first(size: number): Promise<{ part: Part; isWhole: boolean }> {
    const part = await this.#take(size, { startsSmall: true });
    try {
      await this.#fillRest();
    } catch (error) {
      part[Symbol.dispose]();
      throw error;
    }
    return { part, isWhole: this.#rest.length === 0 };
  }

  /** The next part, full but for the last; `undefined` at the end, where its size is not asked for. */
  async next(size: () => number): Promise<Part | undefined> {
    await this.#fillRest();
    return this.#rest.length === 0 ? undefined : await this.#take(size(), { startsSmall: false });
  }

  /** Let go of the stream, so that it can be cancelled. */
  release(): void {
    this.#reader?.releaseLock();
  }

  async #fillRest(): Promise<void> {
    while (this.#rest.length === 0 && !this.#isAtEnd) {
      const { done, value } = await orAbort(this.#reader!.read(), this.#signal);
      if (done) this.#isAtEnd = true;
      else this.#rest = value;
    }
  }

  async #take(size: number, { startsSmall }: { startsSmall: boolean }): Promise<Part> {
    if (this.#reader === undefined) {
      const bytes = this.#rest.subarray(0, size);
      this.#rest = this.#rest.subarray(bytes.length);
      return { bytes, [Symbol.dispose]() {} };
    }
    let pooled: PooledBuffer | undefined;
    let into = new Uint8Array(Math.min(SMALL_SIZE, startsSmall ? size : 0));
    let filled = 0;
    try {
      while (filled < size) {
        await this.#fillRest();
        if (this.#rest.length === 0) break;
        if (filled === into.length) {
          pooled = await this.#pool.lend(size, { signal: this.#signal });
          pooled.bytes.set(into);
          into = pooled.bytes;
        }
        const chunk = this.#rest.subarray(0, into.length - filled);
        into.set(chunk, filled);
        filled += chunk.length;
        this.#rest = this.#rest.subarray(chunk.length);
      }
    } catch (error) {
      pooled?.[Symbol.dispose]();
      throw error;
    }
    return { bytes: into.subarray(0, filled), [Symbol.dispose]: () => pooled?.[Symbol.dispose]() };
  }
}
