/**
 * Whether anything was added to some folders, removed or renamed in them, by the time that the file system keeps of
 * that: one call for a folder in place of one for each file that could have been replaced.
 */
import type { Files } from "../runtime/files.ts";

/** Deno knows that time to the second only: a change just after a look could have the time of one just before. */
const SETTLED_MS = 3000;

/** After this long the files themselves are looked at in any case, whatever file system keeps no such times. */
const TRUSTED_MS = 60_000;

/** What was seen of one path. */
interface Stamp {
  readonly device: number;
  readonly inode: number;
  readonly size: number;
  readonly changedMs: number;
}

/** The stamps of some paths at one moment. */
export class Stamps {
  readonly #stamps: readonly (Stamp | undefined)[];
  readonly #until: number;

  private constructor(
    readonly paths: readonly string[],
    stamps: readonly (Stamp | undefined)[],
    until: number,
  ) {
    this.#stamps = stamps;
    this.#until = until;
  }

  /**
   * Taken before the files are looked at.
   *
   * @param now milliseconds since 1970
   */
  static take(paths: readonly string[], { files, now }: { files: Files; now: number }): Stamps {
    const stamps = paths.map((path) => files.statSync(path));
    const isSettled = stamps.every((stamp) => stamp !== undefined && stamp.changedMs < now - SETTLED_MS);
    const seen = stamps.map((stamp) =>
      stamp && { device: stamp.device, inode: stamp.inode, size: stamp.size, changedMs: stamp.changedMs }
    );
    return new Stamps(paths, seen, isSettled ? now + TRUSTED_MS : -Infinity);
  }

  /** Whether nothing has happened since to what these paths name. */
  holds({ files, now }: { files: Files; now: number }): boolean {
    if (!(now < this.#until && now >= this.#until - TRUSTED_MS)) return false;
    return this.paths.every((path, at) => {
      const stamp = files.statSync(path);
      const seen = this.#stamps[at];
      return stamp !== undefined && seen !== undefined && stamp.inode === seen.inode &&
        stamp.device === seen.device && stamp.size === seen.size && stamp.changedMs === seen.changedMs;
    });
  }
}
