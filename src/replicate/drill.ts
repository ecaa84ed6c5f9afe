/**
 * A drill: what has to be done on the day when the database is lost, done now. The replica is restored to a temporary
 * file with every check that a restore makes, compared with the live database at that position, page by page, and
 * looked at by SQLite. What is published is the moment for which all that held.
 */
import { Backoff, type BackoffOptions } from "./backoff.ts";
import type { DutyParts } from "./duty.ts";
import { pause } from "../runtime/pause.ts";
import { type Proof, Validator, type ValidatorOptions } from "./validator.ts";
import { describeError } from "../errors.ts";
import { formatPosition } from "../position.ts";
import { checkIntegrity, classifySqliteError } from "../runtime/sqlite.ts";

/** How a replica is drilled. */
export interface DrillOptions extends Omit<ValidatorOptions, "look"> {
  /** Pauses before another try after a failure. Default: 1 min, doubling up to 1 h; never more than the interval. */
  readonly backoff?: Partial<BackoffOptions> | undefined;
}

/** Unless told otherwise. */
const BACKOFF = { firstMs: 60_000, longestMs: 3_600_000, awayMs: 60_000 };

/** Unix seconds up to which the replica is proven to restore what was committed. */
const GAUGE = "walbrook_last_proven_restorable_seconds";

/** The drills of one replica. */
export class Drill {
  readonly #parts: DutyParts;
  readonly #intervalMs: number;
  readonly #validator: Validator;
  readonly #repair: DrillOptions["repair"];
  readonly #backoff: Backoff;
  readonly #retryMs: number;
  #lastProvenAt: Date | undefined;
  /** By the monotonic clock. */
  #failingSinceMs: number | undefined;
  #isSkipped = false;
  /** That SQLite can't check the integrity. */
  #isTold = false;

  constructor(parts: DutyParts, { backoff, ...options }: DrillOptions) {
    this.#parts = parts;
    this.#intervalMs = options.intervalMs;
    this.#repair = options.repair;
    this.#validator = new Validator(parts, {
      ...options,
      look: (path, signal) => this.#integrityOf(path, signal),
    });
    const pauses = { ...BACKOFF, ...backoff };
    this.#backoff = new Backoff(parts.logger, pauses);
    this.#retryMs = pauses.firstMs;
  }

  /** Whether drills are held at all. */
  get isEnabled(): boolean {
    return this.#intervalMs > 0;
  }

  /** Everything that was committed before can be restored, as the last drill that passed has shown. */
  get lastProvenAt(): Date | undefined {
    return this.#lastProvenAt;
  }

  /** Why the last drill failed; empty when it passed, and before the first. */
  get lastError(): string {
    return this.#backoff.lastMessage;
  }

  /** How long drills have been failing; `undefined` when the last one passed, and before the first. */
  get failingForMs(): number | undefined {
    const since = this.#failingSinceMs;
    return since === undefined ? undefined : this.#parts.clock.monotonicMs() - since;
  }

  /**
   * Hold a drill after each interval until the signal fires; sooner again after one that failed, or that there was
   * nothing for.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#parts;
    if (!this.isEnabled) return;
    for (let waitMs = this.#intervalMs; !signal.aborted;) {
      try {
        await pause(waitMs, { clock, signal });
        const proof = await this.drill(signal);
        waitMs = proof === undefined ? Math.min(this.#intervalMs, this.#retryMs) : this.#intervalMs;
      } catch (error) {
        if (signal.aborted) return;
        this.#failingSinceMs ??= clock.monotonicMs();
        // Each one that fails is an error, also when its words are those of the one before.
        const text = describeError(error);
        if (text === this.lastError) logger.error("drill failed", { error: text });
        waitMs = Math.min(this.#intervalMs, this.#backoff.fail("drill failed", error));
      }
    }
  }

  /**
   * Hold one now.
   *
   * @returns `undefined` when the replica has nothing to restore yet
   * @throws {Error} when the replica is not proven, for whatever reason
   */
  async drill(signal: AbortSignal): Promise<Proof | undefined> {
    const { logger, metrics, database, client } = this.#parts;
    const proof = await this.#validator.prove(signal);
    if (proof.outcome === "skipped") {
      if (!this.#isSkipped) logger.info("drill: no replica position available");
      this.#isSkipped = true;
      return undefined;
    }
    this.#isSkipped = false;
    const position = formatPosition(proof.position);
    if (proof.outcome !== "ok") {
      await this.#repair?.(proof, signal);
      throw new Error(`${position}: ${explain(proof)}`);
    }
    const at = new Date(proof.at);
    this.#lastProvenAt = at;
    this.#failingSinceMs = undefined;
    metrics.gauge(GAUGE, { db: database.path, name: client.name }, at.getTime() / 1000);
    this.#backoff.succeed("drills pass again");
    logger.info("drill passed: the replica restores to the database", { position, proven: at.toISOString() });
    return proof;
  }

  async #integrityOf(path: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      const result = await checkIntegrity(path, { signal });
      return result === "ok" ? undefined : `the restored database fails SQLite's integrity check: ${result}`;
    } catch (error) {
      if (classifySqliteError(error) !== "unknown extension") throw error;
      // Every page is that of the live database; only the application can look into it any further.
      if (!this.#isTold) {
        this.#parts.logger.warn(
          "drill: SQLite can't check a schema that needs what only the application has",
          {
            error: describeError(error),
          },
        );
      }
      this.#isTold = true;
      return undefined;
    }
  }
}

function explain({ error = "", difference }: Proof): string {
  if (difference === undefined) return error;
  return `${error}: ${difference.count} pages differ, the first is page ${difference.firstPage}`;
}
