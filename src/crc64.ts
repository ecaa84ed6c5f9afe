/**
 * CRC-64 ISO: reflected polynomial 0xD800000000000000, complemented before and after. JavaScript has no fast 64-bit
 * integers, so a checksum is two words of 32 bits.
 *
 * @see docs/FORMAT.md, and Go's `hash/crc64` with its ISO table, whose numbers these are
 */

/** High and low word of a checksum. */
export type Crc64 = readonly [high: number, low: number];

/** The checksum of no bytes. */
export const EMPTY_CRC64: Crc64 = [0, 0];

const POLYNOMIAL_HIGH = 0xd8000000;
const SLICE_COUNT = 8;
const WORD_BITS = 32;

/** Entry `slice × 256 + byte`: what `byte` does to the checksum when `slice` more bytes follow it. */
interface Tables {
  readonly high: Uint32Array;
  readonly low: Uint32Array;
}

let lazyTables: Tables | undefined;

function tables(): Tables {
  if (lazyTables !== undefined) return lazyTables;
  const high = new Uint32Array(SLICE_COUNT * 256);
  const low = new Uint32Array(SLICE_COUNT * 256);
  for (let byte = 0; byte < 256; byte++) {
    let [up, down] = [0, byte];
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = (down & 1) === 1;
      down = (down >>> 1) | (up << 31);
      up = (up >>> 1) ^ (isOdd ? POLYNOMIAL_HIGH : 0);
    }
    high[byte] = up;
    low[byte] = down;
  }
  for (let at = 256; at < SLICE_COUNT * 256; at++) {
    const [up, down] = [high[at - 256]!, low[at - 256]!];
    high[at] = (up >>> 8) ^ high[down & 0xff]!;
    low[at] = ((down >>> 8) | (up << 24)) ^ low[down & 0xff]!;
  }
  return lazyTables = { high, low };
}

/** The checksum of `bytes`, or of what `before` is the checksum of and then `bytes`. */
export function crc64(bytes: Uint8Array, before: Crc64 = EMPTY_CRC64): Crc64 {
  const { high, low } = tables();
  let up = ~before[0];
  let down = ~before[1];
  const end = bytes.length;
  const whole = end - end % SLICE_COUNT;
  let at = 0;
  for (; at < whole; at += SLICE_COUNT) {
    const a = 1792 + ((down ^ bytes[at]!) & 0xff);
    const b = 1536 + (((down >>> 8) ^ bytes[at + 1]!) & 0xff);
    const c = 1280 + (((down >>> 16) ^ bytes[at + 2]!) & 0xff);
    const d = 1024 + ((down >>> 24) ^ bytes[at + 3]!);
    const e = 768 + ((up ^ bytes[at + 4]!) & 0xff);
    const f = 512 + (((up >>> 8) ^ bytes[at + 5]!) & 0xff);
    const g = 256 + (((up >>> 16) ^ bytes[at + 6]!) & 0xff);
    const h = (up >>> 24) ^ bytes[at + 7]!;
    up = high[a]! ^ high[b]! ^ high[c]! ^ high[d]! ^ high[e]! ^ high[f]! ^ high[g]! ^ high[h]!;
    down = low[a]! ^ low[b]! ^ low[c]! ^ low[d]! ^ low[e]! ^ low[f]! ^ low[g]! ^ low[h]!;
  }
  for (; at < end; at++) {
    const entry = (down ^ bytes[at]!) & 0xff;
    down = ((down >>> 8) | (up << 24)) ^ low[entry]!;
    up = (up >>> 8) ^ high[entry]!;
  }
  return [~up >>> 0, ~down >>> 0];
}

/**
 * Joins checksums of pieces of one fixed length: the checksum of A and B together out of that of A, that of B, and
 * the length of B. Pages can so be checked one by one in any order, and still give the checksum of the whole file.
 */
export class Crc64Joiner {
  /** What a length of zeros does to each value of each byte of a checksum, lowest byte first. */
  readonly #high = new Uint32Array(SLICE_COUNT * 256);
  readonly #low = new Uint32Array(SLICE_COUNT * 256);

  /** @param length bytes of each piece that is appended */
  constructor(length: number) {
    const columns = zerosOperator(length);
    for (let entry = 0; entry < SLICE_COUNT * 256; entry++) {
      const base = (entry >>> 8) * 8;
      for (let bit = 0; bit < 8; bit++) {
        if ((entry >>> bit & 1) === 0) continue;
        const [up, down] = columns[base + bit]!;
        this.#high[entry] = this.#high[entry]! ^ up;
        this.#low[entry] = this.#low[entry]! ^ down;
      }
    }
  }

  /** The checksum of what `before` stands for followed by the piece of `next`. */
  join(before: Crc64, next: Crc64): Crc64 {
    let [up, down] = next;
    for (let byte = 0; byte < SLICE_COUNT; byte++) {
      const word = byte < 4 ? before[1] : before[0];
      const entry = byte * 256 + ((word >>> (byte % 4 * 8)) & 0xff);
      up ^= this.#high[entry]!;
      down ^= this.#low[entry]!;
    }
    return [up >>> 0, down >>> 0];
  }
}

/** Bit by bit (lowest first), what `length` zero bytes make of a register in which only that bit is set. */
function zerosOperator(length: number): Crc64[] {
  const { high, low } = tables();
  const single = Array.from({ length: 2 * WORD_BITS }, (_, bit): Crc64 => {
    const up = bit < WORD_BITS ? 0 : 1 << (bit - WORD_BITS);
    const down = bit < WORD_BITS ? 1 << bit : 0;
    return [((up >>> 8) ^ high[down & 0xff]!) >>> 0, (((down >>> 8) | (up << 24)) ^ low[down & 0xff]!) >>> 0];
  });
  let power = single;
  let result = Array.from(
    { length: 2 * WORD_BITS },
    (_, bit): Crc64 => bit < WORD_BITS ? [0, (1 << bit) >>> 0] : [(1 << (bit - WORD_BITS)) >>> 0, 0],
  );
  for (let rest = length; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = result.map((column) => applyOperator(power, column));
    power = power.map((column) => applyOperator(power, column));
  }
  return result;
}

function applyOperator(operator: readonly Crc64[], [high, low]: Crc64): Crc64 {
  let up = 0;
  let down = 0;
  for (let bit = 0; bit < 2 * WORD_BITS; bit++) {
    const word = bit < WORD_BITS ? low : high;
    if ((word >>> (bit % WORD_BITS) & 1) === 0) continue;
    up ^= operator[bit]![0];
    down ^= operator[bit]![1];
  }
  return [up >>> 0, down >>> 0];
}

/** 16 lowercase hex digits, as logs show a checksum. */
export function formatCrc64([high, low]: Crc64): string {
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}
