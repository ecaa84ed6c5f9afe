/** What our reader holds, judged by value: node:sqlite does not tell which read mark a reader stands on. */
import { equalPair } from "../wal/header.ts";
import type { WalIndex } from "../wal/wal_index.ts";

/** What the wal-index said just before and just after the standing reader began. */
export interface Standing {
  readonly before: WalIndex | undefined;
  readonly after: WalIndex;
}

/**
 * Whether the reader surely pins the WAL: not everything was backfilled when it began, so it stands on a mark above
 * 0 and nobody can have restarted the WAL since.
 */
export function isPinned({ before, after }: Standing): boolean {
  return before !== undefined && equalPair(before.salts, after.salts) &&
    after.backfilledCount < before.mxFrame;
}

/** Whether the database file surely stands still: the wal-index did not change and all of it is backfilled. */
export function isFrozen({ before, after }: Standing): boolean {
  return before !== undefined && before.change === after.change && before.mxFrame === after.mxFrame &&
    equalPair(before.salts, after.salts) &&
    after.backfilledCount === after.mxFrame;
}
