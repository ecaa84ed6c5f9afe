/** Every metric, once: what the registry, docs/METRICS.md and the tests all go by. */

/** One metric. */
export interface MetricFact {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly labels: readonly string[];
  readonly help: string;
}

const DB = ["db"];
const DB_MODE = ["db", "mode"];
const DB_NAME = ["db", "name"];
const OPERATION = ["replica_type", "operation"];

/** Litestream's, by its own names and types. */
const LITESTREAM: readonly MetricFact[] = [
  gauge("litestream_db_size", DB, "Bytes of the database file"),
  gauge("litestream_wal_size", DB, "Bytes of the database's -wal file"),
  counter("litestream_total_wal_bytes", DB, "Bytes copied into the shadow WAL"),
  gauge("litestream_shadow_wal_index", DB, "Index that the shadow WAL is at"),
  gauge("litestream_shadow_wal_size", DB, "Bytes of all files of the shadow WAL"),
  counter("litestream_sync_count", DB, "Looks at the database, whatever came of them"),
  counter("litestream_sync_error_count", DB, "Looks that failed"),
  counter("litestream_sync_seconds", DB, "Seconds spent in looks"),
  counter("litestream_checkpoint_count", DB_MODE, "Checkpoints, by mode"),
  counter("litestream_checkpoint_error_count", DB_MODE, "Checkpoints that failed, by mode"),
  counter("litestream_checkpoint_seconds", DB_MODE, "Seconds spent in checkpoints, by mode"),
  counter("litestream_replica_wal_bytes", DB_NAME, "Bytes of WAL stored, before compression"),
  gauge("litestream_replica_wal_index", DB_NAME, "Index that the replica is at"),
  gauge("litestream_replica_wal_offset", DB_NAME, "Offset in that index that the replica is at"),
  counter(
    "litestream_replica_validation_total",
    [...DB_NAME, "status"],
    "Validations; status is ok or error",
  ),
  counter(
    "litestream_replica_operation_total",
    OPERATION,
    "Pages of listings (LIST), objects stored (PUT), reads (GET), deletes or batches of them (DELETE)",
  ),
  counter("litestream_replica_operation_bytes", OPERATION, "Bytes of those requests, as stored"),
];

/** Gauges of our own that are computed when they are asked for. */
export const OBSERVED_FACTS: readonly MetricFact[] = [
  gauge("walbrook_db_unhealthy", DB, "1 when the database has not been followed for too long, else 0"),
  gauge(
    "walbrook_replica_behind_seconds",
    DB_NAME,
    "Age of the oldest commit that could not be restored from the replica; 0 when there is none",
  ),
  gauge(
    "walbrook_replica_waiting_bytes",
    DB_NAME,
    "Bytes of WAL that are committed and not known to be in the replica",
  ),
  gauge(
    "walbrook_replica_last_upload_timestamp_seconds",
    DB_NAME,
    "When something was last stored in the replica; absent until that is known",
  ),
  gauge(
    "walbrook_replica_snapshot_timestamp_seconds",
    DB_NAME,
    "When the replica's newest snapshot was taken; absent until there is one",
  ),
  gauge("walbrook_replica_consecutive_errors", DB_NAME, "Failures in a row; 0 after a success"),
  gauge(
    "walbrook_replica_unhealthy",
    DB_NAME,
    "1 when the replica has not advanced for too long, is too far behind, or its last drill failed",
  ),
];

const DRILL: MetricFact = gauge(
  "walbrook_last_proven_restorable_seconds",
  DB_NAME,
  "Up to when the last drill that passed has proven that the replica restores; absent until one has",
);

/** In the order in which they are shown. */
export const METRIC_FACTS: readonly MetricFact[] = [...LITESTREAM, ...OBSERVED_FACTS, DRILL];

function counter(name: string, labels: readonly string[], help: string): MetricFact {
  return { name, type: "counter", labels, help };
}

function gauge(name: string, labels: readonly string[], help: string): MetricFact {
  return { name, type: "gauge", labels, help };
}
