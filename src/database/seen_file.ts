/** What is kept of a file to know it again, by another process too: without the device, which may have another number then. */
import type { FileStat } from "../runtime/files.ts";

/** Runtimes round a file's time up or down. */
const ROUNDING_MS = 1;

/** A file's time is that of the kernel's last tick, or of a file system's that has whole seconds, or two of them. */
const TICK_MS = 50;
const SECONDS_TICK_MS = 2050;

/** One file. */
export type SeenFile = Pick<FileStat, "inode" | "size" | "modifiedAt">;

/** Whether nobody has written to a file in between, under whatever inode it is now. */
export function isUnwritten(before: SeenFile, now: SeenFile): boolean {
  const apartMs = Math.abs(before.modifiedAt.getTime() - now.modifiedAt.getTime());
  return before.size === now.size && apartMs <= ROUNDING_MS;
}

/** Whether whatever is written to a file from now on gives it another time. */
export function isSettled({ modifiedAt }: SeenFile): boolean {
  const ms = modifiedAt.getTime();
  return Date.now() - ms > (ms % 1000 === 0 ? SECONDS_TICK_MS : TICK_MS);
}

/** As it is written down: bytes, and milliseconds since 1970. */
export function toFields({ inode, size, modifiedAt }: SeenFile): Record<string, number> {
  return { inode, size, modifiedMs: modifiedAt.getTime() };
}

/** The same read back; `undefined` when it is none. */
export function fromFields(value: unknown): SeenFile | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { inode, size, modifiedMs } = value as Record<string, unknown>;
  if (typeof inode !== "number" || typeof size !== "number" || typeof modifiedMs !== "number") {
    return undefined;
  }
  return { inode, size, modifiedAt: new Date(modifiedMs) };
}
