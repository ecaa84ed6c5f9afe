/** Medians and how sure they are; pure. */

/** The middle value; the mean of the two in the middle for an even count. */
export function median(values: readonly number[]): number {
  const sorted = ascending(values);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** The smallest value that `share` of all (0 to 1) don't go over. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = ascending(values);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

function ascending(values: readonly number[]): number[] {
  if (values.length === 0) throw new Error("no values");
  return values.toSorted((left, right) => left - right);
}

/** What some values say about their median. */
export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** The median of all runs that could be made is at most this, with `confidence`. */
  readonly upper: number;
  /** The same from below. */
  readonly lower: number;
  /** 0 to 1: at least 0.9 from four values on. */
  readonly confidence: number;
  readonly count: number;
}

/**
 * The median with its bounds, from the order of the values alone: of `count` values the one in place `k` is above the
 * true median with the chance that fewer than `k` of `count` coins show heads. The lowest `k` that reaches 90 % is
 * taken; with fewer than four values none does, and the outermost is.
 */
export function summarize(values: readonly number[]): Summary {
  const sorted = ascending(values);
  const count = sorted.length;
  let place = 0;
  let confidence = 0;
  for (let ways = 1; place < count && confidence < 0.9; place++) {
    confidence += ways / 2 ** count;
    ways = ways * (count - place) / (place + 1);
  }
  return {
    median: median(sorted),
    least: sorted[0]!,
    most: sorted[count - 1]!,
    upper: sorted[place - 1]!,
    lower: sorted[count - place]!,
    confidence,
    count,
  };
}
