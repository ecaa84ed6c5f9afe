/** Growing pauses after failures, and the log line that is written once per state. */
import { describeError, identifyError, isAway } from "../errors.ts";
import type { Logger } from "../logger.ts";

/** How pauses grow. Each is shortened by up to a half at random: many that failed at once don't come back at once. */
export interface BackoffOptions {
  /** The first pause. Default 1000. */
  readonly firstMs: number;
  /** The longest one. Default 30000. */
  readonly longestMs: number;
  /** The longest one while nothing is there to answer, see `isAway`. Default 30000. */
  readonly awayMs: number;
  /** A number from 0 up to 1. Default `Math.random`. */
  readonly random: () => number;
}

/** Pauses between tries. */
export const BACKOFF_DEFAULTS: BackoffOptions = {
  firstMs: 1000,
  longestMs: 30_000,
  awayMs: 30_000,
  random: Math.random,
};

/**
 * Between tries to upload WAL, which begin with one listing: short, since the replica is behind by as much once the
 * store is back. While nothing is there, what asks spares nobody by waiting.
 */
export const UPLOAD_BACKOFF: Partial<BackoffOptions> = { longestMs: 5000, awayMs: 500 };

/** The longest pause where the store itself tells when something answers again, which ends it. */
export const TOLD_AWAY_MS = 5000;

/** Between tries of snapshots, each of which holds the live WAL for a moment. */
export const SNAPSHOT_BACKOFF: Partial<BackoffOptions> = { awayMs: 5000 };

/** Counts failures in a row; says each kind of failure once, and when it is over. */
export class Backoff {
  readonly #logger: Logger;
  readonly #options: BackoffOptions;
  #count = 0;
  #lastMessage = "";
  #lastTrouble = "";

  constructor(logger: Logger, options: Partial<BackoffOptions> = {}) {
    this.#logger = logger;
    this.#options = { ...BACKOFF_DEFAULTS, ...options };
  }

  /** Failures since the last success. */
  get count(): number {
    return this.#count;
  }

  /** The last failure, empty after a success. */
  get lastMessage(): string {
    return this.#lastMessage;
  }

  /** Whether this is what failed last, be it that the words differ in what is another at each try. */
  repeats(error: unknown): boolean {
    return this.#count > 0 && identifyError(error) === this.#lastTrouble;
  }

  /** Something failed; returns how long to wait before the next try, in milliseconds. */
  fail(message: string, error: unknown): number {
    const text = describeError(error);
    if (!this.repeats(error)) this.#logger.error(message, { error: text });
    this.#lastMessage = text;
    this.#lastTrouble = identifyError(error);
    const { firstMs, longestMs, awayMs, random } = this.#options;
    const boundMs = isAway(error) ? Math.min(awayMs, longestMs) : longestMs;
    const pauseMs = Math.min(boundMs, firstMs * 2 ** Math.min(this.#count++, 20));
    return pauseMs * (1 - random() / 2);
  }

  /** It works again. */
  succeed(message: string): void {
    if (this.#count > 0) this.#logger.info(message, { failures: this.#count });
    this.#count = 0;
    this.#lastMessage = "";
  }
}
