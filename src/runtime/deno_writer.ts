/** Large writes that don't block. Deno's `node:fs` writes within the call; its own interface has a thread do it. */

import { fstatSync } from "node:fs";

interface DenoFile {
  statSync(): { readonly dev: number; readonly ino: number | null };
  seek(offset: number, whence: 0): Promise<number>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

interface DenoOpen {
  openSync(path: string, options: { write: true }): DenoFile;
}

const deno = (globalThis as { Deno?: DenoOpen }).Deno;

/** Writes below this are over sooner than a thread has been woken. */
const LARGE_SIZE = 256 * 1024;

/** A second way to a file that is open. */
export class DenoWriter {
  readonly #file: DenoFile;
  #cursor = 0;
  /** There is one cursor: writes take turns. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(file: DenoFile) {
    this.#file = file;
  }

  /** Whether `bytes` are worth one. */
  static isFor(bytes: Uint8Array): boolean {
    return deno !== undefined && bytes.length >= LARGE_SIZE;
  }

  /**
   * To the file that `descriptor` is open on.
   *
   * @returns `undefined` where that can't be opened again: nobody may write it, or `path` names another file by now
   */
  static open(path: string, { descriptor }: { descriptor: number }): DenoWriter | undefined {
    if (deno === undefined) return undefined;
    try {
      const file = deno.openSync(path, { write: true });
      const [ours, theirs] = [fstatSync(descriptor), file.statSync()];
      if (ours.dev === theirs.dev && ours.ino === theirs.ino) return new DenoWriter(file);
      file.close();
    } catch {
      // The one descriptor does.
    }
    return undefined;
  }

  /** Write all of `bytes`, which have to hold until then, at byte `position`. */
  write(bytes: Uint8Array, position: number): Promise<void> {
    const written = this.#last.then(() => this.#write(bytes, position));
    this.#last = written.catch(() => {});
    return written;
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    if (this.#cursor !== position) this.#cursor = await this.#file.seek(position, 0);
    for (let done = 0; done < bytes.length;) {
      const count = await this.#file.write(bytes.subarray(done));
      done += count;
      this.#cursor += count;
    }
  }

  close(): void {
    this.#file.close();
  }
}
