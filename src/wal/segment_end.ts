/** Where a stretch of a WAL ends. */
import { viewOf } from "../bytes.ts";
import { frameSize, type IndexEnd, type IndexOffset, WAL_HEADER_SIZE } from "../position.ts";
import { frameChecksumAt } from "./frames.ts";
import { parseWalHeader } from "./header.ts";

/**
 * The state of an index after a segment, from the segment's decoded bytes alone: what the next bytes have to continue.
 *
 * The frames are not verified; whoever needs that scans them.
 *
 * @param at index and offset of the segment
 * @param pageSize of the database; checked against the header when the segment begins with one
 * @throws {Error} when the bytes are no header and whole frames
 */
export function endOfSegment(
  bytes: Uint8Array,
  { at, pageSize }: { at: IndexOffset; pageSize: number },
): IndexEnd {
  const header = at.offset === 0 ? parseWalHeader(bytes) : undefined;
  if (header !== undefined && header.pageSize !== pageSize) {
    throw new Error(`wal page size is ${header.pageSize}, that of the database ${pageSize}`);
  }
  const framesAt = header === undefined ? 0 : WAL_HEADER_SIZE;
  const size = frameSize(pageSize);
  if (bytes.length === 0 || (bytes.length - framesAt) % size !== 0) {
    throw new Error(`wal segment of ${bytes.length} bytes ends within a frame`);
  }
  const length = at.offset + bytes.length;
  if (header !== undefined && bytes.length === WAL_HEADER_SIZE) {
    return { index: at.index, length, checksum: header.checksum, salts: header.salts };
  }
  const view = viewOf(bytes);
  const lastAt = bytes.length - size;
  const salts = [view.getUint32(lastAt + 8), view.getUint32(lastAt + 12)] as const;
  return { index: at.index, length, checksum: frameChecksumAt(view, lastAt), salts };
}
