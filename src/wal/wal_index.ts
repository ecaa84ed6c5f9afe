/**
 * The header of the wal-index (the `-shm` file), where SQLite publishes what is committed. Native byte order.
 *
 * | At  | Bytes | What                                                                     |
 * |-----|-------|--------------------------------------------------------------------------|
 * | 0   | 48    | header                                                                   |
 * | 48  | 48    | the same again; unequal while a writer is publishing                     |
 * | 96  | 4     | frames backfilled into the database                                      |
 * | 100 | 20    | read marks of the five reader slots; slot 0 is always 0                  |
 *
 * Within a header: version 3007000 (0), change counter (8), isInit (12, one byte), big-endian checksum flag (13),
 * page size (14, 2 bytes, 1 means 65536), mxFrame (16), database size in pages (20), checksum of the last frame
 * (24, 28), salts as their bytes stand in the WAL header (32…39), checksum of bytes 0…39 in native words (40, 44).
 */
import { type Checksum, swapBytes, wordsOf } from "./checksum.ts";
import { equalPair, type Salts } from "./header.ts";

/** Bytes to read for one look. */
export const WAL_INDEX_SIZE = 136;

const COPY_WORDS = 12;
const FORMAT_VERSION = 3007000;
const NATIVE_LITTLE = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** What is committed, backfilled and read, at one moment. */
export interface WalIndex {
  /** Frames that are committed; 0 when the WAL is empty. */
  readonly mxFrame: number;
  /** Database size in pages. */
  readonly pageCount: number;
  readonly pageSize: number;
  readonly frameChecksum: Checksum;
  readonly salts: Salts;
  /** Grows with every transaction. */
  readonly change: number;
  /** Frames that are in the database file already. */
  readonly backfilledCount: number;
  /** Read marks of slots 1…4; 0xffffffff where a slot is not in use. */
  readonly readMarks: readonly number[];
}

/** Whether both say that the same is committed, whatever is backfilled or read of it. */
export function hasSameCommits(left: WalIndex, right: WalIndex): boolean {
  return left.change === right.change && left.mxFrame === right.mxFrame && equalPair(left.salts, right.salts);
}

/** The state in the first 136 bytes of the `-shm` file; `undefined` when they are not consistent: read again. */
export function parseWalIndex(bytes: Uint8Array): WalIndex | undefined {
  return bytes.length < WAL_INDEX_SIZE ? undefined : parseWalIndexWords(wordsOf(bytes));
}

/**
 * The same of the 34 words that those bytes are, in the machine's own order.
 *
 * A busy database is looked at dozens of times a second, and each time it says something new: no view is made of it.
 */
export function parseWalIndexWords(words: Int32Array): WalIndex | undefined {
  for (let at = 0; at < COPY_WORDS; at++) if (words[at] !== words[COPY_WORDS + at]) return undefined;
  if (words[0] !== FORMAT_VERSION || byteAt(words, 12) !== 1 || !isChecksumRight(words)) return undefined;
  // Untested: neither runtime is built for a big-endian machine.
  const pageSize = NATIVE_LITTLE ? words[3]! >>> 16 : words[3]! & 0xffff;
  return {
    mxFrame: words[4]! >>> 0,
    pageCount: words[5]! >>> 0,
    pageSize: pageSize === 1 ? 65536 : pageSize,
    frameChecksum: [words[6]! >>> 0, words[7]! >>> 0],
    salts: [bigEndian(words[8]!), bigEndian(words[9]!)],
    change: words[2]! >>> 0,
    backfilledCount: words[24]! >>> 0,
    readMarks: [words[26]! >>> 0, words[27]! >>> 0, words[28]! >>> 0, words[29]! >>> 0],
  };
}

function byteAt(words: Int32Array, at: number): number {
  // Untested: as above.
  const place = NATIVE_LITTLE ? at & 3 : 3 - (at & 3);
  return words[at >>> 2]! >>> 8 * place & 0xff;
}

/** Whether bytes 40…47 state the WAL checksum of bytes 0…39, in native words. */
function isChecksumRight(words: Int32Array): boolean {
  let [s0, s1] = [0, 0];
  for (let at = 0; at < 10; at += 2) {
    s0 = (s0 + words[at]! + s1) | 0;
    s1 = (s1 + words[at + 1]! + s0) | 0;
  }
  return s0 === words[10] && s1 === words[11];
}

/** The value of a word whose bytes stand in big-endian order. */
function bigEndian(word: number): number {
  // Untested: as above.
  return (NATIVE_LITTLE ? swapBytes(word) : word) >>> 0;
}
