/** A store that counts the requests to another one. */
import type { ByteRange, ObjectInfo, ObjectStore, StoreOptions } from "../../src/storage/object_store.ts";

/** Passes everything on; `gets` holds each key that was read, with `+` behind it when only a range was. */
export class CountingStore implements ObjectStore {
  readonly gets: string[] = [];
  /** Prefixes that were listed, in order. */
  readonly lists: string[] = [];

  constructor(readonly inner: ObjectStore) {}

  get type(): string {
    return this.inner.type;
  }

  get place(): string {
    return this.inner.place;
  }

  list(prefix: string, options?: StoreOptions): AsyncIterable<ObjectInfo> {
    this.lists.push(prefix);
    return this.inner.list(prefix, options);
  }

  listFolders(prefix: string, options?: StoreOptions): Promise<string[]> {
    this.lists.push(prefix);
    return this.inner.listFolders(prefix, options);
  }

  put(
    key: string,
    body: Uint8Array | ReadableStream<Uint8Array>,
    options?: StoreOptions,
  ): Promise<ObjectInfo> {
    return this.inner.put(key, body, options);
  }

  get(key: string, options?: StoreOptions & { range?: ByteRange }): Promise<ReadableStream<Uint8Array>> {
    this.gets.push(options?.range === undefined ? key : `${key}+`);
    return this.inner.get(key, options);
  }

  delete(keys: readonly string[], options?: StoreOptions): Promise<void> {
    return this.inner.delete(keys, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.inner[Symbol.asyncDispose]();
  }
}
