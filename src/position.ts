/**
 * Where a database or a replica stands: generation, index, offset.
 *
 * | Thing      | Written as                                     |
 * |------------|------------------------------------------------|
 * | generation | 16 lowercase hex digits                        |
 * | index      | at least 8 lowercase hex digits, ≤ 0x7fffffff  |
 * | offset     | bytes into the WAL file, 0 or frame-aligned    |
 * | position   | `generation/index:offset`, offset in decimal   |
 *
 * @see docs/FORMAT.md, "Names"
 */

/** A point in the history of one database. Offsets are bytes of the uncompressed WAL file, header included. */
export interface Position {
  readonly generation: string;
  readonly index: number;
  readonly offset: number;
}

/** A point within one generation. */
export interface IndexOffset {
  readonly index: number;
  readonly offset: number;
}

/** Where one WAL file of a generation ended; the notes of the next one repeat it, so that a gap can be seen. */
export interface IndexEnd {
  readonly index: number;
  /** Bytes of the whole WAL, header included. */
  readonly length: number;
  /** Both words of the last frame's checksum. */
  readonly checksum: readonly [number, number];
  /** Both salts of the WAL header. */
  readonly salts: readonly [number, number];
}

/** The largest index of the format; a generation that gets there has to end. */
export const MAX_INDEX = 0x7fffffff;

/** Bytes of a WAL header. */
export const WAL_HEADER_SIZE = 32;

/** Bytes of a frame header; a page follows it. */
export const FRAME_HEADER_SIZE = 24;

/** Whether `name` is a generation: 16 lowercase hex digits. */
export function isGeneration(name: string): boolean {
  return /^[0-9a-f]{16}$/.test(name);
}

/** A fresh generation name from the system's random source. */
export function newGeneration(): string {
  const random = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `index` as in object names: at least 8 lowercase hex digits. */
export function formatIndex(index: number): string {
  return index.toString(16).padStart(8, "0");
}

/** `position` as in logs: `d3fec2d6d6dfa285/00000001:568`; absent is the empty string. */
export function formatPosition(position: Position | undefined): string {
  if (position === undefined) return "";
  return `${position.generation}/${formatIndex(position.index)}:${position.offset}`;
}

/** Negative, zero or positive as `left` comes before, at or after `right`. */
export function comparePositions(left: IndexOffset, right: IndexOffset): number {
  return left.index - right.index || left.offset - right.offset;
}

/** Bytes of a frame: its header and one page. */
export function frameSize(pageSize: number): number {
  return FRAME_HEADER_SIZE + pageSize;
}

/** The largest frame boundary that is not past `size` bytes; 0 when there is no whole header. */
export function alignToFrame(size: number, { pageSize }: { pageSize: number }): number {
  if (size < WAL_HEADER_SIZE) return 0;
  const frame = frameSize(pageSize);
  return WAL_HEADER_SIZE + Math.floor((size - WAL_HEADER_SIZE) / frame) * frame;
}

/** Bytes of a WAL file that holds `frameCount` frames. */
export function walSize(frameCount: number, { pageSize }: { pageSize: number }): number {
  return WAL_HEADER_SIZE + frameCount * frameSize(pageSize);
}
