import { yieldToEvents } from "../../src/runtime/clock.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";

/** The machine's clock, set wrong on purpose. */
export class OffsetClock implements Clock {
  /** Added to the time of day; may be changed at any time. */
  offsetMs = 0;
  readonly monotonicMs = systemClock.monotonicMs;
  readonly after = systemClock.after;
  readonly every = systemClock.every;

  now(): number {
    return systemClock.now() + this.offsetMs;
  }
}

/** What comes as often as this is due after a leap over it. */
const OFTEN_MS = 5000;

/**
 * The machine's clock, and forward in leaps when told: for what is looked at rarely. What comes often comes once in each
 * leap; other timers keep their time.
 */
export class SkippingClock implements Clock {
  #skippedMs = 0;
  readonly #frequent = new Set<{ readonly ms: number; readonly act: () => void }>();
  /** What the time of day was set forward by, or back; may be changed at any time. */
  setMs = 0;
  readonly after = systemClock.after;

  every(ms: number, act: () => void): Disposable {
    const one = { ms, act };
    if (ms <= OFTEN_MS) this.#frequent.add(one);
    const timer = systemClock.every(ms, act);
    return {
      [Symbol.dispose]: () => {
        this.#frequent.delete(one);
        timer[Symbol.dispose]();
      },
    };
  }

  now(): number {
    return systemClock.now() + this.#skippedMs + this.setMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#skippedMs;
  }

  /** Leap. */
  skip(ms: number): void {
    this.#skippedMs += ms;
    setImmediate(() => {
      for (const one of [...this.#frequent]) {
        if (one.ms <= ms && this.#frequent.has(one)) one.act();
      }
    });
  }
}

/** Time that passes only when told. */
export class StoppedClock implements Clock {
  #now: number;
  #timers: { readonly at: number; readonly act: () => void }[] = [];

  constructor(now: number = Date.now()) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  monotonicMs(): number {
    return this.#now;
  }

  after(ms: number, act: () => void): Disposable {
    const timer = { at: this.#now + ms, act };
    this.#timers.push(timer);
    return { [Symbol.dispose]: () => this.#timers = this.#timers.filter((other) => other !== timer) };
  }

  every(ms: number, act: () => void): Disposable {
    let timer: Disposable;
    const again = () => {
      timer = this.after(ms, again);
      act();
    };
    timer = this.after(ms, again);
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }

  /** When the next timer fires, from now. */
  get nextMs(): number | undefined {
    return this.#timers.length === 0 ? undefined : Math.min(...this.#timers.map(({ at }) => at)) - this.#now;
  }

  /** Let time pass; timers fire in order, and what they set off may set others. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= until).sort((left, right) => left.at - right.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#now = Math.max(this.#now, next.at);
      next.act();
      await yieldToEvents();
    }
    this.#now = until;
  }
}
