/** What goes wrong at look after look: told once, and told to be over. */
import { BusyError, describeError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Clock } from "../runtime/clock.ts";
import { classifySqliteError } from "../runtime/sqlite.ts";

/** A lock that others hold for longer than this is worth an error. */
const BUSY_MS = 5000;

/** The errors of one database's looks. */
export class Troubles {
  readonly #logger: Logger;
  readonly #clock: Clock;
  #lastError = "";
  #busySinceMs: number | undefined;
  #goodMs: number;
  #hasBeenGood = false;

  constructor({ logger, clock }: { logger: Logger; clock: Clock }) {
    this.#logger = logger;
    this.#clock = clock;
    this.#goodMs = clock.monotonicMs();
  }

  /** Milliseconds since a look last succeeded, or since the beginning. */
  get sinceGoodMs(): number {
    return this.#clock.monotonicMs() - this.#goodMs;
  }

  /** Whether any look ever succeeded. */
  get hasBeenGood(): boolean {
    return this.#hasBeenGood;
  }

  /** Why the last look failed; empty when it didn't. */
  get lastError(): string {
    return this.#lastError;
  }

  /** A look failed; the same error at every look says nothing new. */
  note(error: unknown): void {
    const message = describeError(error);
    if (this.#isBrieflyBusy(error)) return this.#logger.debug("sync: busy", { error: message });
    if (message !== this.#lastError) this.#logger.error("sync error", { error: message });
    this.#lastError = message;
  }

  #isBrieflyBusy(error: unknown): boolean {
    if (!(error instanceof BusyError) && classifySqliteError(error) !== "busy") {
      this.#busySinceMs = undefined;
      return false;
    }
    const now = this.#clock.monotonicMs();
    this.#busySinceMs ??= now;
    return now - this.#busySinceMs < BUSY_MS;
  }

  /** A look succeeded. */
  clear(): void {
    if (this.#lastError !== "") this.#logger.info("sync works again", { error: this.#lastError });
    this.#lastError = "";
    this.#busySinceMs = undefined;
    this.#goodMs = this.#clock.monotonicMs();
    this.#hasBeenGood = true;
  }
}
