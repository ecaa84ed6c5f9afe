/** When one database is checkpointed: keeps what the decision depends on, and carries it out. */
import {
  checkpointBehindBarrier,
  type CheckpointOutcome,
  type CheckpointParts,
  checkpointPolitely,
  truncateWal,
} from "./checkpoint.ts";
import {
  type CheckpointChoice,
  type CheckpointFacts,
  type CheckpointLimits,
  chooseCheckpoint,
  crowdedFrom,
  isTimeToCheckpoint,
  QUIET_MS,
} from "./decide.ts";
import { patienceWith, syncCopySoon } from "./sync_ahead.ts";
import { Mutex } from "../async.ts";
import type { Logger } from "../logger.ts";
import { walSize } from "../position.ts";
import { type Clock, yieldToEvents } from "../runtime/clock.ts";
import type { WalIndex } from "../wal/wal_index.ts";

/**
 * Databases that grew quiet together are to be checkpointed at the same slow turn, and each checkpoint syncs two files
 * while everything else in this process waits: what comes in meanwhile has its turn between two of them. Nobody has it
 * who waits for a disk.
 */
const politeTurn = new Mutex();

async function takePoliteTurn(): Promise<Disposable> {
  const turn = await politeTurn.acquire();
  await yieldToEvents();
  return turn;
}

/** What a schedule works with. */
export interface CheckpointScheduleOptions {
  readonly limits: CheckpointLimits;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One database's checkpoints. */
export class CheckpointSchedule {
  readonly #options: CheckpointScheduleOptions;
  #lastTry!: {
    frameCount: number;
    /** `undefined` until the next look says from where on it grows. */
    backfilledCount: number | undefined;
    atMs: number;
  };
  /** See `areOthersSeen`. */
  #areOthersSeen = false;

  constructor(options: CheckpointScheduleOptions) {
    this.#options = options;
    this.reset();
  }

  /** Frames from which on it calls for a checkpoint, and from which on the reader had better stay. */
  get crowdedFrom(): number {
    return crowdedFrom(this.#options.limits);
  }

  /** Whether somebody else was seen to checkpoint: what an application did once it goes on doing. */
  get areOthersSeen(): boolean {
    return this.#areOthersSeen;
  }

  /** What is backfilled now is our own doing, beside the schedule. */
  noteOwn({ follower }: CheckpointParts): void {
    this.#lastTry.backfilledCount = follower.live.look()?.backfilledCount;
  }

  /** Count from now: another WAL has begun. */
  reset(): void {
    const atMs = this.#options.clock.monotonicMs();
    this.#lastTry = { frameCount: 0, backfilledCount: undefined, atMs };
  }

  /** Whether time calls for a try; the other reasons come with commits, which are looked at anyway. */
  isTime(index: WalIndex, activity: { readonly quietMs: number }): boolean {
    // As at most looks, which should cost nothing: not even the time is asked for.
    if (index.mxFrame <= index.backfilledCount) return false;
    return isTimeToCheckpoint(this.#facts(index, { quietMs: activity.quietMs, isPause: true }));
  }

  #facts(
    index: WalIndex,
    now: Pick<CheckpointFacts, "quietMs" | "isPause">,
  ): CheckpointFacts {
    return {
      ...now,
      frameCount: index.mxFrame,
      backfilledCount: index.backfilledCount,
      triedFrameCount: this.#lastTry.frameCount,
      triedBackfilledCount: this.#lastTry.backfilledCount ?? 0,
      areOthersSeen: this.#areOthersSeen,
      sinceLastTryMs: this.#options.clock.monotonicMs() - this.#lastTry.atMs,
      limits: this.#options.limits,
    };
  }

  /** Checkpoint if it is time to; returns whether it was. */
  async run(
    parts: CheckpointParts,
    now: Pick<CheckpointFacts, "quietMs" | "isPause">,
  ): Promise<boolean> {
    const index = parts.follower.live.look();
    if (index === undefined) return false;
    if (index.mxFrame < this.#lastTry.frameCount) this.reset();
    this.#lastTry.backfilledCount ??= index.backfilledCount;
    if (index.backfilledCount > this.#lastTry.backfilledCount) this.#areOthersSeen = true;
    // What was committed since the copy, as mostly happens right after a notice, ends the quiet.
    const quietMs = parts.follower.isAtEnd(index) ? now.quietMs : 0;
    const choice = chooseCheckpoint(this.#facts(index, { ...now, quietMs }));
    if (choice === "none") return false;
    try {
      const isComplete = await this.#checkpoint(choice, parts);
      if (isComplete && quietMs >= QUIET_MS) syncCopySoon(parts.follower);
    } finally {
      // A try that failed counts too: the next look comes within milliseconds.
      this.#lastTry = {
        frameCount: index.mxFrame,
        backfilledCount: parts.follower.live.look()?.backfilledCount ?? 0,
        atMs: this.#options.clock.monotonicMs(),
      };
    }
    return true;
  }

  /** @returns whether all is backfilled then */
  async #checkpoint(choice: CheckpointChoice, parts: CheckpointParts): Promise<boolean> {
    const { limits, logger } = this.#options;
    const { maxPages } = limits;
    const isGrowing = patienceWith(parts.follower);
    const hasOutgrown = (index: WalIndex | undefined) => index !== undefined && index.mxFrame >= maxPages;
    const isOver = () => maxPages > 0 && hasOutgrown(parts.follower.live.look()) && isGrowing();
    let outcome = choice === "polite" ? await checkpointPolitely(parts, isOver, takePoliteTurn) : undefined;
    // Also where the WAL has outgrown its bound while we were polite.
    if (outcome === undefined || outcome.frameCount >= maxPages && isOver()) {
      outcome = await checkpointBehindBarrier(parts);
    }
    logger.debug("checkpoint", { mode: "PASSIVE", result: formatOutcome(outcome) });
    const isComplete = outcome !== undefined && outcome.backfilledCount === outcome.frameCount;
    const { live } = parts.follower;
    if (!isComplete || limits.truncatePages <= 0) return isComplete;
    if (live.walStat().size >= walSize(limits.truncatePages, { pageSize: live.pageSize() })) {
      truncateWal(parts);
    }
    return true;
  }
}

/** As SQLite answers the PRAGMA: busy, frames in the WAL, frames checkpointed. */
function formatOutcome(outcome: CheckpointOutcome | undefined): string {
  return outcome === undefined ? "1,-1,-1" : `0,${outcome.frameCount},${outcome.backfilledCount}`;
}
