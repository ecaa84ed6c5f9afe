/** Everything that is open while a database is live. */
import type { Writers } from "./checkpoint.ts";
import type { Follower } from "./follower.ts";
import type { LiveFiles } from "./live_files.ts";
import { yieldToEvents } from "../runtime/clock.ts";

/** A database that is open. */
export interface Opened {
  readonly live: LiveFiles;
  readonly follower: Follower;
  readonly writers: Writers;
}

/**
 * Let the database's files go; with `keepsShadow` what the follower has copied stays readable.
 *
 * Read-write connections first and the read-only ones last: so the `-wal` stays, and with it our place in it.
 */
export function closeOpened(
  { live, follower, writers }: Opened,
  { keepsShadow }: { keepsShadow: boolean },
): void {
  writers.close();
  if (keepsShadow) follower.readers.close();
  else follower.close();
  live.close();
}

/** A quiet database keeps one connection, the reader that stands; the others come back when they are needed. */
export function closeSpare({ follower, writers }: Opened): void {
  writers.close();
  follower.readers.closeIdle();
}

/** Whether there is anything that `closeSpare` would close. */
export function hasSpare({ follower, writers }: Opened): boolean {
  return writers.isOpen || follower.readers.hasIdle;
}

/**
 * Copy what our reader pins, also where the reader can't move on any more: the path may name nothing, or another file.
 *
 * @returns why that can't be; `undefined` when all is copied
 */
export async function copyAllPinned(follower: Follower): Promise<unknown> {
  for (;;) {
    const before = follower.copiedBytes;
    try {
      await follower.catchUp();
      return undefined;
    } catch (error) {
      if (hasCopiedAll(follower)) return undefined;
      if (follower.copiedBytes === before) return error;
      await yieldToEvents();
    }
  }
}

/** Whether nothing that is committed now remains to be copied, as far as that can be told. */
export function hasCopiedAll(follower: Follower): boolean {
  try {
    const index = follower.live.look();
    return index !== undefined && follower.isAtEnd(index);
  } catch {
    return false;
  }
}
