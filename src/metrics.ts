/** The counters and gauges that are passed in everywhere; the names are Litestream's. */

/** Label names and values of one series. */
export type MetricLabels = Readonly<Record<string, string>>;

/** Where measurements go. */
export interface Metrics {
  /** Add `amount` (default 1) to a counter. */
  count(name: string, labels: MetricLabels, amount?: number): void;
  /** Set a gauge. */
  gauge(name: string, labels: MetricLabels, value: number): void;
}

/** Measures nothing; the default everywhere. */
export const silentMetrics: Metrics = { count() {}, gauge() {} };
