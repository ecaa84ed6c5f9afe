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
import { equalBytes, viewOf } from "../bytes.ts";
import { type Checksum, walChecksum } from "./checksum.ts";
import { equalPair, type Salts } from "./header.ts";

/** Bytes to read for one look. */
export const WAL_INDEX_SIZE = 136;

const COPY_SIZE = 48;
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

/** The state in the first 136 bytes of the `-shm` file; `undefined` when they are not consistent: read again. */
export function parseWalIndex(bytes: Uint8Array): WalIndex | undefined {
  if (bytes.length < WAL_INDEX_SIZE) return undefined;
  const first = bytes.subarray(0, COPY_SIZE);
  if (!equalBytes(first, bytes.subarray(COPY_SIZE, 2 * COPY_SIZE))) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(0, NATIVE_LITTLE) !== FORMAT_VERSION || view.getUint8(12) !== 1) return undefined;
  const stated: Checksum = [view.getUint32(40, NATIVE_LITTLE), view.getUint32(44, NATIVE_LITTLE)];
  const computed = walChecksum(first.subarray(0, 40), { bigEndian: !NATIVE_LITTLE });
  if (!equalPair(stated, computed)) return undefined;
  const pageSize = view.getUint16(14, NATIVE_LITTLE);
  return {
    mxFrame: view.getUint32(16, NATIVE_LITTLE),
    pageCount: view.getUint32(20, NATIVE_LITTLE),
    pageSize: pageSize === 1 ? 65536 : pageSize,
    frameChecksum: [view.getUint32(24, NATIVE_LITTLE), view.getUint32(28, NATIVE_LITTLE)],
    salts: [view.getUint32(32), view.getUint32(36)],
    change: view.getUint32(8, NATIVE_LITTLE),
    backfilledCount: view.getUint32(96, NATIVE_LITTLE),
    readMarks: [1, 2, 3, 4].map((slot) => view.getUint32(100 + 4 * slot, NATIVE_LITTLE)),
  };
}
