/** One file of the shadow WAL as it lies on the disk: a WAL header and whole frames, but for a torn end. */
import { viewOf } from "../bytes.ts";
import { alignToFrame, frameSize, type IndexEnd, WAL_HEADER_SIZE } from "../position.ts";
import type { Files, OpenFile } from "../runtime/files.ts";
import type { Checksum } from "../wal/checksum.ts";
import { chainOf, frameChecksumAt, scanFrames, type WalChain } from "../wal/frames.ts";
import { equalPair, parseWalHeader } from "../wal/header.ts";

/** Bytes that are verified at once when a shadow file is opened. */
const SCAN_BYTES = 1 << 20;

/** What a file's time can lag behind: two ticks of a slow kernel, or two seconds where it counts in seconds. */
const TICK_LAG_MS = 20;
const SECONDS_LAG_MS = 2000;

/** What a shadow file holds, by its frames. */
export interface VerifiedFile {
  /** What the next frame has to continue. */
  readonly chain: WalChain;
  /** Bytes in the file. */
  readonly size: number;
  /** Bytes up to the end of the last commit. */
  readonly committedSize: number;
}

/** Check all of a file that is to be gone on with, frame by frame, and cut a torn end off. */
export function verifyFile(file: OpenFile, header: Uint8Array): VerifiedFile {
  let chain = chainOf(parseWalHeader(header));
  const frame = frameSize(chain.pageSize);
  const chunk = new Uint8Array(Math.max(1, Math.floor(SCAN_BYTES / frame)) * frame);
  let size = WAL_HEADER_SIZE;
  let committedSize = WAL_HEADER_SIZE;
  for (;;) {
    const count = file.readSync(chunk, size);
    const scan = scanFrames(chunk.subarray(0, count), chain);
    if (scan.committedCount > 0) committedSize = size + scan.committedCount * frame;
    size += scan.frameCount * frame;
    chain = { ...chain, checksum: scan.checksum };
    if (scan.frameCount * frame < chunk.length) break;
  }
  if (file.statSync().size !== size) file.truncateSync(size);
  return { chain, size, committedSize };
}

/** Bytes of header and whole frames in the file at `path`; `undefined` when it isn't there. */
export function wholeSize(path: string, files: Files): number | undefined {
  const stat = files.statSync(path);
  if (stat === undefined) return undefined;
  using file = files.openSync(path, { access: "read" });
  const header = new Uint8Array(WAL_HEADER_SIZE);
  file.readSync(header, 0);
  return alignToFrame(stat.size, { pageSize: viewOf(header).getUint32(8) });
}

/**
 * Until when all that the file at `path` holds was copied, milliseconds since 1970; `undefined` when it isn't there.
 * Rather later than earlier: a file's time is that of the kernel's last tick, or of a whole second.
 */
export function lastCopyAt(path: string, files: Files): number | undefined {
  const at = files.statSync(path)?.modifiedAt.getTime();
  return at === undefined ? undefined : at + (at % 1000 === 0 ? SECONDS_LAG_MS : TICK_LAG_MS);
}

/** How the `index` ends whose file is at `path`, with a frame that ends at `length`. */
export function readEnd(
  path: string,
  { files, index, length }: { files: Files; index: number; length: number },
): IndexEnd {
  using file = files.openSync(path, { access: "read" });
  const bytes = new Uint8Array(WAL_HEADER_SIZE);
  file.readSync(bytes, 0);
  const header = parseWalHeader(bytes);
  file.readSync(bytes, length - frameSize(header.pageSize));
  return { index, length, checksum: frameChecksumAt(viewOf(bytes), 0), salts: header.salts };
}

/** Checksum of the frame of the file at `path` that ends at `offset`. */
export function readChecksumBefore(
  path: string,
  { files, offset }: { files: Files; offset: number },
): Checksum {
  using file = files.openSync(path, { access: "read" });
  const bytes = new Uint8Array(WAL_HEADER_SIZE);
  file.readSync(bytes, 0);
  file.readSync(bytes, offset - frameSize(viewOf(bytes).getUint32(8)));
  return frameChecksumAt(viewOf(bytes), 0);
}

/** Whether the file at `path` holds what ended an index. One that is not there any more, or can't be read, may have. */
export function mayHold({ length, checksum }: IndexEnd, path: string, files: Files): boolean {
  try {
    const size = wholeSize(path, files);
    if (size === undefined) return true;
    return size >= length && equalPair(readChecksumBefore(path, { files, offset: length }), checksum);
  } catch {
    return true; // Whoever needs it is told.
  }
}
