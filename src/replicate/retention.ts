/**
 * What of a replica can go, decided from listings; nothing here acts.
 *
 * The promise: whatever could be restored to a moment of the last `retentionMs` still can, to the same state. For
 * that, the newest snapshot that is *older* than the cut-off stays with all WAL from its index on, where Litestream
 * goes down to the oldest one that is younger, and with it loses nearly the whole reach each time. The price is at
 * most one more period of storage.
 */
import { type Bounds, chooseBounds, withoutCopied } from "../restore/choose.ts";
import type { RestoreTarget } from "../restore/plan.ts";
import type { SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";

/** A snapshot with the time that its age is judged by. */
export interface AgedSnapshot {
  readonly index: number;
  /**
   * The later of when the store says that it came to be and when its note says that its newest commit was made. They
   * differ where the store's clock is behind ours or where a copy lost the times; the later one keeps longer.
   */
  readonly at: Date;
  /** Its note can't be read, so that it may be younger than `at`: nothing goes for its sake. Default false. */
  readonly isUnreadable?: boolean | undefined;
}

/** One generation as listed. */
export interface AgedGeneration {
  readonly generation: string;
  /** By rising index. */
  readonly snapshots: readonly AgedSnapshot[];
  /**
   * From when to when it can be restored, once for each way of reading times (notes, the store's), in the same order
   * for all generations. Empty when it can't be restored.
   */
  readonly bounds: readonly Bounds[];
  /** When the store got its newest WAL, of a generation without bounds. Default: never. */
  readonly newestWalAt?: Date | undefined;
  /** An object that tells its bounds can't be read: it stays, and so does what would be needed without it. Default false. */
  readonly isUnreadable?: boolean | undefined;
}

/** What is decided on. */
export interface RetentionState {
  readonly generations: readonly AgedGeneration[];
  /** The one that is being written. */
  readonly current: string;
  readonly now: Date;
  /** Milliseconds, above 0. */
  readonly retentionMs: number;
}

/** A generation that goes, or what it holds below `beforeIndex`. */
export interface Deletion {
  readonly generation: string;
  /** Absent: all of it. */
  readonly beforeIndex: number | undefined;
}

/** What to do. */
export interface RetentionPlan {
  /** Everything before this is promised to nobody. */
  readonly cutOffAt: Date;
  readonly deletions: readonly Deletion[];
  /** The current generation has snapshots, and all are older than the cut-off: a new one lets the old ones go later. */
  readonly isSnapshotDue: boolean;
  /** The current generation has no snapshot. */
  readonly isCurrentLost: boolean;
  /**
   * Generations that somebody else has written beside the current one, or so it looks: a copy of the replica gives all
   * that is older the same times. Nothing of them is touched.
   */
  readonly foreign: readonly string[];
  /** Before this, nothing more can go unless a snapshot is added; `undefined`: never. */
  readonly nextAt: Date | undefined;
}

/** Decide what can go. */
export function planRetention(state: RetentionState): RetentionPlan {
  const { generations, retentionMs } = state;
  const cutOffAt = new Date(state.now.getTime() - retentionMs);
  const current = generations.find(({ generation }) => generation === state.current);
  const foreign = generations.filter((other) => isForeign(other, current, cutOffAt));
  const readable = generations.filter((other) => !other.isUnreadable);
  const needed = neededGenerations(generations, cutOffAt).union(neededGenerations(readable, cutOffAt));
  const deletions: Deletion[] = [];
  // Until the current generation can be restored, nothing can be judged to be behind it.
  const isJudged = current !== undefined && current.snapshots.length > 0;
  for (const other of isJudged ? generations : []) {
    if (foreign.includes(other)) continue;
    const { generation } = other;
    const stays = other === current || needed.has(generation) || isNewer(other, current!) ||
      other.isUnreadable;
    if (!stays) deletions.push({ generation, beforeIndex: undefined });
    else if (other.snapshots.length > 0) {
      deletions.push({ generation, beforeIndex: keptFrom(other.snapshots, cutOffAt) });
    }
  }
  return {
    cutOffAt,
    deletions,
    isSnapshotDue: isJudged && current.snapshots.every(({ at }) => at < cutOffAt),
    isCurrentLost: !isJudged,
    foreign: foreign.map(({ generation }) => generation),
    nextAt: nextChange(generations, cutOffAt, retentionMs),
  };
}

/** The index of the newest snapshot that is not younger than the cut-off, else of the first one. */
function keptFrom(snapshots: readonly AgedSnapshot[], cutOffAt: Date): number {
  const isOld = ({ at, isUnreadable = false }: AgedSnapshot) => !isUnreadable && at <= cutOffAt;
  return (snapshots.findLast(isOld) ?? snapshots[0]!).index;
}

/** The generations that a restore would choose for some moment from the cut-off on. */
function neededGenerations(generations: readonly AgedGeneration[], cutOffAt: Date): Set<string> {
  const needed = new Set<string>();
  const viewCount = Math.max(0, ...generations.map(({ bounds }) => bounds.length));
  for (let view = 0; view < viewCount; view++) {
    const all = generations.flatMap(({ generation, bounds }) => {
      const seen = bounds[view];
      return seen === undefined ? [] : [{ generation, ...seen }];
    });
    // The choice changes only where some generation begins or ends.
    const edges = all.flatMap(({ startAt, endAt }) => [startAt.getTime(), endAt.getTime()]);
    const moments = [cutOffAt.getTime(), ...edges.flatMap((edge) => [edge - 1, edge, edge + 1])];
    for (const moment of moments) {
      if (moment < cutOffAt.getTime()) continue;
      for (const { generation } of chosenOf(all, { kind: "moment", at: new Date(moment) })) {
        needed.add(generation);
      }
    }
    for (const { generation } of chosenOf(all, { kind: "latest" })) needed.add(generation);
  }
  return needed;
}

/** What a restore would choose, whether or not it finds that a copy of the replica has lost the times of files. */
function chosenOf<T extends Bounds>(all: readonly T[], target: RestoreTarget): T[] {
  const chosen = [chooseBounds(all, target), chooseBounds(withoutCopied(all, target), target)];
  return chosen.filter((bounds) => bounds !== undefined);
}

/** Somebody wrote to it after the current one began, and not long ago: two machines share the replica. */
function isForeign(
  other: AgedGeneration,
  current: AgedGeneration | undefined,
  cutOffAt: Date,
): boolean {
  if (current === undefined || other === current) return false;
  if (other.snapshots.length === 0) return isBeginning(other, current, cutOffAt);
  return other.bounds.some(({ endAt }, view) => {
    const began = current.bounds[view]?.startAt;
    return began !== undefined && endAt > began && endAt > cutOffAt;
  });
}

/** Whether the WAL of a generation without a snapshot tells that its first one may be on its way. */
function isBeginning(
  { newestWalAt = new Date(0) }: AgedGeneration,
  { bounds }: AgedGeneration,
  cutOffAt: Date,
): boolean {
  // By the store's times, which are the last ones.
  const began = bounds.at(-1)?.startAt;
  return began !== undefined && newestWalAt > began && newestWalAt > cutOffAt;
}

/** Whether it has a snapshot that is newer than all of the current one's, or may be. */
function isNewer(other: AgedGeneration, current: AgedGeneration): boolean {
  const newest = Math.max(...current.snapshots.map(({ at }) => at.getTime()));
  return other.snapshots.some(({ at, isUnreadable = false }) => isUnreadable || at.getTime() > newest);
}

function nextChange(
  generations: readonly AgedGeneration[],
  cutOffAt: Date,
  retentionMs: number,
): Date | undefined {
  const times = generations.flatMap(({ snapshots, bounds, newestWalAt }) => [
    ...snapshots.map(({ at }) => at),
    ...(snapshots.length === 0 && newestWalAt !== undefined ? [newestWalAt] : []),
    ...bounds.flatMap(({ startAt, endAt }) => [startAt, endAt]),
  ]);
  const coming = times.filter((at) => at > cutOffAt).map((at) => at.getTime());
  return coming.length === 0 ? undefined : new Date(Math.min(...coming) + retentionMs);
}

/** The objects of a deletion, in the order in which they have to go. */
export interface DeletionOrder {
  /** One after the other. */
  readonly snapshots: readonly SnapshotInfo[];
  /** Only when all those snapshots are gone; among themselves in any order. */
  readonly segments: readonly SegmentInfo[];
}

/**
 * Put a deletion in an order that can stop anywhere and leaves a replica which restores all that is promised, and
 * nothing wrong.
 *
 * Snapshots go before their WAL, so that no snapshot is ever left with a hole behind it. Of a generation that stays
 * the oldest goes first; of one that goes the newest, which leaves its bounds as they are until the last one, and with
 * it the whole generation, is no longer there to be restored.
 */
export function orderDeletion(
  { beforeIndex }: Pick<Deletion, "beforeIndex">,
  { snapshots, segments }: {
    readonly snapshots: readonly SnapshotInfo[];
    readonly segments: readonly SegmentInfo[];
  },
): DeletionOrder {
  const goes = ({ index }: { index: number }) => beforeIndex === undefined || index < beforeIndex;
  const rising = snapshots.filter(goes).sort((left, right) => left.index - right.index);
  return {
    snapshots: beforeIndex === undefined ? rising.reverse() : rising,
    segments: segments.filter(goes),
  };
}
