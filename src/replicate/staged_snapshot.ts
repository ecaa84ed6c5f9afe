import { Notice, orAbort } from "../async.ts";
import { continueCrc32 } from "../runtime/digests.ts";
import type { Files, OpenFile } from "../runtime/files.ts";

/** Bytes that are read back at once. */
const READ_BYTES = 256 * 1024;

/** What a snapshot is staged with. */
export interface StageOptions {
  /** Where no file is. */
  readonly path: string;
  readonly files: Files;
  readonly signal: AbortSignal;
}

/**
 * A compressed snapshot on the local disk, which can be read while it is still written: its source is let go as soon as
 * that is read, and yet the store needn't wait for it. Disposed of, the file is gone.
 */
export class StagedSnapshot implements AsyncDisposable {
  /** When all of it is on the disk, or the source failed. */
  readonly ended: Promise<void>;
  readonly #options: StageOptions;
  readonly #stopped = new AbortController();
  readonly #signal: AbortSignal;
  readonly #advanced = new Notice();
  #written = 0;
  /** CRC-32 of what was written. */
  #sum = 0;
  #outcome: { readonly error?: unknown } | undefined;

  private constructor(source: ReadableStream<Uint8Array>, file: OpenFile, options: StageOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#stopped.signal]);
    this.ended = this.#copy(source, file);
  }

  /** Begin to write what `source` gives. */
  static async begin(source: ReadableStream<Uint8Array>, options: StageOptions): Promise<StagedSnapshot> {
    const { path, files } = options;
    try {
      return new StagedSnapshot(source, await files.open(path, { access: "create-new" }), options);
    } catch (error) {
      await source.cancel(error).catch(() => {}); // Why it can't be staged is what counts.
      throw error;
    }
  }

  async #copy(source: ReadableStream<Uint8Array>, file: OpenFile): Promise<void> {
    const reader = source.getReader();
    try {
      using _ = file;
      for (;;) {
        // A source that hangs must not keep us from giving up.
        const { done, value } = await orAbort(reader.read(), this.#signal);
        if (done) break;
        await file.write(value, this.#written);
        this.#sum = continueCrc32(this.#sum, value);
        this.#written += value.length;
        this.#advanced.notify();
      }
      this.#outcome = {};
    } catch (error) {
      reader.cancel(error).catch(() => {}); // The first failure is what counts.
      // Told by the stream: it can't end as if it were whole.
      this.#outcome = { error };
    }
    this.#advanced.notify();
  }

  /**
   * The snapshot from its start; waits for what is not written yet, and fails as its source did, or at its end when it
   * is not what was written: no store verifies an object that was changed before it came there.
   *
   * @param onRead called with the bytes that were given out so far
   */
  read(onRead: (done: number) => void = () => {}): ReadableStream<Uint8Array> {
    const { path, files } = this.#options;
    const file = files.openSync(path, { access: "read" });
    const buffer = new Uint8Array(READ_BYTES);
    let position = 0;
    let sum = 0;
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          const count = await this.#readable(position);
          if (count > 0) {
            const got = await file.read(buffer.subarray(0, Math.min(count, READ_BYTES)), position);
            if (got === 0) throw new Error(`${path} became shorter while it was read`);
            sum = continueCrc32(sum, buffer.subarray(0, got));
            position += got;
            onRead(position);
            return controller.enqueue(buffer.subarray(0, got));
          }
          if (sum !== this.#sum) throw new Error(`${path} was changed by another program`);
        } catch (error) {
          file.close();
          throw error;
        }
        file.close();
        controller.close();
      },
      cancel: () => file.close(),
    }, { highWaterMark: 0 });
  }

  /** Wait until there are bytes behind `position`; how many, 0 at the end. */
  async #readable(position: number): Promise<number> {
    for (;;) {
      const token = this.#advanced.token;
      if (this.#outcome !== undefined && "error" in this.#outcome) throw this.#outcome.error;
      if (this.#written > position || this.#outcome !== undefined) return this.#written - position;
      await orAbort(token, this.#signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort(new Error("the snapshot is no longer wanted"));
    await this.ended;
    await this.#options.files.remove(this.#options.path);
  }
}
