/**
 * How the last indexes of a generation ended, remembered beside their shadow files. A disk that kept less than it said
 * leaves a file after a power cut that ends with some commit, as any other does: nothing else tells that more is
 * missing.
 *
 * One JSON file, `generations/<generation>/walbrook-ended.json`. It is not synced: where it is old, broken or not there,
 * as with shadow files of Litestream's, it says nothing.
 */
import type { MetaDirectory } from "./meta_directory.ts";
import { formatIndex, type IndexEnd } from "../position.ts";

/** The disk had time to keep those before. */
const MOST_ENDS = 32;

/** A larger file is none of ours. */
const SIZE_LIMIT = 16 << 10;

/** The memory of one generation. */
export class EndedIndexes {
  readonly #meta: MetaDirectory;
  readonly #name: string;
  #ends: readonly IndexEnd[] | undefined;
  #isUnwritten = false;

  constructor(meta: MetaDirectory, generation: string) {
    this.#meta = meta;
    this.#name = `generations/${generation}/walbrook-ended.json`;
  }

  /** Those that are remembered, by rising index. */
  get ends(): readonly IndexEnd[] {
    return this.#ends ??= this.#read();
  }

  #read(): readonly IndexEnd[] {
    const value = this.#meta.readJson(this.#name, { limit: SIZE_LIMIT });
    return Array.isArray(value) && value.every(isEnd) ? value : [];
  }

  /** An index has ended, and is on the disk. The first commit of the next one doesn't wait until that is written down. */
  remember(end: IndexEnd): void {
    this.#ends = [...this.ends.filter(({ index }) => index < end.index), end].slice(-MOST_ENDS);
    this.#isUnwritten = true;
  }

  /** Write down what was remembered since the last time. */
  write(): void {
    if (!this.#isUnwritten) return;
    this.#isUnwritten = false;
    try {
      this.#meta.writeText(this.#name, `${JSON.stringify(this.#ends)}\n`);
    } catch {
      // It is a second look at what the disk has said already.
    }
  }

  /** How an index ended; `undefined` where nothing is remembered of it. */
  endOf(index: number): IndexEnd | undefined {
    return this.ends.find((end) => end.index === index);
  }

  /**
   * What is wrong with the files of indexes below `newest`.
   *
   * @param holds whether the file of an index still holds this end
   * @returns `undefined` when nothing is known to be
   */
  problemBelow(newest: number, holds: (end: IndexEnd) => boolean): string | undefined {
    const lost = this.ends.find((end) => end.index < newest && !holds(end));
    return lost && `the shadow wal of index ${formatIndex(lost.index)} has lost its end`;
  }

  /**
   * An end as its file has it now.
   *
   * @throws {Error} when more was remembered
   */
  checked(end: IndexEnd): IndexEnd {
    const known = this.endOf(end.index);
    if (known === undefined || known.length <= end.length) return end;
    throw new Error(
      `index ${formatIndex(end.index)} ends at ${end.length}, and was ${known.length} bytes long`,
    );
  }
}

function isEnd(value: unknown): value is IndexEnd {
  if (typeof value !== "object" || value === null) return false;
  const { index, length, checksum, salts } = value as Record<string, unknown>;
  return [checksum, salts].every((pair) => Array.isArray(pair) && pair.length === 2) &&
    [index, length, checksum, salts].flat().every(Number.isSafeInteger);
}
