/** A store in memory whose listings and objects a test edits at will; it lists in the order of its map. */
import { streamOf } from "../../src/bytes.ts";
import { NotFoundError, StoreError } from "../../src/errors.ts";
import type { ByteRange, ObjectInfo, ObjectStore, StoreOptions } from "../../src/storage/object_store.ts";

/** One object. */
export interface MemoryObject {
  readonly bytes: Uint8Array;
  readonly createdAt: Date;
  /** In listings, but no longer there. Default false. */
  readonly isGone?: boolean;
  /** There, but in no listing: a stale one. Default false. */
  readonly isHidden?: boolean;
  /** In listings, but the store can't give it. Default false. */
  readonly isUnreadable?: boolean;
}

/** Objects by their keys. */
export class MemoryStore implements ObjectStore {
  readonly type = "memory";
  readonly place = "memory";

  constructor(readonly objects: Map<string, MemoryObject>) {}

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    for (const [key, { bytes, createdAt, isHidden }] of this.objects) {
      if (key.startsWith(prefix) && isHidden !== true) yield { key, size: bytes.length, createdAt };
    }
  }

  async listFolders(prefix: string): Promise<string[]> {
    const names = new Set<string>();
    for await (const { key } of this.list(prefix)) names.add(key.slice(prefix.length).split("/")[0]!);
    return [...names];
  }

  get(key: string, { range }: StoreOptions & { range?: ByteRange } = {}) {
    const object = this.objects.get(key);
    if (object === undefined || object.isGone) return Promise.reject(new NotFoundError(`${key}: not there`));
    if (object.isUnreadable) return Promise.reject(new StoreError(`cannot read ${key}: made to fail`));
    return Promise.resolve(streamOf(object.bytes.slice(range?.start, range?.end)));
  }

  put(): Promise<ObjectInfo> {
    return Promise.reject(new Error("made to be read"));
  }

  delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.objects.delete(key);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
