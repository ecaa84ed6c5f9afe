/** A store behind a limit of bytes a second. Only what is written is held back. */
import type { ByteRange, ListOptions, ObjectInfo, ObjectStore, StoreOptions } from "./object_store.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { pause } from "../runtime/pause.ts";

/** A stream is passed on in pieces of no more than this time's worth. */
const PIECE_MS = 50;

/** Shorter waits aren't worth a timer; they add up to one that is. */
const SHORTEST_WAIT_MS = 20;

/** How fast. */
export interface PaceOptions {
  /** Above 0. */
  readonly bytesPerSecond: number;
  readonly clock?: Clock | undefined;
}

/**
 * Passes everything on. All puts of the store share the limit: streams are held back piece by piece; a body of bytes,
 * which a server gets at one go, waits for what was sent before it, so that the limit holds on average.
 */
export class PacedStore implements ObjectStore {
  readonly #inner: ObjectStore;
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  /** When all that was let through would have been sent at the limit's speed. */
  #freeAtMs = -Infinity;

  constructor(inner: ObjectStore, { bytesPerSecond, clock = systemClock }: PaceOptions) {
    this.#inner = inner;
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
  }

  get type(): string {
    return this.#inner.type;
  }

  get place(): string {
    return this.#inner.place;
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo> {
    return this.#inner.list(prefix, options);
  }

  listFolders(prefix: string, options?: StoreOptions): Promise<string[]> {
    return this.#inner.listFolders(prefix, options);
  }

  async put(
    key: string,
    body: Uint8Array | ReadableStream<Uint8Array>,
    options: StoreOptions = {},
  ): Promise<ObjectInfo> {
    const ended = new AbortController();
    const signal = options.signal === undefined
      ? ended.signal
      : AbortSignal.any([options.signal, ended.signal]);
    if (body instanceof Uint8Array) {
      await this.#pass(body.length, signal);
      return await this.#inner.put(key, body, options);
    }
    const reader = body.getReader();
    try {
      return await this.#inner.put(key, this.#paced(reader, signal), options);
    } catch (error) {
      await reader.cancel(error).catch(() => {}); // The put's own failure is what counts.
      throw error;
    } finally {
      ended.abort(new Error("the put has ended"));
    }
  }

  get(key: string, options?: StoreOptions & { range?: ByteRange }): Promise<ReadableStream<Uint8Array>> {
    return this.#inner.get(key, options);
  }

  /** What only some stores can, this one can where its inner one does. */
  get check(): ObjectStore["check"] {
    return this.#inner.check?.bind(this.#inner);
  }

  get read(): ObjectStore["read"] {
    return this.#inner.read?.bind(this.#inner);
  }

  get listPages(): ObjectStore["listPages"] {
    return this.#inner.listPages?.bind(this.#inner);
  }

  get visitTimes(): ObjectStore["visitTimes"] {
    return this.#inner.visitTimes?.bind(this.#inner);
  }

  get listKeys(): ObjectStore["listKeys"] {
    return this.#inner.listKeys?.bind(this.#inner);
  }

  get look(): ObjectStore["look"] {
    return this.#inner.look?.bind(this.#inner);
  }

  get listUnfinished(): ObjectStore["listUnfinished"] {
    return this.#inner.listUnfinished?.bind(this.#inner);
  }

  get cleanUp(): ObjectStore["cleanUp"] {
    return this.#inner.cleanUp?.bind(this.#inner);
  }

  get answering(): ObjectStore["answering"] {
    return this.#inner.answering?.bind(this.#inner);
  }

  delete(keys: readonly string[], options?: StoreOptions): Promise<void> {
    return this.#inner.delete(keys, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }

  /** Wait until `size` bytes may follow those before them. */
  async #pass(size: number, signal: AbortSignal): Promise<void> {
    const now = this.#clock.monotonicMs();
    const startMs = Math.max(now, this.#freeAtMs);
    this.#freeAtMs = startMs + size / this.#bytesPerSecond * 1000;
    if (startMs - now >= SHORTEST_WAIT_MS) await pause(startMs - now, { clock: this.#clock, signal });
  }

  #paced(reader: ReadableStreamDefaultReader<Uint8Array>, signal: AbortSignal): ReadableStream<Uint8Array> {
    const pieceSize = Math.max(1, Math.floor(this.#bytesPerSecond * PIECE_MS / 1000));
    let rest: Uint8Array = new Uint8Array(0);
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        while (rest.length === 0) {
          const { done, value } = await reader.read();
          if (done) return controller.close();
          rest = value;
        }
        const piece = rest.subarray(0, pieceSize);
        rest = rest.subarray(piece.length);
        await this.#pass(piece.length, signal);
        controller.enqueue(piece);
      },
      cancel: (reason) => reader.cancel(reason),
      // A chunk is valid only until the next one is read: nothing is read ahead.
    }, { highWaterMark: 0 });
  }
}
