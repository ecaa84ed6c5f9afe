/** What a configuration means for the objects of a run: each of its numbers under the name that it has there. */
import type { DatabaseConfig, ReplicaConfig } from "../config/configuration.ts";
import type { DatabaseOptions } from "../database/database_options.ts";
import type { ReplicatorOptions, ReplicatorReplica } from "../replicate/replicator.ts";

/** How the database is followed. */
export function databaseOptions(config: DatabaseConfig): DatabaseOptions {
  return {
    path: config.path,
    metaPath: config.metaPath,
    monitorIntervalMs: config.monitorIntervalMs,
    busyTimeoutMs: config.busyTimeoutMs,
    limits: {
      minPages: config.minCheckpointPageCount,
      maxPages: config.maxCheckpointPageCount,
      truncatePages: config.truncatePageCount,
      intervalMs: config.checkpointIntervalMs,
    },
  };
}

/** What is kept for replicas that are dead. */
export function replicatorLimits(config: DatabaseConfig): Pick<ReplicatorOptions, "maxShadowBytes"> {
  return { maxShadowBytes: config.maxShadowSize };
}

/** How often what is done for a replica. */
export function replicaPace(config: ReplicaConfig): Pick<ReplicatorReplica, "syncIntervalMs" | "duties"> {
  return {
    syncIntervalMs: config.syncIntervalMs,
    duties: {
      retention: { retentionMs: config.retentionMs, checkIntervalMs: config.retentionCheckIntervalMs },
      snapshotIntervalMs: config.snapshotIntervalMs,
      validation: { intervalMs: config.validationIntervalMs },
      drill: { intervalMs: config.drillIntervalMs },
    },
  };
}
