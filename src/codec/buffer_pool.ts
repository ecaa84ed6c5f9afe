/** Block buffers that streams take turns with, so that a block costs no fresh 4 MiB and an idle program few. */
import { BLOCK_LIMIT } from "./lz4_kernel.ts";

/** Room before a block for what is sent in front of it: its size, the frame header and a note. */
export const ROOM_BEFORE = 256;

/** Room after a block for the end mark and the content checksum. */
export const ROOM_AFTER = 8;

const KEPT_COUNT = 2;
const kept: Uint8Array<ArrayBuffer>[] = [];

/** A buffer that holds a block and the room around it; its contents are anything. */
export function acquireBuffer(): Uint8Array<ArrayBuffer> {
  return kept.pop() ?? new Uint8Array(ROOM_BEFORE + BLOCK_LIMIT + ROOM_AFTER);
}

/** Give a buffer back. Whoever was shown a part of it must be done with that. */
export function releaseBuffer(buffer: Uint8Array<ArrayBuffer>): void {
  // A consumer that transferred our chunk to another thread has left a buffer of no bytes.
  if (kept.length < KEPT_COUNT && buffer.length > 0) kept.push(buffer);
}
