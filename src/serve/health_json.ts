/** What `/health` answers. */
import { formatPosition } from "../position.ts";
import type { DatabaseReport, HealthReport, ReplicaReport } from "../replicate/inspect.ts";

/** A report as JSON, with an end of line. Times are RFC 3339, ages seconds, sizes bytes. */
export function formatHealth(report: HealthReport): string {
  const health = {
    healthy: report.isHealthy,
    databases: report.databases.map(databaseHealth),
  };
  return `${JSON.stringify(health, undefined, 2)}\n`;
}

function databaseHealth(database: DatabaseReport): Record<string, unknown> {
  return {
    path: database.path,
    state: database.condition,
    healthy: database.isHealthy,
    since: formatTime(database.since),
    position: formatPosition(database.position),
    error: database.error,
    replicas: database.replicas.map(replicaHealth),
  };
}

function replicaHealth(replica: ReplicaReport): Record<string, unknown> {
  return {
    name: replica.name,
    type: replica.type,
    state: replica.condition,
    healthy: replica.isHealthy,
    since: formatTime(replica.since),
    position: formatPosition(replica.position),
    lag_seconds: replica.behindMs / 1000,
    waiting_bytes: replica.waitingBytes,
    last_upload: formatTime(replica.lastUploadAt),
    newest_snapshot: formatTime(replica.newestSnapshotAt),
    last_proven: formatTime(replica.lastProvenAt),
    consecutive_errors: replica.errorCount,
    error: replica.error,
  };
}

function formatTime(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
