/**
 * The LZ4 frame. All numbers are little-endian.
 *
 * | Bytes  | What                                                                                          |
 * |--------|-----------------------------------------------------------------------------------------------|
 * | 4      | magic `0x184D2204`                                                                            |
 * | 1      | FLG: version 01 (bits 7-6), independent blocks (5), block checksums (4), content size (3), content checksum (2), reserved 0 (1), dictionary (0) |
 * | 1      | BD: reserved 0 (bit 7), largest block 4 = 64 KiB … 7 = 4 MiB (6-4), reserved 0 (3-0)          |
 * | 0 or 8 | content size                                                                                  |
 * | 0 or 4 | dictionary number; refused here                                                               |
 * | 1      | header checksum: second byte of the xxHash32 of everything after the magic                    |
 * | …      | blocks: size (4, bit 31 set = stored as it is), bytes, xxHash32 of those bytes if announced (4) |
 * | 4      | end mark, 0                                                                                   |
 * | 0 or 4 | content checksum: xxHash32 of all raw bytes                                                   |
 *
 * A skippable frame is a magic from `0x184D2A50` to `0x184D2A5F`, a size (4) and that many bytes. An object is
 * any number of skippable frames, one data frame, and nothing after it.
 *
 * @see docs/FORMAT.md, "Object"
 */

/** Magic of a data frame. */
export const FRAME_MAGIC = 0x184d2204;

/** Set in a block's size: its bytes are stored as they are. */
export const STORED_BIT = 0x80000000;

/** How each data frame of ours begins: independent blocks of 4 MiB, content checksum, nothing optional. */
export const FRAME_HEADER: readonly number[] = [0x04, 0x22, 0x4d, 0x18, 0x64, 0x70, 0xb9];

/** Whether `magic` begins a skippable frame. */
export function isSkippableMagic(magic: number): boolean {
  return magic >>> 4 === 0x184d2a5;
}
