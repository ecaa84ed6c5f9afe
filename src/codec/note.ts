/**
 * The note: a small record in front of each object of ours, in an LZ4 skippable frame that every reader of the
 * format passes over. All numbers are little-endian.
 *
 * | At | Bytes | What                                                                                      |
 * |----|-------|-------------------------------------------------------------------------------------------|
 * | 0  | 4     | skippable frame magic `0x184D2A5B`                                                        |
 * | 4  | 4     | bytes that follow                                                                         |
 * | 8  | 4     | tag, ASCII `WBRK`                                                                         |
 * | 12 | 1     | version, 1; a reader passes over a newer one                                              |
 * | 13 | 1     | kind: 1 segment, 2 snapshot                                                               |
 * | 14 | 2     | flags: bit 0, the end of the index before is here                                         |
 * | 16 | 8     | generation, the 8 bytes that its 16 hex digits write                                      |
 * | 24 | 4     | index of the object                                                                       |
 * | 28 | 8     | segment: its offset; snapshot: the offset within its index from which on it is right      |
 * | 36 | 8     | time of the newest commit in it, milliseconds since 1970                                  |
 * |    | 4 + 4 | snapshot only: page size, page count                                                      |
 * |    | 28    | with bit 0, of the index before: index (4), length (8), last frame checksum (4 + 4), salts (4 + 4) |
 * |    | 4     | xxHash32, seed 0, of everything after byte 7 and before this                              |
 *
 * @see docs/FORMAT.md, "Note"
 */
import { fromHex, viewOf } from "../bytes.ts";
import type { IndexEnd } from "../position.ts";
import { xxHash32 } from "./lz4_kernel.ts";

/** What every note says. */
interface NoteBase {
  readonly generation: string;
  readonly index: number;
  readonly offset: number;
  /** When the newest commit in the object was made, as far as we saw; never goes back along a generation. */
  readonly newestCommitAt: Date;
  /** Absent where nothing comes before: the first index of a generation, or a later segment of an index. */
  readonly previousEnd?: IndexEnd | undefined;
}

/** The note of a WAL segment. */
export interface SegmentNote extends NoteBase {
  readonly kind: "segment";
}

/** The note of a snapshot; its offset is the one from which on the snapshot is right. */
export interface SnapshotNote extends NoteBase {
  readonly kind: "snapshot";
  readonly pageSize: number;
  readonly pageCount: number;
}

/** What stands in front of an object. */
export type Note = SegmentNote | SnapshotNote;

/** What a skippable frame turned out to hold. */
export interface DecodedNote {
  /** The note, when it is one of ours and whole. */
  readonly note: Note | undefined;
  /** What is wrong with a note of ours; the content behind it can still be whole. */
  readonly damage: string | undefined;
}

/** Magic of the skippable frame that holds a note. */
export const NOTE_MAGIC = 0x184d2a5b;

/** A larger skippable frame is nobody's note and is passed over unread. */
export const NOTE_SIZE_LIMIT = 4096;

const TAG = 0x4b524257; // "WBRK", little-endian
const VERSION = 1;
const KINDS = ["segment", "snapshot"] as const;
const HAS_PREVIOUS_END = 1;

/** Bytes of a payload: tag to newest commit, what a snapshot adds, what bit 0 adds, the checksum. */
const BASE_SIZE = 36;
const SNAPSHOT_SIZE = 8;
const PREVIOUS_END_SIZE = 28;
const CHECKSUM_SIZE = 4;

/** The whole skippable frame of `note`. */
export function encodeNote(note: Note): Uint8Array<ArrayBuffer> {
  const { previousEnd } = note;
  const payloadSize = BASE_SIZE + (note.kind === "snapshot" ? SNAPSHOT_SIZE : 0) +
    (previousEnd === undefined ? 0 : PREVIOUS_END_SIZE) + CHECKSUM_SIZE;
  const frame = new Uint8Array(8 + payloadSize);
  const view = viewOf(frame);
  view.setUint32(0, NOTE_MAGIC, true);
  view.setUint32(4, payloadSize, true);
  view.setUint32(8, TAG, true);
  view.setUint8(12, VERSION);
  view.setUint8(13, KINDS.indexOf(note.kind) + 1);
  view.setUint16(14, previousEnd === undefined ? 0 : HAS_PREVIOUS_END, true);
  frame.set(fromHex(note.generation), 16);
  view.setUint32(24, note.index, true);
  view.setBigUint64(28, BigInt(note.offset), true);
  view.setBigInt64(36, BigInt(note.newestCommitAt.getTime()), true);
  let at = 44;
  if (note.kind === "snapshot") {
    view.setUint32(at, note.pageSize, true);
    view.setUint32(at + 4, note.pageCount, true);
    at += SNAPSHOT_SIZE;
  }
  if (previousEnd !== undefined) {
    writePreviousEnd(view, at, previousEnd);
    at += PREVIOUS_END_SIZE;
  }
  view.setUint32(at, xxHash32(frame.subarray(8, at)), true);
  return frame;
}

function writePreviousEnd(view: DataView, at: number, end: IndexEnd): void {
  view.setUint32(at, end.index, true);
  view.setBigUint64(at + 4, BigInt(end.length), true);
  const words = [...end.checksum, ...end.salts];
  words.forEach((word, nth) => view.setUint32(at + 12 + nth * 4, word, true));
}

function readPreviousEnd(view: DataView, at: number): IndexEnd {
  const word = (nth: number) => view.getUint32(at + 12 + nth * 4, true);
  return {
    index: view.getUint32(at, true),
    length: Number(view.getBigUint64(at + 4, true)),
    checksum: [word(0), word(1)],
    salts: [word(2), word(3)],
  };
}

/**
 * Read the payload of a skippable frame with our magic.
 *
 * @param payload what follows magic and size
 * @returns neither note nor damage when it isn't ours or is newer than this program
 */
export function decodeNote(payload: Uint8Array): DecodedNote {
  const none = { note: undefined, damage: undefined };
  const view = viewOf(payload);
  if (payload.length < 5 || view.getUint32(0, true) !== TAG || view.getUint8(4) > VERSION) return none;
  const damaged = (damage: string) => ({ note: undefined, damage });
  if (payload.length < BASE_SIZE + CHECKSUM_SIZE) return damaged(`note of only ${payload.length} bytes`);
  const summed = payload.length - CHECKSUM_SIZE;
  const expected = view.getUint32(summed, true);
  if (xxHash32(payload.subarray(0, summed)) !== expected) return damaged("note does not match its checksum");
  const kind = KINDS[view.getUint8(5) - 1];
  const flags = view.getUint16(6, true);
  const size = BASE_SIZE + (kind === "snapshot" ? SNAPSHOT_SIZE : 0) +
    (flags === HAS_PREVIOUS_END ? PREVIOUS_END_SIZE : 0);
  if (view.getUint8(4) !== VERSION || kind === undefined || flags > HAS_PREVIOUS_END || size !== summed) {
    return damaged("note of an unknown shape");
  }
  const note = readFields(view, { kind, hasPreviousEnd: flags === HAS_PREVIOUS_END });
  const { offset, newestCommitAt, previousEnd } = note;
  if (!Number.isSafeInteger(offset + (previousEnd?.length ?? 0)) || Number.isNaN(newestCommitAt.getTime())) {
    return damaged("note with an impossible offset, length or time");
  }
  return { note, damage: undefined };
}

function readFields(
  view: DataView,
  { kind, hasPreviousEnd }: { kind: Note["kind"]; hasPreviousEnd: boolean },
): Note {
  const previousEndAt = BASE_SIZE + (kind === "snapshot" ? SNAPSHOT_SIZE : 0);
  const base = {
    generation: view.getBigUint64(8, false).toString(16).padStart(16, "0"),
    index: view.getUint32(16, true),
    offset: Number(view.getBigUint64(20, true)),
    newestCommitAt: new Date(Number(view.getBigInt64(28, true))),
    ...(hasPreviousEnd ? { previousEnd: readPreviousEnd(view, previousEndAt) } : {}),
  };
  if (kind === "segment") return { kind, ...base };
  return {
    kind,
    ...base,
    pageSize: view.getUint32(BASE_SIZE, true),
    pageCount: view.getUint32(BASE_SIZE + 4, true),
  };
}
