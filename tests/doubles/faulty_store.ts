/**
 * An `ObjectStore` that fails on demand and counts its requests.
 *
 * ```ts
 * const store = new FaultyStore(inner);
 * store.rules.push({ method: "put", key: /\/wal\//, nth: 2, afterwards: true }); // stored, but the answer is lost
 * ```
 */
import { StoreError } from "../../src/errors.ts";
import type { ByteRange, ObjectInfo, ObjectStore, StoreOptions } from "../../src/storage/object_store.ts";

/** What can be made to fail. */
export type StoreMethod = "list" | "listFolders" | "put" | "get" | "delete";

/** When to fail and how. */
export interface StoreRule {
  readonly method: StoreMethod;
  /** The call that fails first, counted from 1 among those that match. Default 1. */
  readonly nth?: number;
  /** How many calls fail from then on. Default 1; `Infinity` for good. */
  readonly times?: number;
  /** Only calls whose key or prefix matches. */
  readonly key?: RegExp;
  /** Carry the call out first: the answer is lost. Default false. */
  readonly afterwards?: boolean;
  /** Fail after so many bytes: of the body of a put, of the stream of a get. */
  readonly afterBytes?: number;
  /** Don't fail; wait for this before going on. */
  readonly gate?: Promise<void>;
  /** Default `made to fail`. */
  readonly message?: string;
  /** Nothing was there to answer. Default false. */
  readonly isAway?: boolean;
  /** The store can't give this one object. Default false. */
  readonly isOfObject?: boolean;
}

/** One request. */
export interface StoreCall {
  readonly method: StoreMethod;
  /** The key, the prefix, or the keys joined by a space. */
  readonly key: string;
  /** By `performance.now()`. */
  readonly begunAt: number;
  /** Absent while it runs; also set when it failed. */
  endedAt?: number;
  failed: boolean;
}

/** Wraps any store. */
export class FaultyStore implements ObjectStore {
  readonly type: string;
  readonly place: string;
  /** May be changed at any time. */
  rules: StoreRule[] = [];
  readonly calls: StoreCall[] = [];
  answering: ObjectStore["answering"];
  readonly #inner: ObjectStore;
  readonly #seen = new Map<StoreRule, number>();

  constructor(inner: ObjectStore) {
    this.#inner = inner;
    this.type = inner.type;
    this.place = inner.place;
  }

  /** Calls of one method so far, in order. */
  of(method: StoreMethod, key = /(?:)/): StoreCall[] {
    return this.calls.filter((call) => call.method === method && key.test(call.key));
  }

  /** Everything works from now on. */
  mend(): void {
    this.rules = [];
  }

  #ruleFor(method: StoreMethod, key: string): StoreRule | undefined {
    const matching = this.rules.filter((rule) => rule.method === method && (rule.key?.test(key) ?? true));
    return matching.filter((rule) => {
      const count = (this.#seen.get(rule) ?? 0) + 1;
      this.#seen.set(rule, count);
      const first = rule.nth ?? 1;
      return count >= first && count < first + (rule.times ?? 1);
    })[0];
  }

  async #call<T>(
    { method, key, signal }: { method: StoreMethod; key: string; signal: AbortSignal | undefined },
    act: (rule: StoreRule | undefined) => Promise<T>,
  ): Promise<T> {
    const call: StoreCall = { method, key, begunAt: performance.now(), failed: false };
    this.calls.push(call);
    const rule = this.#ruleFor(method, key);
    try {
      await rule?.gate;
      signal?.throwIfAborted();
      const isFailing = rule !== undefined && rule.gate === undefined;
      if (isFailing && !rule.afterwards && rule.afterBytes === undefined) throw failure(rule);
      const result = await act(isFailing ? rule : undefined);
      if (isFailing && rule.afterwards) throw failure(rule);
      return result;
    } catch (error) {
      call.failed = true;
      throw error;
    } finally {
      call.endedAt = performance.now();
    }
  }

  async *list(prefix: string, options: StoreOptions = {}): AsyncGenerator<ObjectInfo> {
    const found = await this.#call({ method: "list", key: prefix, signal: options.signal }, async () => {
      const objects: ObjectInfo[] = [];
      for await (const object of this.#inner.list(prefix, options)) objects.push(object);
      return objects;
    });
    yield* found;
  }

  listFolders(prefix: string, options: StoreOptions = {}): Promise<string[]> {
    const call = { method: "listFolders", key: prefix, signal: options.signal } as const;
    return this.#call(call, () => this.#inner.listFolders(prefix, options));
  }

  async put(
    key: string,
    body: Uint8Array | ReadableStream<Uint8Array>,
    options: StoreOptions = {},
  ): Promise<ObjectInfo> {
    try {
      return await this.#call({ method: "put", key, signal: options.signal }, (rule) => {
        if (rule?.afterBytes === undefined) return this.#inner.put(key, body, options);
        return this.#inner.put(key, breakAfter(streamOfBody(body), rule), options);
      });
    } catch (error) {
      if (body instanceof ReadableStream && !body.locked) await body.cancel(error);
      throw error;
    }
  }

  get(
    key: string,
    options: StoreOptions & { range?: ByteRange } = {},
  ): Promise<ReadableStream<Uint8Array>> {
    return this.#call({ method: "get", key, signal: options.signal }, async (rule) => {
      const stream = await this.#inner.get(key, options);
      return rule?.afterBytes === undefined ? stream : breakAfter(stream, rule);
    });
  }

  delete(keys: readonly string[], options: StoreOptions = {}): Promise<void> {
    const call = { method: "delete", key: keys.join(" "), signal: options.signal } as const;
    return this.#call(call, () => this.#inner.delete(keys, options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }
}

function failure({ message = "made to fail", isAway = false, isOfObject = false }: StoreRule): Error {
  if (isOfObject) return new StoreError(message, { isOfObject });
  return isAway ? new StoreError(message, { isTransient: true, isAway }) : new Error(message);
}

function streamOfBody(body: Uint8Array | ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  return body instanceof ReadableStream ? body : new Blob([body.slice()]).stream();
}

function breakAfter(stream: ReadableStream<Uint8Array>, rule: StoreRule): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  let left = rule.afterBytes!;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (left === 0 || done) {
        await reader.cancel();
        throw failure(rule);
      }
      const chunk = value.slice(0, left);
      left -= chunk.length;
      controller.enqueue(chunk);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
