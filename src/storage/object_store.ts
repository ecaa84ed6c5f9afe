/**
 * The contract of every store. A store is rooted: keys are relative to the folder, bucket prefix or path it
 * was built with, parts joined by `/`, without a leading one.
 *
 * `tests/contract/object_store.ts` is the suite that each store passes.
 */

/** One stored object. */
export interface ObjectInfo {
  readonly key: string;
  /** Bytes as stored. */
  readonly size: number;
  /** When the object came to be, by the store's clock and in its resolution. */
  readonly createdAt: Date;
}

/** A part of an object. */
export interface ByteRange {
  /** First byte, counted from 0. */
  readonly start: number;
  /** The byte after the last one; absent: to the end of the object. Past the end means the end. */
  readonly end?: number;
}

/** What every call takes: rejects with the signal's reason when it fires. */
export interface StoreOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What a listing takes. */
export interface ListOptions extends StoreOptions {
  /** Keys up to this one aren't needed: it saves requests where the store can begin behind it, others pass it over. */
  readonly after?: string | undefined;
}

/** What a look at the times of objects takes. */
export interface TimesOptions extends StoreOptions {
  /** Asked once for each name; what isn't wanted isn't looked at. */
  readonly isWanted: (name: string) => boolean;
  /** Called with when an object came to be, in milliseconds since 1970. */
  readonly visit: (createdMs: number) => void;
}

/** What to read, and where memory for it is. */
export interface ReadOptions extends StoreOptions {
  /** First byte, counted from 0. Default 0. */
  readonly start?: number | undefined;
  /** Bytes from there; fewer come when the object ends before. */
  readonly size: number;
  /** Memory of `size` bytes or more, from the first byte of its buffer on. A store that has its own doesn't ask. */
  acquire(): Uint8Array<ArrayBuffer>;
}

/** A part of an object in memory. */
export interface ReadPart {
  /** The caller's own, from byte 0 of a buffer that nothing else is in: what it acquired, or the store's. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of the whole object, where the store says it. */
  readonly objectSize: number | undefined;
  /** The same for all parts until the object is replaced by another one, where the store can tell. */
  readonly version?: string | undefined;
}

/** Where replicas live. */
export interface ObjectStore extends AsyncDisposable {
  /** `file`, `s3`, `gcs`, `abs`, `sftp`…: the replica's type in the configuration. */
  readonly type: string;
  /** The place in words for messages and logs, without secrets: `/backup/app`, `s3://bucket/app`. */
  readonly place: string;

  /**
   * Whether the place is there and its keys are good; nothing is written. Only stores have it where that can be asked.
   *
   * @throws {StoreError} in one line that says what to do
   */
  readonly check?: ((options?: StoreOptions) => Promise<void>) | undefined;

  /**
   * Every object whose key starts with `prefix` (which ends in `/` or is empty), at any depth, page by page
   * inside, in no order. Nothing there is an empty list, not an error.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>;

  /**
   * The objects of `list()`, many at a time. Only stores have it that find so many so fast that to wait for each one
   * would take longer.
   */
  readonly listPages?:
    | ((prefix: string, options?: ListOptions) => AsyncIterable<readonly ObjectInfo[]>)
    | undefined;

  /**
   * When the objects right under `prefix` came to be. Only stores have it which must look at each object for that, and
   * which list no other way for less.
   */
  readonly visitTimes?: ((prefix: string, options: TimesOptions) => Promise<void>) | undefined;

  /**
   * The keys of `list()`, and perhaps of what it passes over. Only stores have it which must look at each object for the
   * rest; they have `look()` too.
   */
  readonly listKeys?: ((prefix: string, options?: StoreOptions) => Promise<string[]>) | undefined;

  /** One of them as `list()` has it; `undefined` when that passes it over. */
  readonly look?: ((key: string, options?: StoreOptions) => Promise<ObjectInfo | undefined>) | undefined;

  /** Names of the folders directly under `prefix`, without slashes, in no order. */
  listFolders(prefix: string, options?: StoreOptions): Promise<string[]>;

  /**
   * Store `body` under `key`, replacing what was there. The object is seen whole or not at all: a body that
   * fails, a signal or a crash leaves no object (or the one from before). Resolves when it is durable.
   *
   * A chunk of a stream is valid only until the next one is read, so a store copies what it keeps.
   */
  put(
    key: string,
    body: Uint8Array | ReadableStream<Uint8Array>,
    options?: StoreOptions,
  ): Promise<ObjectInfo>;

  /**
   * The bytes of an object, or of a range of it. Cancel the stream to stop early.
   *
   * @throws {NotFoundError} when there is no such object
   */
  get(key: string, options?: StoreOptions & { range?: ByteRange }): Promise<ReadableStream<Uint8Array>>;

  /**
   * A part of an object at one go. Only stores have it for which this is cheaper than a stream.
   *
   * @throws {NotFoundError} when there is no such object
   */
  readonly read?: ((key: string, options: ReadOptions) => Promise<ReadPart>) | undefined;

  /**
   * What puts under `prefix` that have not ended, or broke off for good, have left, in words of the store. Only stores
   * that can tell have it.
   */
  readonly listUnfinished?: ((prefix: string, options?: StoreOptions) => Promise<string[]>) | undefined;

  /** Delete objects; those that are gone already are fine. The first failure is thrown after trying all. */
  delete(keys: readonly string[], options?: StoreOptions): Promise<void>;

  /**
   * Remove what a crash of ours left half-written; for the start of `replicate`. What is young stays: a put that is
   * running, of this process or of another, may still need it. The first failure is thrown after trying all. Absent
   * where nothing stays behind.
   *
   * @returns how many there were
   */
  readonly cleanUp?: ((options?: StoreOptions) => Promise<number>) | undefined;

  /**
   * Resolves once something answers again, after an error that `isAway`; rejects with the signal's reason. Only stores
   * that can find out at no cost have it.
   */
  readonly answering?: ((options: { readonly signal: AbortSignal }) => Promise<void>) | undefined;
}
