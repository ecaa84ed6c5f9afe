/** A fixed piece of work whose time tells how fast the machine is at the moment. */
import { createHash } from "node:crypto";
import { median } from "./statistics.ts";

/** A round in which the time moves by more than this share is dropped. */
export const CALIBRATION_LIMIT = 0.15;

/** Enough for a moment's hiccup not to count as a machine of another speed. */
const REPEATS = 25;

const input = new Uint8Array(4 << 20).map((_, at) => Math.imul(at, 2_654_435_761) >>> 24);

/**
 * Native code, some 3 ms of one core: a loop of our own is compiled anew in the middle of a run, and was then five times
 * as slow on the same machine (16 and 85 ms).
 */
function kernel(): void {
  createHash("sha256").update(input).digest();
}

/** Milliseconds of the kernel, the median of a few. */
export function calibrate(): number {
  const times: number[] = [];
  for (let nth = 0; nth < REPEATS; nth++) {
    const startMs = performance.now();
    kernel();
    times.push(performance.now() - startMs);
  }
  return median(times);
}

/** Whether the machine's speed moved too much between the two. */
export function hasMoved([before, after]: readonly [number, number]): boolean {
  return Math.max(before, after) / Math.min(before, after) - 1 > CALIBRATION_LIMIT;
}
