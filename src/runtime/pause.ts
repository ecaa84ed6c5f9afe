/** Waiting by a clock that is passed in. */
import type { Clock } from "./clock.ts";

/** The longest that a timer can be set for; it fires at once when asked for more. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Resolve after `ms`; rejects with the signal's reason when it fires first. */
export async function pause(
  ms: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  for (let left = ms;; left -= LONGEST_TIMER_MS) {
    await wait(Math.min(Math.max(0, left), LONGEST_TIMER_MS), { clock, signal });
    if (left <= LONGEST_TIMER_MS) return;
  }
}

function wait(ms: number, { clock, signal }: { clock: Clock; signal: AbortSignal }): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = () => {
      timer[Symbol.dispose]();
      reject(signal.reason);
    };
    const timer = clock.after(ms, () => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
    signal.addEventListener("abort", abort, { once: true });
  });
}
