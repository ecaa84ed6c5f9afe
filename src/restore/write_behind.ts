/** A file written from its start to its end while the next bytes are made. */
import type { OpenFile } from "../runtime/files.ts";

/** Where the bytes go, and when they go on to the disk. */
export interface WriteBehindOptions {
  readonly file: Pick<OpenFile, "write"> & Partial<Pick<OpenFile, "sync">>;
  /**
   * Bytes after which what was written begins to be brought to the disk, so that the sync at the end finds little left
   * to do. Default: never before.
   */
  readonly syncEvery?: number | undefined;
}

/** One write, and one sync, are under way at most. Disposed of, nothing is: only then may the file be closed. */
export class WriteBehind implements AsyncDisposable {
  readonly #options: WriteBehindOptions;
  #size = 0;
  #sinceSync = 0;
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> | undefined;
  /** The system tells of a failed sync once, so it is kept until somebody waits. */
  #syncFailure: { readonly error: unknown } | undefined;

  constructor(options: WriteBehindOptions) {
    this.#options = options;
  }

  /** Bytes given so far. */
  get size(): number {
    return this.#size;
  }

  /**
   * Begin to write `bytes` behind those before. They have to hold until the next call, or `finish()`, has ended.
   *
   * @throws {Error} when what was given before can't be written
   */
  async write(bytes: Uint8Array): Promise<void> {
    await this.#writing;
    this.#throwSyncFailure();
    this.#syncNow();
    this.#writing = this.#options.file.write(bytes, this.#size);
    // Whoever waits for it next is told.
    this.#writing.catch(() => {});
    this.#size += bytes.length;
    this.#sinceSync += bytes.length;
  }

  #syncNow(): void {
    const { file, syncEvery = Infinity } = this.#options;
    if (this.#sinceSync < syncEvery || this.#syncing !== undefined) return;
    this.#sinceSync = 0;
    this.#syncing = file.sync?.()
      .catch((error) => void (this.#syncFailure = { error }))
      .finally(() => this.#syncing = undefined);
  }

  #throwSyncFailure(): void {
    if (this.#syncFailure !== undefined) throw this.#syncFailure.error;
  }

  /** Wait until all of it is written. What was not synced yet is for the caller to sync. */
  async finish(): Promise<void> {
    await this.#writing;
    await this.#syncing;
    this.#throwSyncFailure();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.finish().catch(() => {});
    // A write that failed does not wait for the sync.
    await this.#syncing;
  }
}
