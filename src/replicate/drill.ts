/**
 * A drill: what has to be done on the day when the database is lost, done now. The replica is restored to a temporary
 * file with every check that a restore makes, compared with the live database at that position, page by page, and
 * looked at by SQLite. What is published is the moment for which all that held.
 */
import { Backoff, type BackoffOptions } from "./backoff.ts";
import { DrillMemory } from "./drill_memory.ts";
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
  readonly #memory: DrillMemory;
  #lastProvenAt: Date | undefined;
  /** When the first of those failed that did since one passed; milliseconds since 1970. */
  #failingSince: number | undefined;
  /** Why the last one failed before this start. */
  #earlierError = "";
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
    this.#memory = new DrillMemory(parts.database.meta, parts.client);
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
    return this.#backoff.lastMessage || this.#earlierError;
  }

  /** How long drills have been failing; `undefined` when the last one passed, and before the first. */
  get failingForMs(): number | undefined {
    const since = this.#failingSince;
    const { state } = this.#parts.database;
    // What an earlier database has left behind says nothing of one that is still to be made.
    if (state.kind === "waiting" && state.isNew) return undefined;
    return since === undefined ? undefined : Math.max(0, this.#parts.clock.now() - since);
  }

  /**
   * Hold a drill after each interval until the signal fires; sooner again after one that failed, or that there was
   * nothing for.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, database, logger } = this.#parts;
    if (!this.isEnabled) return;
    for (let waitMs: number | undefined; !signal.aborted;) {
      try {
        waitMs ??= await this.#begin(signal);
        await pause(waitMs, { clock, signal });
        const proof = await this.drill(signal);
        waitMs = proof === undefined ? Math.min(this.#intervalMs, this.#retryMs) : this.#intervalMs;
      } catch (error) {
        if (signal.aborted) return;
        const since = this.#failingSince ??= clock.now();
        // Each one that fails is an error, also when its words are those of the one before.
        const text = describeError(error);
        if (this.#backoff.repeats(error)) logger.error("drill failed", { error: text });
        waitMs = Math.min(this.#intervalMs, this.#backoff.fail("drill failed", error));
        const provenAt = this.#lastProvenAt?.getTime();
        // Nothing is made beside a database that went away meanwhile.
        if (database.state.kind !== "live") continue;
        this.#memory.write({ since: provenAt ?? since, provenAt, failure: { since, error: text } });
      }
    }
  }

  /**
   * Take up what was remembered, or begin to wait for the first drill.
   *
   * @returns how long to wait for the next drill
   */
  async #begin(signal: AbortSignal): Promise<number> {
    const { clock, database } = this.#parts;
    const soonMs = Math.min(this.#intervalMs, this.#retryMs);
    const startedAt = clock.now();
    const remembered = this.#memory.read();
    if (remembered === undefined) {
      await pause(soonMs, { clock, signal });
      // Nothing is made beside a database that isn't there.
      if (database.state.kind === "live") this.#memory.write({ since: startedAt });
      return this.#intervalMs - soonMs;
    }
    const { since, provenAt, failure } = remembered;
    if (provenAt !== undefined) this.#publish(new Date(provenAt));
    this.#failingSince = failure?.since;
    this.#earlierError = failure?.error ?? "";
    const dueMs = failure === undefined ? since + this.#intervalMs - startedAt : 0;
    // Not at once: what was started a moment ago may be started again the next.
    return Math.min(this.#intervalMs, Math.max(soonMs, dueMs));
  }

  #publish(at: Date): void {
    const { metrics, database, client } = this.#parts;
    this.#lastProvenAt = at;
    metrics.gauge(GAUGE, { db: database.path, name: client.name }, at.getTime() / 1000);
  }

  /**
   * Hold one now.
   *
   * @returns `undefined` when the replica has nothing to restore yet
   * @throws {Error} when the replica is not proven, for whatever reason
   */
  async drill(signal: AbortSignal): Promise<Proof | undefined> {
    const { database, logger } = this.#parts;
    const proof = database.state.kind === "live" ? await this.#validator.prove(signal) : undefined;
    if (proof === undefined || proof.outcome === "skipped") {
      if (!this.#isSkipped) logger.info("drill: no replica position available");
      this.#isSkipped = true;
      return undefined;
    }
    this.#isSkipped = false;
    const position = formatPosition(proof.position);
    await this.#tryRepair(proof, signal);
    if (proof.outcome !== "ok") throw new Error(`${position}: ${explain(proof)}`);
    const at = new Date(proof.at);
    this.#publish(at);
    if (this.#earlierError !== "" && this.#backoff.count === 0) logger.info("drills pass again");
    this.#failingSince = undefined;
    this.#earlierError = "";
    this.#backoff.succeed("drills pass again");
    this.#memory.write({ since: proof.at, provenAt: proof.at });
    logger.info("drill passed: the replica restores to the database", { position, proven: at.toISOString() });
    return proof;
  }

  /** What was found out counts more than that it can't be mended now. */
  async #tryRepair(proof: Proof, signal: AbortSignal): Promise<void> {
    try {
      await this.#repair?.(proof, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#parts.logger.error("cannot mend the replica now", { error: describeError(error) });
    }
  }

  async #integrityOf(path: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      const result = await checkIntegrity(path, { signal });
      return result === "ok" ? undefined : `it fails SQLite's integrity check: ${result}`;
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
