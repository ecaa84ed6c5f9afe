/**
 * The key layout of 0.3, the only place that writes or reads it.
 *
 * | Object   | Key                                                             |
 * |----------|-----------------------------------------------------------------|
 * | snapshot | `generations/<generation>/snapshots/<index>.snapshot.lz4`       |
 * | segment  | `generations/<generation>/wal/<index>_<offset>.wal.lz4`         |
 *
 * Index and offset are lowercase hex, 8 digits or more. Names that don't match are passed over, never an error.
 *
 * @see docs/FORMAT.md, "Names"
 */
import { assert } from "../errors.ts";
import { formatIndex, type IndexOffset, isGeneration, MAX_INDEX } from "../position.ts";

/** The prefix under which all generations lie. */
export const GENERATIONS_PREFIX = "generations/";

/** What a prefix is asked for, in the words of the messages that scripts know. */
type KeyKind = "generation" | "snapshots" | "snapshot" | "wal" | "wal segment";

function prefixOf(generation: string, kind: KeyKind): string {
  if (generation === "") throw new Error(`cannot determine ${kind} path: generation required`);
  if (!isGeneration(generation)) {
    throw new Error(`cannot determine ${kind} path: "${generation}" is not a generation`);
  }
  return `${GENERATIONS_PREFIX}${generation}/`;
}

function snapshotsUnder(generation: string, kind: KeyKind): string {
  return `${prefixOf(generation, kind)}snapshots/`;
}

function segmentsUnder(generation: string, kind: KeyKind): string {
  return `${prefixOf(generation, kind)}wal/`;
}

/** Prefix of everything of one generation. */
export function generationPrefix(generation: string): string {
  return prefixOf(generation, "generation");
}

/** Prefix of the snapshots of one generation. */
export function snapshotsPrefix(generation: string): string {
  return snapshotsUnder(generation, "snapshots");
}

/** Prefix of the WAL segments of one generation. */
export function segmentsPrefix(generation: string): string {
  return segmentsUnder(generation, "wal");
}

/** Key of a snapshot. */
export function snapshotKey({ generation, index }: { generation: string; index: number }): string {
  return `${snapshotsUnder(generation, "snapshot")}${indexDigits(index)}.snapshot.lz4`;
}

/** Key of a WAL segment. */
export function segmentKey({ generation, index, offset }: IndexOffset & { generation: string }): string {
  const prefix = segmentsUnder(generation, "wal segment");
  assert(Number.isSafeInteger(offset) && offset >= 0, `segment offset ${offset}`);
  return `${prefix}${indexDigits(index)}_${formatIndex(offset)}.wal.lz4`;
}

// A name that no reader would take back must never be written.
function indexDigits(index: number): string {
  assert(Number.isInteger(index) && index >= 0 && index <= MAX_INDEX, `index ${index}`);
  return formatIndex(index);
}

const SNAPSHOT_ENDING = ".snapshot.lz4";
const SEGMENT_ENDING = ".wal.lz4";
const INDEX_DIGITS = 8;
const MAX_OFFSET_DIGITS = 16;

/** The index in a snapshot's base name; `undefined` when it isn't one. */
export function parseSnapshotName(name: string): number | undefined {
  if (name.length !== INDEX_DIGITS + SNAPSHOT_ENDING.length || !name.endsWith(SNAPSHOT_ENDING)) {
    return undefined;
  }
  return parseIndex(name);
}

/** Index and offset in a segment's base name; `undefined` when it isn't one. Offsets may have 8 to 16 digits. */
export function parseSegmentName(name: string): IndexOffset | undefined {
  if (!name.endsWith(SEGMENT_ENDING) || name[INDEX_DIGITS] !== "_") return undefined;
  const start = INDEX_DIGITS + 1;
  const end = name.length - SEGMENT_ENDING.length;
  if (end - start < INDEX_DIGITS || end - start > MAX_OFFSET_DIGITS) return undefined;
  const index = parseIndex(name);
  const offset = parseHex(name, { start, end });
  // Beyond 2^53 no file system goes, and a number would no longer be exact.
  if (index === undefined || !Number.isSafeInteger(offset)) return undefined;
  return { index, offset };
}

/** Whether a key is that of a snapshot or a segment. */
export function isObjectKey(key: string): boolean {
  const match = /^generations\/([^/]+)\/(snapshots|wal)\/([^/]+)$/.exec(key);
  if (match === null || !isGeneration(match[1]!)) return false;
  return (match[2] === "wal" ? parseSegmentName(match[3]!) : parseSnapshotName(match[3]!)) !== undefined;
}

function parseIndex(name: string): number | undefined {
  const index = parseHex(name, { start: 0, end: INDEX_DIGITS });
  return index <= MAX_INDEX ? index : undefined;
}

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const LETTER_A = 0x61;
const LETTER_F = 0x66;

/** `NaN` when one of them is no lowercase digit. Digit by digit: a regular expression takes four times as long. */
function parseHex(text: string, { start, end }: { start: number; end: number }): number {
  let value = 0;
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code >= DIGIT_0 && code <= DIGIT_9) value = value * 16 + (code - DIGIT_0);
    else if (code >= LETTER_A && code <= LETTER_F) value = value * 16 + (code - LETTER_A + 10);
    else return Number.NaN;
  }
  return value;
}
