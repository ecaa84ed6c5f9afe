/** How long uploads rest: at most one in a sync interval on average. */
import type { Clock } from "../runtime/clock.ts";

/** At the end of an index two segments are sent in one round, which then lasts two intervals. */
const MOST_INTERVALS = 2;

/** A round of uploads, one after the other without a rest. Times are milliseconds of the monotonic clock. */
export interface Round {
  readonly count: number;
  readonly firstStartMs: number;
  readonly lastStartMs: number;
}

/** Told of each round, tells when the next one may begin. */
export class UploadPace {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  #nextMs = -Infinity;

  constructor({ intervalMs, clock }: { intervalMs: number; clock: Clock }) {
    this.#intervalMs = intervalMs;
    this.#clock = clock;
  }

  /** A round of what was committed since the one before. */
  sent({ count, lastStartMs }: Round): void {
    this.#nextMs = lastStartMs + this.#intervalMs * Math.min(count, MOST_INTERVALS);
  }

  /** A round of what had to wait while the replica was away isn't paid for: it counts as its first upload alone. */
  caughtUp({ firstStartMs }: Round): void {
    this.#nextMs = firstStartMs + this.#intervalMs;
  }

  /** The next round may begin now. */
  hurry(): void {
    this.#nextMs = -Infinity;
  }

  /** Milliseconds until the next round may begin; 0 or less: it may. */
  get restMs(): number {
    return this.#nextMs - this.#clock.monotonicMs();
  }
}
