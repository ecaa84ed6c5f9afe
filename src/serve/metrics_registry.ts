/** The metrics of a run, for Prometheus. */
import prom from "prom-client";
import { METRIC_FACTS, OBSERVED_FACTS } from "./metric_facts.ts";
import { assert } from "../errors.ts";
import type { MetricLabels, Metrics } from "../metrics.ts";
import type { HealthReport, ReplicaReport } from "../replicate/inspect.ts";

/** Counts, and shows what was counted. */
export class MetricsRegistry implements Metrics {
  readonly #registry = new prom.Registry();
  readonly #counters = new Map<string, prom.Counter>();
  readonly #gauges = new Map<string, prom.Gauge>();

  constructor() {
    for (const { name, type, labels, help } of METRIC_FACTS) {
      const options = { name, help, labelNames: [...labels], registers: [this.#registry] };
      if (type === "counter") this.#counters.set(name, new prom.Counter(options));
      else this.#gauges.set(name, new prom.Gauge(options));
    }
  }

  /** What `text()` is sent as. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  count(name: string, labels: MetricLabels, amount = 1): void {
    const counter = this.#counters.get(name);
    assert(counter !== undefined, `${name} is no counter`);
    counter.inc({ ...labels }, amount);
  }

  gauge(name: string, labels: MetricLabels, value: number): void {
    const gauge = this.#gauges.get(name);
    assert(gauge !== undefined, `${name} is no gauge`);
    gauge.set({ ...labels }, value);
  }

  /** Everything as Prometheus reads it, with our own gauges as `report` has it. */
  async text(report: HealthReport): Promise<string> {
    for (const { name } of OBSERVED_FACTS) this.#gauges.get(name)!.reset();
    for (const database of report.databases) {
      const db = { db: database.path };
      this.gauge("walbrook_db_unhealthy", db, database.isHealthy ? 0 : 1);
      for (const replica of database.replicas) this.#observe({ ...db, name: replica.name }, replica);
    }
    return await this.#registry.metrics();
  }

  #observe(labels: MetricLabels, replica: ReplicaReport): void {
    const seconds = (ms: number | undefined) => ms === undefined ? undefined : ms / 1000;
    const values: Readonly<Record<string, number | undefined>> = {
      behind_seconds: seconds(replica.behindMs),
      waiting_bytes: replica.waitingBytes,
      last_upload_timestamp_seconds: seconds(replica.lastUploadAt),
      snapshot_timestamp_seconds: seconds(replica.newestSnapshotAt),
      consecutive_errors: replica.errorCount,
      unhealthy: replica.isHealthy ? 0 : 1,
    };
    for (const [name, value] of Object.entries(values)) {
      if (value !== undefined) this.gauge(`walbrook_replica_${name}`, labels, value);
    }
  }
}
