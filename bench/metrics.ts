/** What is measured, and how it is written. */

interface MetricText {
  readonly label: string;
  readonly unit: string;
  /** What a value is multiplied with to be in `unit`. Default 1. */
  readonly factor?: number;
}

/** Every metric, with its unit at the end of its name unless it is bytes or a count. */
export const METRICS = {
  wallSeconds: { label: "wall", unit: "s" },
  cpuSeconds: { label: "CPU", unit: "s" },
  startCpuSeconds: { label: "CPU until then", unit: "s" },
  peakBytes: { label: "RSS peak", unit: "MB", factor: 1e-6 },
  residentBytes: { label: "RSS", unit: "MB", factor: 1e-6 },
  residentGrowthBytes: { label: "RSS growth", unit: "MB", factor: 1e-6 },
  cpuShare: { label: "CPU", unit: "% of a core", factor: 100 },
  cpuMsPer1000: { label: "CPU per 1000 commits", unit: "ms" },
  writtenBytes: { label: "written", unit: "kB", factor: 1e-3 },
  newObjectCount: { label: "new objects", unit: "" },
  objectCount: { label: "objects (PUT)", unit: "" },
  newGenerationCount: { label: "new generations", unit: "" },
  lagP50Ms: { label: "lag p50", unit: "ms" },
  lagP95Ms: { label: "lag p95", unit: "ms" },
  lagMs: { label: "lag", unit: "ms" },
  writerP99Ms: { label: "writer p99", unit: "ms" },
  writerP999Ms: { label: "writer p99.9", unit: "ms" },
  writerMostMs: { label: "writer worst", unit: "ms" },
  writerShare: { label: "writer of bare", unit: "×" },
  commitsPerSecond: { label: "commits", unit: "/s" },
  walBytes: { label: "largest WAL", unit: "MB", factor: 1e-6 },
  catchUpSeconds: { label: "catch-up", unit: "s" },
} as const satisfies Record<string, MetricText>;

/** The name of a metric. */
export type Metric = keyof typeof METRICS;

/** The label and, in front of nothing else, the unit. */
export function labelOf(metric: Metric): string {
  return METRICS[metric].label;
}

/** A value with its unit, three digits or all before the point. */
export function formatValue(metric: Metric, value: number): string {
  const { unit, factor = 1 }: MetricText = METRICS[metric];
  if (unit === "s" && value < 0.995) return `${formatNumber(value * 1000)} ms`;
  const number = formatNumber(value * factor);
  return unit === "" ? number : unit === "×" ? `${number}×` : `${number} ${unit}`;
}

/** Three digits, or all before the point. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95 || value === 0) return value.toFixed(0);
  return value.toFixed(size >= 9.995 ? 1 : size >= 0.0095 ? 2 : 4);
}
