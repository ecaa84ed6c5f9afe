/**
 * What is aimed at, all in one place, and how near the machine allows to go.
 *
 * A ratio is ours to Litestream 0.3.13 in the same round; with `--peer-05` to the lighter of the two peers. Values are
 * our own. On Deno each aim is 1.3 times as wide.
 */
import type { Metric } from "./metrics.ts";

/** One aim of one cell. */
export interface Aim {
  /** A cell's id, or the beginning of several with `*` at its end. */
  readonly cell: string;
  readonly metric: Metric;
  readonly of: "ratio" | "value";
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** The least that the work took on this kind of machine, whoever does it. */
export interface Floor {
  readonly cell: string;
  readonly metric: Metric;
  /** In the metric's unit, for a cell of this scale. */
  readonly of: (scale: number) => number;
  /** Where it comes from. */
  readonly from: string;
}

/** How much wider aims are on Deno. */
export const DENO_ALLOWANCE = 1.3;

const MB = 1e6;

/** Every aim. */
export const AIMS: readonly Aim[] = [
  { cell: "B1/text*", metric: "wallSeconds", of: "ratio", atMost: 0.5 },
  { cell: "B1/random*", metric: "wallSeconds", of: "ratio", atMost: 1 },
  { cell: "B1/*", metric: "peakBytes", of: "value", atMost: 100 * MB },
  { cell: "B2/*", metric: "wallSeconds", of: "ratio", atMost: 0.5 },
  { cell: "B3/folder*", metric: "wallSeconds", of: "ratio", atMost: 0.7 },
  { cell: "B3/s3-capped", metric: "wallSeconds", of: "ratio", atMost: 0.3 },
  { cell: "B3/s3-*ms", metric: "wallSeconds", of: "ratio", atMost: 0.7 },
  { cell: "B4/folder*", metric: "wallSeconds", of: "ratio", atMost: 0.3 },
  { cell: "B4/s3*", metric: "wallSeconds", of: "ratio", atMost: 0.15 },
  { cell: "B4/*", metric: "peakBytes", of: "value", atMost: 120 * MB },
  { cell: "B5/folder-singles", metric: "lagP50Ms", of: "value", atMost: 5 },
  { cell: "B5/s3-singles", metric: "lagP50Ms", of: "value", atMost: 40 },
  { cell: "B5/*", metric: "objectCount", of: "ratio", atMost: 1 },
  { cell: "B6/*", metric: "cpuSeconds", of: "ratio", atMost: 1 },
  { cell: "B6/*", metric: "writerP99Ms", of: "ratio", atMost: 1 },
  { cell: "B6/*", metric: "writerP999Ms", of: "ratio", atMost: 1 },
  { cell: "B7/*", metric: "writerShare", of: "value", atLeast: 0.8 },
  { cell: "B7/*", metric: "newGenerationCount", of: "value", atMost: 0 },
  // "Bounded": what the barrier allows an unthrottled writer (10,000 pages before it, then what one copy takes).
  { cell: "B7/*", metric: "walBytes", of: "value", atMost: 250 * MB },
  { cell: "B8/1", metric: "cpuShare", of: "value", atMost: 0.001 },
  { cell: "B8/100", metric: "cpuShare", of: "value", atMost: 0.003 },
  { cell: "B8/1000", metric: "cpuShare", of: "value", atMost: 0.01 },
  { cell: "B8/1", metric: "residentBytes", of: "value", atMost: 45 * MB },
  { cell: "B8/100", metric: "residentBytes", of: "value", atMost: 65 * MB },
  { cell: "B8/1000", metric: "residentBytes", of: "value", atMost: 280 * MB },
  { cell: "B8/*", metric: "newObjectCount", of: "value", atMost: 0 },
  { cell: "B8/*", metric: "writtenBytes", of: "value", atMost: 0 },
  { cell: "B9/*", metric: "lagP95Ms", of: "value", atMost: 5 },
  { cell: "B9/*", metric: "residentBytes", of: "value", atMost: 300 * MB },
  { cell: "B10/*", metric: "catchUpSeconds", of: "ratio", atMost: 0.5 },
  // "Flat": what a collector may leave standing.
  { cell: "B10/*", metric: "residentGrowthBytes", of: "value", atMost: 25 * MB },
  { cell: "B11/version", metric: "wallSeconds", of: "value", atMost: 0.02 },
  { cell: "B11/list*", metric: "wallSeconds", of: "ratio", atMost: 0.5 },
  { cell: "B11/first-sync", metric: "wallSeconds", of: "value", atMost: 0.15 },
  { cell: "B11/restart*", metric: "wallSeconds", of: "value", atMost: 0.15 },
];

const SEEN = "measured on two shared cores without either program";

/** Every floor. */
export const FLOORS: readonly Floor[] = [
  {
    cell: "B1/text*",
    metric: "wallSeconds",
    of: (bytes) => 3.3 * bytes / 1e9,
    from: `two workers that compress, and the disk's durable write: 3.3 s per GB, ${SEEN}`,
  },
  {
    cell: "B3/folder*",
    metric: "wallSeconds",
    of: (bytes) => 0.7 * bytes / 1e9,
    from: `decoding alone, without a write: 0.6 to 0.8 s per GB, ${SEEN}`,
  },
  {
    cell: "B4/s3-2500-30ms",
    metric: "wallSeconds",
    of: (segments) => 1.35 * segments / 2500,
    from: `64 requests in flight: 1.35 s for 2500, ${SEEN}`,
  },
  {
    cell: "B5/folder-singles",
    metric: "lagP50Ms",
    of: () => 0.24,
    from: `from the notice of a change to a file: 0.24 ms, ${SEEN}`,
  },
  {
    cell: "B5/s3-singles",
    metric: "lagP50Ms",
    of: () => 30,
    from: "the line's own 30 ms",
  },
  {
    cell: "B8/1000",
    metric: "cpuShare",
    of: () => 0.004,
    from: `1000 stat calls a second: 0.4 % of a core, ${SEEN}`,
  },
  {
    cell: "B8/1000",
    metric: "residentBytes",
    of: () => 225 * MB,
    from: `1000 open readers and watchers on Bun: 225 MB, ${SEEN}`,
  },
  {
    cell: "B12/*",
    metric: "wallSeconds",
    of: (bytes) => bytes * 0.55 / 165e6,
    from: `the library's 165 MB/s over what LZ4 leaves of the text (0.55 of it), ${SEEN}`,
  },
];

/** Whether `pattern` names this cell; one `*` stands for anything. */
export function isOf(pattern: string, id: string): boolean {
  const [start, end] = pattern.split("*") as [string, string?];
  if (end === undefined) return pattern === id;
  return id.length >= start.length + end.length && id.startsWith(start) && id.endsWith(end);
}

/** An aim as it is for who was put in our place. */
export function aimFor(aim: Aim, as: string): Aim {
  if (as !== "deno") return aim;
  return {
    ...aim,
    ...(aim.atMost === undefined ? {} : { atMost: aim.atMost * DENO_ALLOWANCE }),
    ...(aim.atLeast === undefined ? {} : { atLeast: aim.atLeast / DENO_ALLOWANCE }),
  };
}
