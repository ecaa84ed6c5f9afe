/** Comparing files, and waiting for one. */
import { Buffer } from "node:buffer";
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";

/** Whether two files hold the same bytes. */
export function sameFiles(left: string, right: string): boolean {
  const size = statSync(left).size;
  if (statSync(right).size !== size) return false;
  const files = [openSync(left, "r"), openSync(right, "r")] as const;
  const buffers = [new Uint8Array(1 << 20), new Uint8Array(1 << 20)] as const;
  try {
    for (let at = 0; at < size; at += 1 << 20) {
      const count = readSync(files[0], buffers[0], 0, 1 << 20, at);
      readSync(files[1], buffers[1], 0, 1 << 20, at);
      if (Buffer.compare(buffers[0].subarray(0, count), buffers[1].subarray(0, count)) !== 0) return false;
    }
    return true;
  } finally {
    for (const file of files) closeSync(file);
  }
}

/** Objects below a replica, temporary files left out. */
export function objectsBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(lz4|ltx)$/.test(name)).map((name) => join(folder, name)).sort();
}
