/**
 * The header of a WAL file. All fields are big-endian.
 *
 * | At | Bytes | What                                                                               |
 * |----|-------|------------------------------------------------------------------------------------|
 * | 0  | 4     | magic: `0x377f0682` checksums over little-endian words, `0x377f0683` big-endian     |
 * | 4  | 4     | format version, 3007000                                                            |
 * | 8  | 4     | page size, 512…65536                                                               |
 * | 12 | 4     | checkpoint sequence, each connection's own count                                   |
 * | 16 | 8     | salts: the first grows by one at a restart of the WAL, the second is random        |
 * | 24 | 8     | checksum of bytes 0…23                                                             |
 *
 * @see docs/FORMAT.md, "WAL header"
 */
import { viewOf } from "../bytes.ts";
import { ChecksumMismatchError } from "../errors.ts";
import { WAL_HEADER_SIZE } from "../position.ts";
import { type Checksum, walChecksum } from "./checksum.ts";

const MAGIC = 0x377f0682;
const FORMAT_VERSION = 3007000;

/** Both salts of a WAL, which each of its frames repeats. */
export type Salts = readonly [number, number];

/** A parsed WAL header. */
export interface WalHeader {
  /** Whether checksums are computed over big-endian words. */
  readonly bigEndian: boolean;
  readonly pageSize: number;
  readonly checkpointSequence: number;
  readonly salts: Salts;
  readonly checksum: Checksum;
}

/** Whether `size` is one of SQLite's page sizes: a power of two from 512 to 65536. */
export function isPageSize(size: number): boolean {
  return size >= 512 && size <= 65536 && (size & (size - 1)) === 0;
}

/** Whether two pairs of salts, or two checksums, are equal. */
export function equalPair(left: readonly [number, number], right: readonly [number, number]): boolean {
  return left[0] === right[0] && left[1] === right[1];
}

/**
 * Parse the first 32 bytes of a WAL.
 *
 * @throws {ChecksumMismatchError} when the header does not match its own checksum
 * @throws {Error} for too few bytes, another magic or version, or an impossible page size
 */
export function parseWalHeader(bytes: Uint8Array): WalHeader {
  if (bytes.length < WAL_HEADER_SIZE) throw new Error(`wal header has ${bytes.length} bytes, not 32`);
  const view = viewOf(bytes);
  const magic = view.getUint32(0);
  if ((magic & ~1) !== MAGIC) throw new Error(`invalid wal header magic: ${magic.toString(16)}`);
  const bigEndian = (magic & 1) === 1;
  const checksum: Checksum = [view.getUint32(24), view.getUint32(28)];
  const computed = walChecksum(bytes.subarray(0, 24), { bigEndian });
  if (!equalPair(checksum, computed)) {
    throw new ChecksumMismatchError(`invalid wal header checksum: ${hex(computed)} != ${hex(checksum)}`);
  }
  const version = view.getUint32(4);
  if (version !== FORMAT_VERSION) throw new Error(`unknown wal format version: ${version}`);
  const pageSize = view.getUint32(8);
  if (!isPageSize(pageSize)) throw new Error(`invalid wal page size: ${pageSize}`);
  return {
    bigEndian,
    pageSize,
    checkpointSequence: view.getUint32(12),
    salts: [view.getUint32(16), view.getUint32(20)],
    checksum,
  };
}

/** The 32 bytes of a header; its checksum is computed, whatever `header` says. */
export function encodeWalHeader(header: Omit<WalHeader, "checksum">): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(WAL_HEADER_SIZE);
  const view = viewOf(bytes);
  view.setUint32(0, header.bigEndian ? MAGIC | 1 : MAGIC);
  view.setUint32(4, FORMAT_VERSION);
  view.setUint32(8, header.pageSize);
  view.setUint32(12, header.checkpointSequence);
  view.setUint32(16, header.salts[0]);
  view.setUint32(20, header.salts[1]);
  const checksum = walChecksum(bytes.subarray(0, 24), { bigEndian: header.bigEndian });
  view.setUint32(24, checksum[0]);
  view.setUint32(28, checksum[1]);
  return bytes;
}

function hex([first, second]: Checksum): string {
  return `(${first.toString(16)},${second.toString(16)})`;
}
