/** Whether a database and its replicas are as they should be; decided from plain values. */
import type { DatabaseState } from "../database/database_options.ts";

/** When something is no longer as it should be. */
export interface HealthLimits {
  /**
   * How long a replica, or a database, may get no further while there is something to do, beyond the interval at which
   * it works anyway. Default 5 min.
   */
  readonly maxStallMs: number;
  /** How far a replica may be behind although it gets further; 0: no such limit. Default 0. */
  readonly maxLagMs: number;
}

/** Limits unless told otherwise. */
export const HEALTH_DEFAULTS: HealthLimits = { maxStallMs: 5 * 60_000, maxLagMs: 0 };

/** What is known of a database. Ages in milliseconds. */
export interface DatabaseFacts {
  readonly state: DatabaseState["kind"];
  /** Whether there never was anything to follow. */
  readonly isNew: boolean;
  /** Why it isn't followed, or why the last look failed; empty when all is well. */
  readonly error: string;
  readonly sinceStateMs: number;
  /** Since a look last succeeded. */
  readonly sinceGoodMs: number;
  /** How often there is a look at least. */
  readonly lookIntervalMs: number;
  /** Committed and not copied. */
  readonly uncopiedBytes: number;
}

/** What is known of a replica. Ages in milliseconds. */
export interface ReplicaFacts {
  /** Since the oldest commit that it lacks; `undefined` when it lacks none. */
  readonly unsentForMs: number | undefined;
  /** Bytes of WAL that it lacks. */
  readonly unsentBytes: number;
  /** Since its WAL last got further. */
  readonly sinceWalMs: number;
  /** How long it rests between uploads when all is well. */
  readonly syncIntervalMs: number;
  /** Since its generation has been without a snapshot; `undefined` when it has one. */
  readonly missingSnapshotForMs: number | undefined;
  /** Since that snapshot last got further. */
  readonly sinceSnapshotMs: number;
  /** What keeps it behind; empty when nothing does. */
  readonly error: string;
  /** Since a drill failed, none having passed since; `undefined` when none did. */
  readonly unprovenForMs: number | undefined;
}

/** `stalled` gets no further; `new` isn't there yet. */
export type DatabaseCondition = "ok" | "new" | "waiting" | "failing" | "stalled" | "stopped" | "closed";

/**
 * `failing` is tried again; `stalled` gets no further for too long, `late` is too far behind, and of `unproven` the last
 * drill has failed.
 */
export type ReplicaCondition = "ok" | "behind" | "failing" | "stalled" | "late" | "unproven";

/** What a database's facts come to. */
export interface DatabaseVerdict {
  readonly condition: DatabaseCondition;
  readonly isHealthy: boolean;
  /** How long it has been so. */
  readonly forMs: number;
  /** How long commits may have gone unnoticed; 0 when all are copied. */
  readonly blindMs: number;
}

/** Judge a database. */
export function judgeDatabase(facts: DatabaseFacts, { maxStallMs }: HealthLimits): DatabaseVerdict {
  const { state, isNew, error, sinceStateMs, sinceGoodMs, lookIntervalMs, uncopiedBytes } = facts;
  if (state === "closed" || state === "waiting" && isNew) {
    const condition = state === "closed" ? "closed" : "new";
    return { condition, isHealthy: true, forMs: sinceStateMs, blindMs: 0 };
  }
  if (state === "stopped") {
    return { condition: "stopped", isHealthy: false, forMs: sinceStateMs, blindMs: sinceGoodMs };
  }
  const isHealthy = sinceGoodMs <= maxStallMs + lookIntervalMs;
  if (state === "waiting") {
    return { condition: "waiting", isHealthy, forMs: sinceGoodMs, blindMs: sinceGoodMs };
  }
  // What was committed just now is copied at the next look.
  const blindMs = uncopiedBytes > 0 && sinceGoodMs > lookIntervalMs ? sinceGoodMs : 0;
  if (error !== "") return { condition: "failing", isHealthy, forMs: sinceGoodMs, blindMs };
  if (blindMs > 0) return { condition: "stalled", isHealthy, forMs: sinceGoodMs, blindMs };
  return { condition: "ok", isHealthy: true, forMs: sinceStateMs, blindMs };
}

/** What a replica's facts come to. */
export interface ReplicaVerdict {
  readonly condition: ReplicaCondition;
  readonly isHealthy: boolean;
  /** How long it has been so. */
  readonly forMs: number;
  /** How old the oldest commit is that could not be restored from it. */
  readonly behindMs: number;
}

/** Judge a replica of a database that was judged. */
export function judgeReplica(
  facts: ReplicaFacts,
  { limits, database }: { limits: HealthLimits; database: Pick<DatabaseVerdict, "blindMs"> },
): ReplicaVerdict {
  const stalledMs = Math.max(
    atMost(facts.unsentForMs, facts.sinceWalMs),
    atMost(facts.missingSnapshotForMs, facts.sinceSnapshotMs),
  );
  const behindMs = Math.max(facts.unsentForMs ?? 0, facts.missingSnapshotForMs ?? 0, database.blindMs);
  const isBehind = facts.unsentForMs !== undefined || facts.missingSnapshotForMs !== undefined ||
    database.blindMs > 0;
  if (stalledMs > limits.maxStallMs + facts.syncIntervalMs) {
    return { condition: "stalled", isHealthy: false, forMs: stalledMs, behindMs };
  }
  if (limits.maxLagMs > 0 && behindMs > limits.maxLagMs) {
    return { condition: "late", isHealthy: false, forMs: behindMs, behindMs };
  }
  // However current it is, nobody knows whether it can be restored.
  if (facts.unprovenForMs !== undefined) {
    return { condition: "unproven", isHealthy: false, forMs: facts.unprovenForMs, behindMs };
  }
  if (facts.error !== "") return { condition: "failing", isHealthy: true, forMs: stalledMs, behindMs };
  if (isBehind) return { condition: "behind", isHealthy: true, forMs: behindMs, behindMs };
  return { condition: "ok", isHealthy: true, forMs: facts.sinceWalMs, behindMs };
}

/** A wait counts from when there was something to wait for, and from the last step forward. */
function atMost(waitingMs: number | undefined, sinceStepMs: number): number {
  return waitingMs === undefined ? 0 : Math.min(waitingMs, sinceStepMs);
}
