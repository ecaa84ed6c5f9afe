import type { MetricLabels, Metrics } from "../../src/metrics.ts";

/** Keeps what it is told. */
export class RecordingMetrics implements Metrics {
  readonly values = new Map<string, number>();

  count(name: string, labels: MetricLabels, amount = 1): void {
    const key = seriesOf(name, labels);
    this.values.set(key, (this.values.get(key) ?? 0) + amount);
  }

  gauge(name: string, labels: MetricLabels, value: number): void {
    this.values.set(seriesOf(name, labels), value);
  }

  /** The value of one series; `undefined` when nobody has named it. */
  value(name: string, labels: MetricLabels): number | undefined {
    return this.values.get(seriesOf(name, labels));
  }
}

function seriesOf(name: string, labels: MetricLabels): string {
  return `${name} ${JSON.stringify(Object.entries(labels).sort())}`;
}
