/** The metrics of one database. */
import type { Follower } from "./follower.ts";
import type { MetricLabels, Metrics } from "../metrics.ts";

const COUNTERS: readonly string[] = [
  "litestream_total_wal_bytes",
  "litestream_sync_count",
  "litestream_sync_error_count",
  "litestream_sync_seconds",
];

const GAUGES: readonly string[] = [
  "litestream_db_size",
  "litestream_wal_size",
  "litestream_shadow_wal_index",
  "litestream_shadow_wal_size",
];

/** Counts looks and checkpoints. Every series that needs no mode is there from the start, at 0. */
export class DatabaseMeter {
  readonly #metrics: Metrics;
  readonly #labels: MetricLabels;

  constructor(metrics: Metrics, path: string) {
    this.#metrics = metrics;
    this.#labels = { db: path };
    for (const name of COUNTERS) metrics.count(name, this.#labels, 0);
    for (const name of GAUGES) metrics.gauge(name, this.#labels, 0);
  }

  /** A look at an open database took `elapsedMs` and copied `copiedBytes`. */
  sync({ follower, elapsedMs, copiedBytes }: {
    follower: Follower;
    elapsedMs: number;
    copiedBytes: number;
  }): void {
    const { live, shadow } = follower;
    this.#look(elapsedMs);
    this.#metrics.count("litestream_total_wal_bytes", this.#labels, copiedBytes);
    this.#metrics.gauge("litestream_db_size", this.#labels, live.mainStat().size);
    this.#metrics.gauge("litestream_wal_size", this.#labels, live.walStat().size);
    this.#metrics.gauge("litestream_shadow_wal_index", this.#labels, shadow.index);
    this.#metrics.gauge("litestream_shadow_wal_size", this.#labels, shadow.totalSize);
  }

  /** A look at a database that nothing has happened to took `elapsedMs`. */
  glance(elapsedMs: number): void {
    this.#look(elapsedMs);
  }

  /** A look at an open database failed after `elapsedMs`. */
  syncFailed(elapsedMs: number): void {
    this.#look(elapsedMs);
    this.#metrics.count("litestream_sync_error_count", this.#labels);
  }

  #look(elapsedMs: number): void {
    this.#metrics.count("litestream_sync_count", this.#labels);
    this.#metrics.count("litestream_sync_seconds", this.#labels, elapsedMs / 1000);
  }

  /** A checkpoint of `mode` took `elapsedMs`; a busy one has not failed. */
  checkpoint(mode: string, { elapsedMs, hasFailed }: { elapsedMs: number; hasFailed: boolean }): void {
    const labels = { ...this.#labels, mode };
    this.#metrics.count("litestream_checkpoint_count", labels);
    this.#metrics.count("litestream_checkpoint_error_count", labels, hasFailed ? 1 : 0);
    this.#metrics.count("litestream_checkpoint_seconds", labels, elapsedMs / 1000);
  }
}
