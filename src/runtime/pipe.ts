/** Files that have no positions to read at. */
import { closeSync, openSync, readSync } from "node:fs";
import { concatBytes } from "../bytes.ts";

/**
 * All bytes of a pipe or a device, as in `-config <(program)`: what has no positions to read at. Blocks until it ends.
 *
 * @throws {Error} for more than `limit` bytes
 */
export function readPipeSync(path: string, { limit }: { limit: number }): Uint8Array {
  const descriptor = openSync(path, "r");
  try {
    const chunks: Uint8Array[] = [];
    for (let size = 0; size <= limit;) {
      const chunk = new Uint8Array(64 * 1024);
      const length = readSync(descriptor, chunk, 0, chunk.length, null);
      if (length === 0) return concatBytes(chunks);
      chunks.push(chunk.subarray(0, length));
      size += length;
    }
  } finally {
    closeSync(descriptor);
  }
  throw new Error(`longer than ${limit} bytes`);
}
