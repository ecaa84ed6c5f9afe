/** Growing pauses after failures, and the log line that is written once per state. */
import { describeError, isAway } from "../errors.ts";
import type { Logger } from "../logger.ts";

/** How pauses grow. */
export interface BackoffOptions {
  /** The first pause. Default 1000. */
  readonly firstMs: number;
  /** The longest one. Default 30000. */
  readonly longestMs: number;
}

/** Pauses between tries. */
export const BACKOFF_DEFAULTS: BackoffOptions = { firstMs: 1000, longestMs: 30_000 };

/** While nothing is there to answer, what asks spares nobody by waiting, and is late once it is back. */
const AWAY_PAUSE_MS = 500;

/** Counts failures in a row; says each kind of failure once, and when it is over. */
export class Backoff {
  readonly #logger: Logger;
  readonly #options: BackoffOptions;
  #count = 0;
  #lastMessage = "";

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

  /** Something failed; returns how long to wait before the next try, in milliseconds. */
  fail(message: string, error: unknown): number {
    const text = describeError(error);
    if (text !== this.#lastMessage) this.#logger.error(message, { error: text });
    this.#lastMessage = text;
    const { firstMs, longestMs } = this.#options;
    const pauseMs = Math.min(longestMs, firstMs * 2 ** Math.min(this.#count++, 20));
    return isAway(error) ? Math.min(AWAY_PAUSE_MS, pauseMs) : pauseMs;
  }

  /** It works again. */
  succeed(message: string): void {
    if (this.#count > 0) this.#logger.info(message, { failures: this.#count });
    this.#count = 0;
    this.#lastMessage = "";
  }
}
