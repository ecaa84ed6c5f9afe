/** The decisions about a live database, as functions over plain values; the loops only carry them out. */
import { isOutOfTheWay, isPinned, type Standing } from "./standing.ts";
import { equalPair, type Salts } from "../wal/header.ts";
import type { WalIndex } from "../wal/wal_index.ts";

/** What is known when we start on a database that has a generation. */
export interface StartFacts {
  /** Why the shadow WAL can't be gone on with; `undefined` when it can. */
  readonly shadowProblem?: string | undefined;
  /** The live WAL's header, in hex for the message; `undefined` when the WAL is missing or shorter. */
  readonly liveHeader: string | undefined;
  readonly shadowHeader: string | undefined;
  /** Frames that are committed in the live WAL. */
  readonly liveFrameCount: number;
  readonly shadowFrameCount: number;
  readonly isIndexOfLiveWal: boolean;
  /** Whether the live WAL holds our last frame at its place. */
  readonly endsLikeShadow: boolean;
}

/**
 * Go on with the generation, or start a new one?
 *
 * While we were away nothing held the WAL. Only when it is the same one and still begins with all of ours can
 * nothing have been lost.
 *
 * @returns the reason for a new generation; `undefined` to go on
 */
export function reasonForNewGeneration(facts: StartFacts): string | undefined {
  if (facts.shadowProblem !== undefined) return facts.shadowProblem;
  if (facts.liveHeader === undefined) return "no primary wal: it was removed or emptied while we were away";
  if (facts.liveHeader !== facts.shadowHeader) {
    return `wal header mismatch ${facts.shadowHeader} <> ${facts.liveHeader}`;
  }
  if (!facts.isIndexOfLiveWal || facts.liveFrameCount < facts.shadowFrameCount) {
    return "wal truncated by another process";
  }
  return facts.endsLikeShadow ? undefined : "wal overwritten by another process";
}

/** What the wal-index says about the WAL that we follow. */
export type WalStep =
  /** Nothing is committed that we lack. */
  | { readonly kind: "nothing" }
  /** The same WAL has grown. */
  | { readonly kind: "grown" }
  /** The WAL was restarted under our eyes; the next index begins. */
  | { readonly kind: "restarted" }
  /** A header is being written; look again. */
  | { readonly kind: "look again" }
  /** Frames may be gone: a new generation has to start. */
  | { readonly kind: "lost"; readonly reason: string };

/** What a look at the WAL found. */
export interface StepFacts {
  readonly index: WalIndex;
  /** Salts of the WAL that we follow; `undefined` while a fresh generation has none yet. */
  readonly salts: Salts | undefined;
  readonly copiedFrameCount: number;
  /** Salts in the header of the WAL file; `undefined` when it is too short or not valid. */
  readonly fileSalts: Salts | undefined;
  readonly standing: Standing;
}

/**
 * What to do about the WAL now.
 *
 * While our reader stands on a mark above 0 nobody can restart the WAL, and what it stands on was copied before it
 * is let go. So a WAL that changed in any other way was changed behind SQLite's back, and frames may be gone.
 */
export function nextWalStep({ index, salts, copiedFrameCount, fileSalts, standing }: StepFacts): WalStep {
  const { after } = standing;
  const isSame = salts !== undefined && equalPair(index.salts, salts);
  if (isPinned(standing) && !equalPair(index.salts, after.salts)) {
    const reason = index.mxFrame === 0
      ? "wal truncated by another process"
      : "wal overwritten by another process";
    return { kind: "lost", reason };
  }
  if (salts !== undefined && !isSame && equalPair(after.salts, salts) && copiedFrameCount < after.mxFrame) {
    return { kind: "lost", reason: "wal restarted by another process before it was copied" };
  }
  // The reader stood on a WAL that we have nothing of, and it is gone already.
  const isSkipped = salts !== undefined && !isSame && !equalPair(after.salts, salts) && after.mxFrame > 0;
  if (isSkipped && !equalPair(index.salts, after.salts)) {
    return { kind: "lost", reason: "wal restarted twice by another process before it was copied" };
  }
  if (isSame) {
    if (index.mxFrame < copiedFrameCount) return { kind: "lost", reason: "wal truncated by another process" };
    return { kind: index.mxFrame > copiedFrameCount ? "grown" : "nothing" };
  }
  if (index.mxFrame === 0) return { kind: "nothing" };
  // A spilled transaction that rolls back rewrites the header again and again: only published frames count.
  if (fileSalts === undefined || !equalPair(index.salts, fileSalts)) return { kind: "look again" };
  return { kind: "restarted" };
}

/**
 * Whether the standing reader should move although nothing was copied: up to the newest frame, or off a mark that
 * others wait for when all is backfilled.
 */
export function shouldMove(index: WalIndex, standing: Standing): boolean {
  const { after } = standing;
  if (!equalPair(index.salts, after.salts) || index.mxFrame !== after.mxFrame) return true;
  return index.backfilledCount === index.mxFrame && !isOutOfTheWay(standing);
}

/**
 * Whether the reader stays on its mark although more is copied: the WAL is so long that the application may checkpoint
 * at each commit, and has something to do, with two syncs, only where our reader has moved. It moves with a
 * checkpoint of ours then, or when nothing new is committed.
 */
export function shouldStay(
  index: WalIndex,
  standing: Standing,
  { fromPages }: { fromPages: number },
): boolean {
  return index.mxFrame >= fromPages && isPinned(standing) && equalPair(index.salts, standing.after.salts);
}

/** When to checkpoint. */
export interface CheckpointLimits {
  /** Frames in the WAL that call for a polite try. Default 1000. */
  readonly minPages: number;
  /** Frames in the WAL that call for a barrier; 0: never. Default 10000. */
  readonly maxPages: number;
  /** Frames in the WAL from which on the file is cut when a checkpoint succeeded; 0: never. Default 500000. */
  readonly truncatePages: number;
  /** Age of the oldest frame that isn't in the database file that calls for a polite try; 0: never. Default 60000. */
  readonly intervalMs: number;
}

/** Litestream's own defaults. */
export const CHECKPOINT_DEFAULTS: CheckpointLimits = {
  minPages: 1000,
  maxPages: 10000,
  truncatePages: 500000,
  intervalMs: 60_000,
};

/**
 * Frames in the WAL from which on the application may soon checkpoint at each commit: what is backfilled just before
 * that, in pauses most of all, is not left to a commit of its own.
 */
export function crowdedFrom({ minPages }: CheckpointLimits): number {
  return Math.ceil(minPages * 3 / 4);
}

/** What a checkpoint depends on. */
export interface CheckpointFacts {
  readonly frameCount: number;
  readonly backfilledCount: number;
  /** Frames in the WAL at the last try; 0 after a restart. */
  readonly triedFrameCount: number;
  readonly sinceLastTryMs: number;
  /** Since the last commit that was copied. */
  readonly quietMs: number;
  /** Frames in the database file after the last try; 0 after a restart. */
  readonly triedBackfilledCount: number;
  /** Whether somebody else was seen to checkpoint. */
  readonly areOthersSeen: boolean;
  /** Whether nothing was committed since the last look. */
  readonly isPause: boolean;
  readonly limits: CheckpointLimits;
}

/** How to checkpoint now. */
export type CheckpointChoice = "none" | "polite" | "barrier";

/** A long reader of the application makes each try useless; no more than one a second then. */
const RETRY_MS = 1000;

/** After this long without a commit what is left is backfilled. */
export const QUIET_MS = 4000;

/** With an application that checkpoints itself, times `minPages` that call for a barrier. */
const OTHERS_FACTOR = 4;

/** Who fills a new WAL up to `minPages` within this time writes as fast as it can. */
const FAST_MS = 200;

/**
 * Whether time alone calls for a polite try. At rest our reader then stands where nobody waits for it; until then that
 * takes some sixty looks a second.
 */
export function isTimeToCheckpoint(facts: CheckpointFacts): boolean {
  const { frameCount, backfilledCount, limits } = facts;
  if (limits.intervalMs <= 0 || frameCount <= backfilledCount) return false;
  return facts.quietMs >= QUIET_MS && !wasInVain(facts) || facts.sinceLastTryMs >= limits.intervalMs;
}

/** Whether nothing has changed since the last try. */
function wasInVain(facts: CheckpointFacts): boolean {
  return facts.triedFrameCount === facts.frameCount && facts.triedBackfilledCount === facts.backfilledCount;
}

/** Whether and how to checkpoint. Nothing to backfill never calls for one, so an idle database costs nothing. */
export function chooseCheckpoint(facts: CheckpointFacts): CheckpointChoice {
  const { frameCount, backfilledCount, triedFrameCount, sinceLastTryMs, limits } = facts;
  const { minPages, maxPages } = limits;
  if (frameCount <= backfilledCount) return "none";
  if (maxPages > 0 && frameCount >= maxPages) {
    const grown = frameCount - triedFrameCount >= minPages;
    return triedFrameCount < maxPages || grown || sinceLastTryMs >= RETRY_MS ? "barrier" : "none";
  }
  const politePages = crowdedFrom(limits);
  if (frameCount < politePages) return isTimeToCheckpoint(facts) ? "polite" : "none";
  const hasGrown = frameCount - triedFrameCount >= politePages;
  if (maxPages > 0 && hasGrown && isLongForOthers(facts)) return "barrier";
  if (hasGrown || facts.isPause && !wasInVain(facts)) return "polite";
  return isTimeToCheckpoint(facts) ? "polite" : "none";
}

/**
 * An application that checkpoints itself never gets past our reader, and pays for a try at each commit until the WAL is
 * restarted. One that is as fast as it can feels each of them, others only the one commit that a barrier holds off.
 */
function isLongForOthers(facts: CheckpointFacts): boolean {
  if (!facts.areOthersSeen) return false;
  const isFast = facts.triedFrameCount === 0 && facts.sinceLastTryMs < FAST_MS;
  return isFast || facts.frameCount >= OTHERS_FACTOR * facts.limits.minPages;
}
