/** What a replica comes to that is named by its URL alone, on a command line: every key has its default. */
import type { SupportedReplicaUrl } from "../storage/replica_url.ts";
import type { CommonReplicaConfig, DatabaseConfig, ReplicaConfig } from "./configuration.ts";
import { keyFact, type Section } from "./keys.ts";

/** The replica at `url`; `expandPath` makes a folder's path absolute. */
export function replicaAtUrl(
  url: SupportedReplicaUrl,
  { name, expandPath }: { name: string; expandPath: (path: string) => string },
): ReplicaConfig {
  const common: CommonReplicaConfig = {
    name,
    syncIntervalMs: defaultNumber("replica", "sync-interval"),
    retentionMs: defaultNumber("replica", "retention"),
    retentionCheckIntervalMs: defaultNumber("replica", "retention-check-interval"),
    snapshotIntervalMs: defaultNumber("replica", "snapshot-interval"),
    validationIntervalMs: defaultNumber("replica", "validation-interval"),
    drillIntervalMs: defaultNumber("replica", "drill-interval"),
    identities: [],
    recipients: [],
  };
  if (url.type === "file") return { ...common, type: "file", path: expandPath(url.path), mustExist: false };
  return { ...common, type: "s3", urlHost: url.host, path: url.path, skipVerify: false };
}

/** A database with nothing but its path and replicas given. */
export function databaseAtPath(path: string, replicas: readonly ReplicaConfig[]): DatabaseConfig {
  return {
    path,
    monitorIntervalMs: defaultNumber("database", "monitor-interval"),
    checkpointIntervalMs: defaultNumber("database", "checkpoint-interval"),
    busyTimeoutMs: defaultNumber("database", "busy-timeout"),
    minCheckpointPageCount: defaultNumber("database", "min-checkpoint-page-count"),
    maxCheckpointPageCount: defaultNumber("database", "max-checkpoint-page-count"),
    truncatePageCount: defaultNumber("database", "truncate-page-count"),
    maxShadowSize: defaultNumber("database", "max-shadow-size"),
    replicas,
  };
}

function defaultNumber(section: Section, key: string): number {
  return keyFact(section, key)!.default as number;
}
