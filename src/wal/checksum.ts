/**
 * The checksum of WAL headers, frames and the wal-index: two running 32-bit sums over pairs of words.
 *
 * Per 8 bytes with words a and b: `s0 += a + s1`, then `s1 += b + s0`, modulo 2^32. The byte order of the words
 * is the WAL header's to say, and has nothing to do with how the sums themselves are stored.
 *
 * @see docs/FORMAT.md, "WAL checksum"
 */

/** Both sums, each 0…2^32 − 1. */
export type Checksum = readonly [number, number];

/** Whether this machine stores the least significant byte first. */
const HOST_IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** A checksum on its way over several stretches of bytes. */
export class RunningChecksum {
  #s0: number;
  #s1: number;
  readonly #swapped: boolean;

  /** @param bigEndian whether the words are read most significant byte first (magic `0x377f0683`) */
  constructor(bigEndian: boolean, [s0, s1]: Checksum = [0, 0]) {
    this.#s0 = s0 | 0;
    this.#s1 = s1 | 0;
    this.#swapped = bigEndian === HOST_IS_LITTLE_ENDIAN;
  }

  /** The sums so far. */
  get value(): Checksum {
    return [this.#s0 >>> 0, this.#s1 >>> 0];
  }

  /** Whether the sums so far are `s0` and `s1`. */
  equals(s0: number, s1: number): boolean {
    return this.#s0 === (s0 | 0) && this.#s1 === (s1 | 0);
  }

  /** Start again from `value`. */
  reset([s0, s1]: Checksum): void {
    this.#s0 = s0 | 0;
    this.#s1 = s1 | 0;
  }

  /** Go on over words `from`…`to` (exclusive, an even count) of `words` (see `wordsOf`). */
  update(words: Int32Array, from: number, to: number): void {
    let s0 = this.#s0;
    let s1 = this.#s1;
    if (this.#swapped) {
      for (let at = from; at < to; at += 2) {
        s0 = (s0 + swapBytes(words[at]!) + s1) | 0;
        s1 = (s1 + swapBytes(words[at + 1]!) + s0) | 0;
      }
    } else {
      for (let at = from; at < to; at += 2) {
        s0 = (s0 + words[at]! + s1) | 0;
        s1 = (s1 + words[at + 1]! + s0) | 0;
      }
    }
    this.#s0 = s0;
    this.#s1 = s1;
  }
}

/** A word with its four bytes in the other order. */
export function swapBytes(word: number): number {
  const halves = ((word & 0x00ff00ff) << 8) | ((word >>> 8) & 0x00ff00ff);
  return (halves << 16) | (halves >>> 16);
}

/** `bytes` as words in the machine's own order, in place where their address allows it. Whole words only. */
export function wordsOf(bytes: Uint8Array): Int32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >>> 2);
}

/** The checksum of `bytes` (a multiple of 8 long), continuing `seed`. */
export function walChecksum(
  bytes: Uint8Array,
  { bigEndian, seed = [0, 0] }: { bigEndian: boolean; seed?: Checksum },
): Checksum {
  if (bytes.length % 8 !== 0) throw new Error(`checksum over ${bytes.length} bytes, not a multiple of 8`);
  const running = new RunningChecksum(bigEndian, seed);
  const words = wordsOf(bytes);
  running.update(words, 0, words.length);
  return running.value;
}
