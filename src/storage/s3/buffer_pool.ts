/** Buffers for parts of uploads, bounded for the whole process however many databases upload at once. */
import { type Clock, systemClock } from "../../runtime/clock.ts";

/** Whoever catches up sends one segment after the other: each would cost fresh memory if none were kept between. */
const KEPT_MS = 2000;

/** A buffer that is given back by disposing of it. */
export interface PooledBuffer extends Disposable {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

interface Waiting {
  readonly size: number;
  grant(): void;
}

/**
 * Lends buffers up to a number of bytes in all; who comes later waits, first come, first served. A buffer larger
 * than the bound is lent when nothing else is.
 *
 * Who holds one and waits for another must give the first back without it, or nobody gets on: an upload does,
 * since each part it holds is on its way out.
 */
export class BufferPool {
  readonly #limit: number;
  readonly #clock: Clock;
  #forgetting: Disposable | undefined;
  #lentSize = 0;
  #largestLentSize = 0;
  #free: Uint8Array<ArrayBuffer>[] = [];
  #waiting: Waiting[] = [];

  /** @param options.limit bytes lent at once */
  constructor({ limit, clock = systemClock }: { limit: number; clock?: Clock }) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** The most bytes that were ever lent at once. */
  get largestLentSize(): number {
    return this.#largestLentSize;
  }

  /** Wait for a buffer of `size` bytes, with whatever content. Rejects with the signal's reason. */
  async lend(size: number, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<PooledBuffer> {
    signal?.throwIfAborted();
    if (this.#waiting.length > 0 || !this.#fits(size)) await this.#turn(size, signal);
    else this.#take(size);
    const at = this.#free.findIndex((buffer) => buffer.length === size);
    const bytes = at < 0 ? new Uint8Array(size) : this.#free.splice(at, 1)[0]!;
    let isHeld = true;
    return {
      bytes,
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#giveBack(bytes);
      },
    };
  }

  #fits(size: number): boolean {
    return this.#lentSize === 0 || this.#lentSize + size <= this.#limit;
  }

  #take(size: number): void {
    this.#forgetting?.[Symbol.dispose]();
    this.#forgetting = undefined;
    this.#lentSize += size;
    this.#largestLentSize = Math.max(this.#largestLentSize, this.#lentSize);
  }

  async #turn(size: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = {
      size,
      grant: () => {
        this.#take(size);
        resolve();
      },
    };
    const abort = () => {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      reject(signal?.reason);
      // A smaller one may have waited behind.
      this.#grantNext();
    };
    this.#waiting.push(waiting);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  #giveBack(bytes: Uint8Array<ArrayBuffer>): void {
    this.#lentSize -= bytes.length;
    this.#free.push(bytes);
    this.#grantNext();
    // Kept while uploads run; an idle process holds none. Of other sizes none are kept beyond the bound.
    if (this.#lentSize === 0) this.#forgetLater();
    let keptSize = this.#lentSize + this.#free.reduce((sum, buffer) => sum + buffer.length, 0);
    while (keptSize > this.#limit && this.#free.length > 0) keptSize -= this.#free.shift()!.length;
  }

  #forgetLater(): void {
    const timer = this.#forgetting = this.#clock.every(KEPT_MS, () => {
      timer[Symbol.dispose]();
      this.#forgetting = undefined;
      this.#free = [];
    });
  }

  #grantNext(): void {
    while (this.#waiting.length > 0 && this.#fits(this.#waiting[0]!.size)) this.#waiting.shift()!.grant();
  }
}

const MIB = 1024 * 1024;

/** Bytes of part buffers in a process: twelve parts of the default size. */
export const PROCESS_BUFFER_LIMIT = 96 * MIB;

let processBuffers: BufferPool | undefined;

/** The pool that every store of this process uses unless it is given another. */
export function sharedBufferPool(): BufferPool {
  return processBuffers ??= new BufferPool({ limit: PROCESS_BUFFER_LIMIT });
}
