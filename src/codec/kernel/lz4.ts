/**
 * The LZ4 block codec and xxHash32 in AssemblyScript, compiled to `../lz4_wasm.ts` by `deno task build:kernel`.
 *
 * Static memory, no allocation, no imports. One call does one thing on the two regions and keeps nothing that
 * shows in a later result, so equal input gives equal bytes. Who needs history or a running hash across calls
 * writes them back first.
 *
 * | At         | Bytes          | What                                                                    |
 * |------------|----------------|-------------------------------------------------------------------------|
 * | HASH_AT    | 48             | state of a running xxHash32: total (8), lanes (16), tail (16), unused (8) |
 * | TABLE_AT   | 2 × TABLE_SIZE | compressor: low 16 bits of where a hash of 5 bytes was seen last        |
 * | INPUT_AT   | 4 MiB + slack  | what is read; a multiple of 64 KiB                                      |
 * | HISTORY_AT | 64 KiB         | decompressor: the bytes before the block, up against OUTPUT_AT          |
 * | OUTPUT_AT  | 4 MiB + slack  | what is written                                                         |
 *
 * The slack lets copies run over their end in steps of 16 bytes.
 */

const KIB: usize = 1024;
const PAGE: usize = 64 * KIB;
/** More find more matches and cost speed: 16 KiB of table leave half of a small first-level cache to the rest. */
const TABLE_BITS: i32 = 13;
const TABLE_SIZE: i32 = 1 << TABLE_BITS;

export const BLOCK_LIMIT: i32 = 4 * 1024 * 1024;
export const HASH_AT: usize = 16 * KIB;
export const TABLE_AT: usize = PAGE;
export const INPUT_AT: usize = 2 * PAGE;
export const HISTORY_AT: usize = INPUT_AT + BLOCK_LIMIT + PAGE;
export const OUTPUT_AT: usize = HISTORY_AT + PAGE;

// ---------------------------------------------------------------------------------------------- compressor

/** A match is at least this long. */
const MIN_MATCH: i32 = 4;
/** The last match starts at least so many bytes before the end of a block. */
const MATCH_START_MARGIN: i32 = 12;
/** The last so many bytes of a block are literals. */
const LAST_LITERALS: i32 = 5;
/** How far back a match reaches. */
const FARTHEST: u32 = 65535;
/** After 2 to this power misses the search begins to skip. */
const SKIP_TRIGGER: u32 = 6;

function hashOf(bytes: u64): usize {
  return <usize> (((bytes << 24) * 889523592379) >> (64 - TABLE_BITS)) << 1;
}

/** Copy `length` bytes in steps of 16; may write 15 more than that. */
function copyOver(to: usize, from: usize, length: i32): void {
  const end = to + length;
  do {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  } while (to < end);
}

/** Write the rest of a length whose four bits in the token were all ones. */
function writeLength(to: usize, rest: i32): usize {
  while (rest >= 255) {
    store<u8>(to++, 255);
    rest -= 255;
  }
  store<u8>(to++, rest);
  return to;
}

/** How many bytes from `left` up to `end` equal those from `right` on; reads up to 15 bytes past `end`. */
function countEqual(left: usize, right: usize, end: usize): i32 {
  const start = left;
  while (left < end) {
    const difference = load<u64>(left) ^ load<u64>(right);
    if (difference != 0) return min(<i32> (left - start) + <i32> (ctz(difference) >> 3), <i32> (end - start));
    left += 8;
    right += 8;
  }
  return <i32> (end - start);
}

/** How many bytes before `left` equal those before `right`, 8 at most. */
function countEqualBack(left: usize, right: usize): i32 {
  return <i32> (clz(load<u64>(left - 8) ^ load<u64>(right - 8)) >> 3);
}

/**
 * Compress `length` bytes (at most BLOCK_LIMIT) of the input region as one independent block.
 *
 * @returns bytes in the output region, always fewer than `length`; 0 when it would not shrink
 */
export function compress(length: i32): i32 {
  if (length <= MATCH_START_MARGIN) return 0;
  memory.fill(TABLE_AT, 0, TABLE_SIZE * 2);
  return compressFrom(INPUT_AT, INPUT_AT + length);
}

/**
 * A table entry names the nearest place before `at` with its low 16 bits, which is never before `start`: in the
 * first 64 KiB no entry is past `at`, and later 64 KiB are there to go back. What stands at that place decides.
 */
function compressFrom(start: usize, end: usize): i32 {
  const lastStart = end - MATCH_START_MARGIN;
  const matchEnd = end - LAST_LITERALS;
  const outputEnd = OUTPUT_AT + (end - start) - 1;
  let anchor = start;
  let at = start + 1;
  let to = OUTPUT_AT;

  while (true) {
    let distance: u32;
    let tries: u32 = 1 << SKIP_TRIGGER;
    while (true) {
      if (at > lastStart) return finish(to, anchor, end, outputEnd);
      const bytes = load<u64>(at);
      const slot = TABLE_AT + hashOf(bytes);
      distance = <u32> (at - load<u16>(slot)) & FARTHEST;
      store<u16>(slot, <u16> at);
      if (load<u32>(at - distance) == <u32> bytes && distance != 0) break;
      at += tries++ >> SKIP_TRIGGER;
    }
    const back = min(countEqualBack(at, at - distance), min(<i32> (at - anchor), <i32> (at - distance - start)));
    at -= back;

    let literals = <i32> (at - anchor);
    while (true) {
      const extra = countEqual(at + MIN_MATCH, at + MIN_MATCH - distance, matchEnd);
      // Token, offset, both lengths, and the token of the last literals.
      if (to + literals + (literals + extra) / 255 + 8 > outputEnd) return 0;
      const token = to++;
      if (literals < 15) v128.store(to, v128.load(anchor));
      else {
        to = writeLength(to, literals - 15);
        copyOver(to, anchor, literals);
      }
      to += literals;
      store<u16>(to, <u16> distance);
      to += 2;
      if (extra >= 15) to = writeLength(to, extra - 15);
      store<u8>(token, (min(literals, 15) << 4) | min(extra, 15));

      at += MIN_MATCH + extra;
      anchor = at;
      if (at > lastStart) return finish(to, anchor, end, outputEnd);
      const bytes = load<u64>(at);
      const slot = TABLE_AT + hashOf(bytes);
      distance = <u32> (at - load<u16>(slot)) & FARTHEST;
      store<u16>(slot, <u16> at);
      if (load<u32>(at - distance) != <u32> bytes || distance == 0) break;
      literals = 0;
    }
    at++;
  }
}

/** Write the last literals; 0 when the block did not shrink. */
function finish(to: usize, anchor: usize, end: usize, outputEnd: usize): i32 {
  const literals = <i32> (end - anchor);
  if (to + 1 + literals + (literals + 240) / 255 > outputEnd) return 0;
  store<u8>(to++, min(literals, 15) << 4);
  if (literals >= 15) to = writeLength(to, literals - 15);
  memory.copy(to, anchor, literals);
  return <i32> (to + literals - OUTPUT_AT);
}

// -------------------------------------------------------------------------------------------- decompressor

/** Row n: the numbers 0 to 15 modulo n, which repeat a pattern of n bytes over a vector. */
const PATTERNS = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1,
  0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0,
  0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3,
  0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0,
  0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3,
  0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 0, 1,
  0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7,
  0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5, 6,
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5,
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2, 3, 4,
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3,
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 1, 2,
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0, 1,
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0,
]);

/** Repeat the `distance` (1 to 15) bytes before `to` over `length` bytes. */
function repeat(to: usize, distance: u32, length: i32): void {
  const pattern = v128.swizzle(v128.load(to - distance), v128.load(PATTERNS + (distance << 4)));
  const step = 16 - 16 % distance;
  const end = to + length;
  do {
    v128.store(to, pattern);
    to += step;
  } while (to < end);
}

/**
 * Decompress one block of `length` bytes in the input region.
 *
 * @param capacity the most bytes that it may decode to, at most BLOCK_LIMIT
 * @param history bytes before OUTPUT_AT that a match may reach, at most 64 KiB
 * @returns bytes in the output region; when the block isn't legal, -1 less the place in it where that showed
 */
export function decompress(length: i32, capacity: i32, history: i32): i32 {
  const inputEnd = INPUT_AT + length;
  const outputEnd = OUTPUT_AT + capacity;
  const lowest = OUTPUT_AT - history;
  // Up to here the 14 literals, the offset and the 18 bytes of a match that one token says at most fit without a look,
  // and another sequence follows.
  const shortAt = inputEnd - 18;
  const shortTo = outputEnd - 33;
  let at = INPUT_AT;
  let to = OUTPUT_AT;

  while (at < inputEnd) {
    const token = <i32> load<u8>(at++);
    let literals = token >> 4;
    let count = token & 15;
    if (literals < 15 && count < 15 && at <= shortAt && to <= shortTo) {
      const distance = <u32> load<u16>(at + literals);
      const from = to + literals - distance;
      if (distance >= 16 && from >= lowest) {
        v128.store(to, v128.load(at));
        to += literals;
        at += literals + 2;
        v128.store(to, v128.load(from));
        store<u16>(to, load<u16>(from, 16), 16);
        to += count + MIN_MATCH;
        continue;
      }
    }
    if (literals < 15) {
      if (literals > <i32> (inputEnd - at) || literals > <i32> (outputEnd - to)) break;
      v128.store(to, v128.load(at));
    } else {
      let byte: i32;
      do {
        if (at >= inputEnd) return failure(at);
        byte = load<u8>(at++);
        literals += byte;
      } while (byte == 255);
      if (literals > <i32> (inputEnd - at) || literals > <i32> (outputEnd - to)) break;
      copyOver(to, at, literals);
    }
    at += literals;
    to += literals;
    if (at == inputEnd) {
      // No match follows. Every encoder leaves these bits 0, so other bits are damage that nothing else would show.
      if ((token & 15) != 0) break;
      return <i32> (to - OUTPUT_AT);
    }

    if (<i32> (inputEnd - at) < 2) break;
    const distance = <u32> load<u16>(at);
    at += 2;
    if (distance == 0 || to - distance < lowest) break;
    if (count == 15) {
      let byte: i32;
      do {
        if (at >= inputEnd) return failure(at);
        byte = load<u8>(at++);
        count += byte;
      } while (byte == 255);
    }
    count += MIN_MATCH;
    if (count > <i32> (outputEnd - to)) break;
    if (distance >= 16) copyOver(to, to - distance, count);
    else repeat(to, distance, count);
    to += count;
  }
  return failure(at);
}

function failure(at: usize): i32 {
  return -1 - <i32> (at - INPUT_AT);
}

// ------------------------------------------------------------------------------------------------ xxHash32

const PRIME_1: u32 = 2654435761;
const PRIME_2: u32 = 2246822519;
const PRIME_3: u32 = 3266489917;
const PRIME_4: u32 = 668265263;
const PRIME_5: u32 = 374761393;

const LANES_AT: usize = HASH_AT + 8;
const TAIL_AT: usize = HASH_AT + 24;

/** Begin a hash (seed 0) in the state at HASH_AT. */
export function hashReset(): void {
  store<u64>(HASH_AT, 0);
  store<u32>(LANES_AT, PRIME_1 + PRIME_2);
  store<u32>(LANES_AT, PRIME_2, 4);
  store<u32>(LANES_AT, 0, 8);
  store<u32>(LANES_AT, 0 - PRIME_1, 12);
}

function round(lane: u32, word: u32): u32 {
  return rotl(lane + word * PRIME_2, 13) * PRIME_1;
}

/** Take whole stripes of 16 bytes from `at` up to `end`. */
function takeStripes(at: usize, end: usize): void {
  let lane1 = load<u32>(LANES_AT);
  let lane2 = load<u32>(LANES_AT, 4);
  let lane3 = load<u32>(LANES_AT, 8);
  let lane4 = load<u32>(LANES_AT, 12);
  while (at < end) {
    lane1 = round(lane1, load<u32>(at));
    lane2 = round(lane2, load<u32>(at, 4));
    lane3 = round(lane3, load<u32>(at, 8));
    lane4 = round(lane4, load<u32>(at, 12));
    at += 16;
  }
  store<u32>(LANES_AT, lane1);
  store<u32>(LANES_AT, lane2, 4);
  store<u32>(LANES_AT, lane3, 8);
  store<u32>(LANES_AT, lane4, 12);
}

/** Add `length` bytes at `at` to the state. */
export function hashUpdate(at: usize, length: i32): void {
  const total = load<u64>(HASH_AT);
  store<u64>(HASH_AT, total + length);
  const end = at + length;
  const held = <i32> (total & 15);
  if (held > 0) {
    const missing = min(16 - held, length);
    memory.copy(TAIL_AT + held, at, missing);
    if (held + missing < 16) return;
    takeStripes(TAIL_AT, TAIL_AT + 16);
    at += missing;
  }
  const stripesEnd = at + ((end - at) & ~15);
  takeStripes(at, stripesEnd);
  memory.copy(TAIL_AT, stripesEnd, end - stripesEnd);
}

/** The hash of everything that was added so far; the state stays as it is. */
export function hashDigest(): u32 {
  const total = load<u64>(HASH_AT);
  let hash: u32;
  if (total >= 16) {
    hash = rotl(load<u32>(LANES_AT), 1) + rotl(load<u32>(LANES_AT, 4), 7) +
      rotl(load<u32>(LANES_AT, 8), 12) + rotl(load<u32>(LANES_AT, 12), 18);
  } else {
    hash = PRIME_5;
  }
  hash += <u32> total;
  let at = TAIL_AT;
  const end = TAIL_AT + <usize> (total & 15);
  while (at + 4 <= end) {
    hash = rotl(hash + load<u32>(at) * PRIME_3, 17) * PRIME_4;
    at += 4;
  }
  while (at < end) hash = rotl(hash + <u32> load<u8>(at++) * PRIME_5, 11) * PRIME_1;
  hash = (hash ^ (hash >> 15)) * PRIME_2;
  hash = (hash ^ (hash >> 13)) * PRIME_3;
  return hash ^ (hash >> 16);
}
