/** How databases and their replicas stand, looked at now. */
import {
  type DatabaseFacts,
  type DatabaseVerdict,
  type HealthLimits,
  judgeDatabase,
  judgeReplica,
  type ReplicaFacts,
  type ReplicaVerdict,
} from "./health.ts";
import type { Drill } from "./drill.ts";
import type { ReplicaLoop } from "./replica_loop.ts";
import type { Replicator } from "./replicator.ts";
import type { LiveDatabase } from "../database/database.ts";
import type { Backlog } from "../database/shadow_source.ts";
import { describeError } from "../errors.ts";
import type { Position } from "../position.ts";
import type { Clock } from "../runtime/clock.ts";

/** One replica. Times are milliseconds since 1970. */
export interface ReplicaReport extends ReplicaVerdict {
  readonly name: string;
  readonly type: string;
  readonly position: Position | undefined;
  readonly waitingBytes: number;
  readonly lastUploadAt: number | undefined;
  readonly newestSnapshotAt: number | undefined;
  /** Up to when a drill has proven that it restores; `undefined` until one has. */
  readonly lastProvenAt: number | undefined;
  /** Failures in a row. */
  readonly errorCount: number;
  readonly error: string;
  /** Since when its condition holds. */
  readonly since: number;
}

/** One database with its replicas. */
export interface DatabaseReport extends DatabaseVerdict {
  readonly path: string;
  readonly position: Position | undefined;
  readonly error: string;
  /** Since when its condition holds. */
  readonly since: number;
  readonly replicas: readonly ReplicaReport[];
}

/** All databases. */
export interface HealthReport {
  /** Whether everything is. */
  readonly isHealthy: boolean;
  readonly databases: readonly DatabaseReport[];
}

/** Look at everything and judge it. */
export function inspect(
  replicators: readonly Replicator[],
  { limits, clock }: { limits: HealthLimits; clock: Clock },
): HealthReport {
  const databases = replicators.map((replicator) => inspectDatabase(replicator, { limits, clock }));
  const isHealthy = databases.every((database) =>
    database.isHealthy && database.replicas.every((replica) => replica.isHealthy)
  );
  return { isHealthy, databases };
}

function inspectDatabase(
  { database, replicas, duties }: Replicator,
  { limits, clock }: { limits: HealthLimits; clock: Clock },
): DatabaseReport {
  const now = clock.now();
  const facts = databaseFacts(database, now);
  const verdict = judgeDatabase(facts, limits);
  return {
    ...verdict,
    path: database.path,
    position: database.position,
    error: facts.error,
    since: now - verdict.forMs,
    replicas: replicas.map((loop, at) => {
      const drill = duties[at]?.drill;
      const { unsentBytes, ...more } = replicaFacts(loop, { database, drill });
      const judged = judgeReplica({ unsentBytes, ...more }, { limits, database: verdict });
      return {
        ...judged,
        name: loop.client.name,
        type: loop.client.store.type,
        position: loop.position,
        waitingBytes: unsentBytes + facts.uncopiedBytes,
        lastUploadAt: loop.progress.lastUploadAt,
        newestSnapshotAt: loop.progress.newestSnapshotAt,
        lastProvenAt: drill?.lastProvenAt?.getTime(),
        errorCount: loop.errorCount,
        error: judged.condition === "unproven" ? `drill failed: ${drill?.lastError}` : loop.lastError,
        since: now - judged.forMs,
      };
    }),
  };
}

function databaseFacts({ following }: LiveDatabase, now: number): DatabaseFacts {
  const { state, stateSince, error, sinceGoodMs, lookIntervalMs, uncopiedBytes } = following;
  const reason = state.kind === "waiting"
    ? state.reason
    : state.kind === "stopped"
    ? describeError(state.error)
    : error;
  return {
    state: state.kind,
    isNew: state.kind === "waiting" && state.isNew,
    error: reason,
    sinceStateMs: Math.max(0, now - stateSince),
    sinceGoodMs,
    lookIntervalMs,
    uncopiedBytes,
  };
}

function replicaFacts(
  loop: ReplicaLoop,
  { database, drill }: { database: LiveDatabase; drill: Drill | undefined },
): ReplicaFacts {
  const { progress } = loop;
  const backlog = backlogOf(loop, database);
  const ageMs = backlog?.ageMs;
  // Until it is known what the replica has, it may lack anything, but nothing that a run before us was to send.
  const isKnown = loop.position !== undefined;
  const unsentForMs = ageMs === undefined || isKnown ? ageMs : Math.min(ageMs, progress.sinceStartMs);
  return {
    unsentForMs,
    unsentBytes: backlog?.bytes ?? 0,
    syncIntervalMs: loop.syncIntervalMs,
    sinceWalMs: progress.sinceWalMs,
    missingSnapshotForMs: loop.lacksSnapshot ? progress.missingSnapshotForMs : undefined,
    sinceSnapshotMs: progress.sinceSnapshotMs,
    error: loop.lastError,
    unprovenForMs: drill?.failingForMs,
  };
}

/** A disk that can't be read must not hide that a replica stands still: then it lacks something since its last step. */
function backlogOf(loop: ReplicaLoop, database: LiveDatabase): Backlog | undefined {
  try {
    return database.backlogAfter(loop.position);
  } catch {
    return { bytes: 0, ageMs: loop.progress.sinceWalMs };
  }
}
