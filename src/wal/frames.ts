/**
 * Frames: what follows the header of a WAL. Header fields are big-endian.
 *
 * | At | Bytes     | What                                                                       |
 * |----|-----------|----------------------------------------------------------------------------|
 * | 0  | 4         | page number, from 1                                                        |
 * | 4  | 4         | database size in pages after the commit; 0 unless this is a commit frame   |
 * | 8  | 8         | salts, as in the WAL header                                                |
 * | 16 | 8         | checksum of bytes 0…7 and the page, continuing the frame before            |
 * | 24 | page size | page                                                                       |
 *
 * @see docs/FORMAT.md, "WAL frame"
 */
import { viewOf } from "../bytes.ts";
import { FRAME_HEADER_SIZE, frameSize } from "../position.ts";
import { type Checksum, RunningChecksum, wordsOf } from "./checksum.ts";
import type { Salts, WalHeader } from "./header.ts";

/** What the next frame of a WAL has to continue. */
export interface WalChain {
  readonly pageSize: number;
  readonly bigEndian: boolean;
  readonly salts: Salts;
  /** Checksum of the last frame, of the header where there is none. */
  readonly checksum: Checksum;
}

/** Why a scan went no further: all bytes read, less than a frame left, or a frame that does not belong. */
export type ScanStop = "end" | "partial" | "salt" | "checksum" | "page number";

/** What a run of frames holds. */
export interface FrameScan {
  /** Frames that belong to the chain. */
  readonly frameCount: number;
  /** The chain after them. */
  readonly checksum: Checksum;
  /** Frames up to and with the last commit frame; 0 when there is none. */
  readonly committedCount: number;
  /** The chain after those. */
  readonly committedChecksum: Checksum;
  /** Commit frames among them. */
  readonly commitCount: number;
  /** Database size in pages after the last commit; 0 when there is none. */
  readonly pageCount: number;
  readonly stop: ScanStop;
}

/** The chain at the start of a WAL. */
export function chainOf(header: WalHeader): WalChain {
  return {
    pageSize: header.pageSize,
    bigEndian: header.bigEndian,
    salts: header.salts,
    checksum: header.checksum,
  };
}

/**
 * Verify the frames in `bytes`, which starts at a frame boundary where `chain` holds.
 *
 * Stops before the first frame with other salts, a broken checksum or page number 0, and before a partial one.
 * Only what `committedCount` counts may be passed on.
 */
export function scanFrames(bytes: Uint8Array, chain: WalChain): FrameScan {
  const size = frameSize(chain.pageSize);
  const view = viewOf(bytes);
  const words = wordsOf(bytes);
  const running = new RunningChecksum(chain.bigEndian, chain.checksum);
  // Made before the loop: V8 may compile the loop alone, and would leave that code at each call for a literal behind
  // it that it has never seen made, and go on at a twentieth of the speed.
  const scan: { -readonly [Key in keyof FrameScan]: FrameScan[Key] } = {
    frameCount: 0,
    checksum: chain.checksum,
    committedCount: 0,
    committedChecksum: chain.checksum,
    commitCount: 0,
    pageCount: 0,
    stop: bytes.length % size === 0 ? "end" : "partial",
  };
  for (let at = 0; at + size <= bytes.length; at += size) {
    if (view.getUint32(at + 8) !== chain.salts[0] || view.getUint32(at + 12) !== chain.salts[1]) {
      scan.stop = "salt";
      break;
    }
    running.update(words, at >>> 2, (at + 8) >>> 2);
    running.update(words, (at + FRAME_HEADER_SIZE) >>> 2, (at + size) >>> 2);
    if (!running.equals(view.getUint32(at + 16), view.getUint32(at + 20))) {
      scan.stop = "checksum";
      break;
    }
    if (view.getUint32(at) === 0) {
      scan.stop = "page number";
      break;
    }
    scan.frameCount++;
    scan.checksum = running.value;
    const sizeAfter = view.getUint32(at + 4);
    if (sizeAfter !== 0) {
      scan.committedCount = scan.frameCount;
      scan.committedChecksum = scan.checksum;
      scan.commitCount++;
      scan.pageCount = sizeAfter;
    }
  }
  return scan;
}

/** Page number and size after the commit (0: no commit frame) of the frame whose header starts at byte `at`. */
export function frameHeaderAt(view: DataView, at: number): { pageNumber: number; pageCount: number } {
  return { pageNumber: view.getUint32(at), pageCount: view.getUint32(at + 4) };
}

/** The checksum that the frame at byte `at` states. */
export function frameChecksumAt(view: DataView, at: number): Checksum {
  return [view.getUint32(at + 16), view.getUint32(at + 20)];
}
