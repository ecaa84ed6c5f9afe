/** Says in the log what stays bad: once, then with growing gaps. */
import { HEALTH_DEFAULTS, type HealthLimits } from "./health.ts";
import { type DatabaseReport, type HealthReport, inspect, type ReplicaReport } from "./inspect.ts";
import { remind, type Reminder } from "./reminder.ts";
import type { Replicator } from "./replicator.ts";
import { type LogFields, type Logger, silentLogger } from "../logger.ts";
import { formatPosition } from "../position.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";

/** What a monitor watches. */
export interface HealthMonitorOptions {
  readonly replicators: readonly Replicator[];
  /** Default: `HEALTH_DEFAULTS`. */
  readonly limits?: Partial<HealthLimits> | undefined;
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
}

/** Looks are no rarer than this: a twentieth of the default limit. */
const LONGEST_CHECK_MS = 15_000;

/** What is said of one thing. */
interface Words {
  readonly bad: string;
  readonly goodAgain: string;
  /** Which one it is. */
  readonly scope: LogFields;
  readonly facts: LogFields;
}

/** Watches from when it is made until it is disposed of. */
export class HealthMonitor implements Disposable {
  readonly limits: HealthLimits;
  readonly #replicators: readonly Replicator[];
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #reminders = new Map<string, Reminder>();
  readonly #ticker: Disposable;

  constructor({ replicators, limits, clock, logger }: HealthMonitorOptions) {
    this.#replicators = replicators;
    this.limits = {
      maxStallMs: limits?.maxStallMs ?? HEALTH_DEFAULTS.maxStallMs,
      maxLagMs: limits?.maxLagMs ?? HEALTH_DEFAULTS.maxLagMs,
    };
    this.#clock = clock ?? systemClock;
    this.#logger = logger ?? silentLogger;
    const checkMs = Math.max(10, Math.min(LONGEST_CHECK_MS, this.limits.maxStallMs / 10));
    this.#ticker = this.#clock.every(checkMs, () => this.check());
  }

  /** How everything stands now. */
  report(): HealthReport {
    return inspect(this.#replicators, { limits: this.limits, clock: this.#clock });
  }

  /** Look, and say what is to be said. */
  check(): void {
    for (const database of this.report().databases) {
      this.#tell(`db ${database.path}`, !database.isHealthy, databaseWords(database));
      for (const replica of database.replicas) {
        const key = `replica ${database.path}\n${replica.name}`;
        // Of a drill that failed its own line tells, at each try.
        const isBad = !replica.isHealthy && replica.condition !== "unproven";
        this.#tell(key, isBad, replicaWords(database, replica));
      }
    }
  }

  #tell(key: string, isBad: boolean, { bad, goodAgain, scope, facts }: Words): void {
    const nowMs = this.#clock.monotonicMs();
    const { say, next } = remind(this.#reminders.get(key), {
      isBad,
      nowMs,
      firstGapMs: this.limits.maxStallMs,
    });
    if (next === undefined) this.#reminders.delete(key);
    else this.#reminders.set(key, next);
    if (say === "bad") this.#logger.error(bad, { ...scope, ...facts });
    else if (say === "good again") this.#logger.info(goodAgain, scope);
  }

  [Symbol.dispose](): void {
    this.#ticker[Symbol.dispose]();
  }
}

function databaseWords({ path, condition, error, forMs }: DatabaseReport): Words {
  return {
    bad: "the database is not followed, its commits are in no replica",
    goodAgain: "the database is followed again",
    scope: { db: path },
    facts: { state: condition, for: wholeSeconds(forMs), error: error || undefined },
  };
}

function replicaWords(database: DatabaseReport, replica: ReplicaReport): Words {
  const { name, condition, forMs, behindMs, waitingBytes, position, error } = replica;
  return {
    bad: condition === "late" ? "the replica is too far behind" : "the replica does not advance",
    goodAgain: "the replica advances again",
    scope: { db: database.path, replica: name },
    facts: {
      for: wholeSeconds(forMs),
      behind: wholeSeconds(behindMs),
      bytes: waitingBytes,
      position: formatPosition(position),
      error: error || undefined,
    },
  };
}

function wholeSeconds(ms: number): { durationMs: number } {
  return { durationMs: Math.floor(ms / 1000) * 1000 };
}
