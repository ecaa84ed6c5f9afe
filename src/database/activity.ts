/** When a database last did something, and what a cheap look says. */
import type { Clock } from "../runtime/clock.ts";
import { hasSameCommits, type WalIndex } from "../wal/wal_index.ts";

/** After this long without a commit the spare connections are closed. */
const IDLE_MS = 10_000;

/** Nothing that is committed is left alone for longer than this, nor more of it than this. */
const LONGEST_REST_MS = 1000;
export const REST_BYTES = 1 << 20;

/** Where fewer commits are to be expected, it tells nothing that half of them didn't come. */
const LEAST_USUAL_COUNT = 4;

/** Commits in a millisecond below which a database that is looked at ten times a second grows little in between. */
const GENTLE_PER_MS = 0.5;

/** Looks that follow each other are no farther apart: between others there was a time without commits. */
const LONGEST_GAP_MS = 400;

/** How many commits came since the last look, by what came before; gentle: as usual, which is not much. */
export type Flow = "none" | "fewer" | "gentle" | "usual";

/** What one database was seen to do. */
export class Activity {
  readonly #clock: Clock;
  /** Or taken up. */
  #lastCopyMs = -Infinity;
  #lastLookMs = -Infinity;
  #lastSeen: WalIndex | undefined;
  #lastFlowMs = -Infinity;
  /** Of the last look that found not fewer than usual. */
  #commitsPerMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The database was taken up. */
  begin(): void {
    this.#lastSeen = undefined;
    this.noteCopy();
  }

  /** A real look begins. */
  noteLook(): void {
    this.#lastLookMs = this.#clock.monotonicMs();
  }

  /** Something was copied. */
  noteCopy(): void {
    this.#lastCopyMs = this.#clock.monotonicMs();
  }

  /** Time without a commit. */
  get quietMs(): number {
    return this.#clock.monotonicMs() - this.#lastCopyMs;
  }

  /** Whether nothing is likely to come soon. */
  get isIdle(): boolean {
    return this.quietMs >= IDLE_MS;
  }

  /** Whether the wal-index differs from what was seen the last time. */
  isNew(index: WalIndex): boolean {
    const seen = this.#lastSeen;
    this.#lastSeen = index;
    // Which of SQLite's readers stand where is nothing new.
    return seen !== index && (seen === undefined || !isSame(seen, index));
  }

  /**
   * What was committed since the last cheap look. While it goes on committing none of its checkpoints waits for our
   * reader: who waits has locked the writers out, whatever he has backfilled.
   */
  flowTo(index: WalIndex): Flow {
    const [seen, beforeMs] = [this.#lastSeen, this.#lastFlowMs];
    this.#lastSeen = index;
    this.#lastFlowMs = this.#clock.monotonicMs();
    if (seen === index || seen !== undefined && hasSameCommits(seen, index)) return "none";
    const elapsedMs = this.#lastFlowMs - beforeMs;
    const count = seen === undefined ? 0 : (index.change - seen.change) >>> 0;
    const usualCount = this.#commitsPerMs * elapsedMs;
    const isFewer = usualCount >= LEAST_USUAL_COUNT && count < usualCount / 2;
    this.#commitsPerMs = isFewer ? 0 : count / elapsedMs;
    if (isFewer) return "fewer";
    return this.#commitsPerMs < GENTLE_PER_MS && elapsedMs <= LONGEST_GAP_MS ? "gentle" : "usual";
  }

  /** Whether a busy database has been left alone for long enough. */
  get isRestOver(): boolean {
    return this.#clock.monotonicMs() - this.#lastLookMs >= LONGEST_REST_MS;
  }
}

function isSame(left: WalIndex, right: WalIndex): boolean {
  return left.backfilledCount === right.backfilledCount && hasSameCommits(left, right);
}
