/** Time, passed in so that a test can move it. */

/** Wall clock and timers. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Milliseconds that only ever grow. */
  monotonicMs(): number;
  /** Call `act` once after `ms`; dispose of what is returned to call it off. */
  after(ms: number, act: () => void): Disposable;
  /** Call `act` every `ms` until disposed of. Doesn't keep the process alive. */
  every(ms: number, act: () => void): Disposable;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
  every(ms, act) {
    const timer = setInterval(act, ms);
    (timer as { unref?: () => void }).unref?.();
    return { [Symbol.dispose]: () => clearInterval(timer) };
  },
};

/** Let the event loop turn once: timers, I/O and signals get their chance. */
export function yieldToEvents(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
