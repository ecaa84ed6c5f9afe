/** What our reader holds, judged by value: node:sqlite does not tell which read mark a reader stands on. */
import { equalPair } from "../wal/header.ts";
import { hasSameCommits, type WalIndex } from "../wal/wal_index.ts";

/** What the wal-index said just before and just after the standing reader began. */
export interface Standing {
  readonly before: WalIndex | undefined;
  readonly after: WalIndex;
  /** Whether the reader before it stood frozen already, and for longer than a checkpointer takes to end. */
  readonly wasFrozen: boolean;
}

/**
 * Whether the reader surely pins the WAL: not everything was backfilled when it began, so it stands on a mark above
 * 0 and nobody can have restarted the WAL since.
 */
export function isPinned({ before, after }: Standing): boolean {
  return before !== undefined && equalPair(before.salts, after.salts) &&
    after.backfilledCount < before.mxFrame;
}

/**
 * Whether the database file stands still: the wal-index did not change while the reader began, and all of it was
 * backfilled before. A checkpoint that ended in between leaves the reader on a mark above 0.
 */
export function isFrozen({ before, after }: Standing): boolean {
  return before !== undefined && hasSameCommits(before, after) &&
    before.backfilledCount === before.mxFrame && after.backfilledCount === after.mxFrame;
}

/**
 * Whether nobody has to wait for the reader: it stands frozen for the second time. At the first time a checkpointer
 * may still hold the lock of mark 0 for a moment, and SQLite then puts the reader on a mark above it.
 */
export function isOutOfTheWay(standing: Standing): boolean {
  return standing.wasFrozen && isFrozen(standing);
}
