/** A fixed piece of work whose time tells how fast the machine is at the moment. */
import { median } from "./statistics.ts";

/** A round in which the time moves by more than this share is dropped. */
export const CALIBRATION_LIMIT = 0.15;

const REPEATS = 7;

const memory = new Uint32Array(1 << 20);

/** Arithmetic and 4 MiB of memory, some 15 ms of one core. */
function kernel(): number {
  let state = 1;
  for (let at = 0; at < 8 << 20; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    memory[state >>> 12]! ^= state;
  }
  return state;
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
