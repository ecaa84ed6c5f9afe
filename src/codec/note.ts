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

/** Where an index ended: what the first segment of the next index and a snapshot say of the one before. */
export interface IndexEnd {
  readonly index: number;
  /** Bytes of the whole WAL, header included. */
  readonly length: number;
  /** Both words of the last frame's checksum. */
  readonly checksum: readonly [number, number];
  /** Both salts of the WAL header. */
  readonly salts: readonly [number, number];
}

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
