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

/** The index in a snapshot's base name; `undefined` when it isn't one. */
export function parseSnapshotName(name: string): number | undefined {
  const match = /^([0-9a-f]{8})\.snapshot\.lz4$/.exec(name);
  return match === null ? undefined : parseIndex(match[1]!);
}

/** Index and offset in a segment's base name; `undefined` when it isn't one. Offsets may have 8 to 16 digits. */
export function parseSegmentName(name: string): IndexOffset | undefined {
  const match = /^([0-9a-f]{8})_([0-9a-f]{8,16})\.wal\.lz4$/.exec(name);
  if (match === null) return undefined;
  const index = parseIndex(match[1]!);
  const offset = Number.parseInt(match[2]!, 16);
  // Beyond 2^53 no file system goes, and a number would no longer be exact.
  if (index === undefined || !Number.isSafeInteger(offset)) return undefined;
  return { index, offset };
}

function parseIndex(digits: string): number | undefined {
  const index = Number.parseInt(digits, 16);
  return index <= MAX_INDEX ? index : undefined;
}
