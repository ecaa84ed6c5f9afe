/** WAL files made by hand: sound ones, in either byte order, for tests to break. */
import { concatBytes, viewOf } from "../../src/bytes.ts";
import { frameSize, WAL_HEADER_SIZE } from "../../src/position.ts";
import { type Checksum, walChecksum } from "../../src/wal/checksum.ts";
import { encodeWalHeader, parseWalHeader, type Salts } from "../../src/wal/header.ts";

/** One frame to be made. */
export interface MadeFrame {
  readonly pageNumber: number;
  /** Pages after the commit; 0 or absent when it isn't a commit frame. */
  readonly pageCount?: number;
  readonly salts?: Salts;
  /** What fills the page. Default: its page number. */
  readonly fill?: number;
}

/** What is made. */
export interface MadeWal {
  readonly pageSize: number;
  readonly bigEndian?: boolean;
  readonly salts?: Salts;
  readonly frames: readonly MadeFrame[];
}

/** Salts of a made WAL unless told otherwise. */
export const MADE_SALTS: Salts = [0x52382eac, 0x857b1a4e];

/** Header and frames, each with its right checksum. */
export function makeWal(
  { pageSize, bigEndian = false, salts = MADE_SALTS, frames }: MadeWal,
): Uint8Array<ArrayBuffer> {
  const header = encodeWalHeader({ bigEndian, pageSize, checkpointSequence: 0, salts });
  let checksum: Checksum = parseWalHeader(header).checksum;
  const parts: Uint8Array[] = [header];
  for (const frame of frames) {
    const bytes = new Uint8Array(frameSize(pageSize));
    const view = viewOf(bytes);
    view.setUint32(0, frame.pageNumber);
    view.setUint32(4, frame.pageCount ?? 0);
    const [salt1, salt2] = frame.salts ?? salts;
    view.setUint32(8, salt1);
    view.setUint32(12, salt2);
    bytes.subarray(24).fill(frame.fill ?? frame.pageNumber);
    checksum = walChecksum(concatBytes([bytes.subarray(0, 8), bytes.subarray(24)]), {
      bigEndian,
      seed: checksum,
    });
    view.setUint32(16, checksum[0]);
    view.setUint32(20, checksum[1]);
    parts.push(bytes);
  }
  return concatBytes(parts);
}

/** The frames of a WAL file without its header. */
export function framesOf(wal: Uint8Array): Uint8Array {
  return wal.subarray(WAL_HEADER_SIZE);
}
