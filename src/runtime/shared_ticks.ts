/** One timer for all who want to be called equally often: a hundred quiet databases wake the process once, not each. */
import { type Clock, yieldToEvents } from "./clock.ts";

/** So many are called before what came in meanwhile has its turn: a thousand together hold it up for too long. */
const TOGETHER_COUNT = 100;

/** Passes everything on to another clock; calls of `every` with the same time share a timer of it. */
export class SharedTicks implements Clock {
  readonly #clock: Clock;
  readonly #byMs = new Map<number, { readonly acts: Set<() => void>; readonly timer: Disposable }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  after(ms: number, act: () => void): Disposable {
    return this.#clock.after(ms, act);
  }

  /** The first call may come sooner than after `ms`, where others tick already. */
  every(ms: number, act: () => void): Disposable {
    const shared = this.#byMs.get(ms) ?? this.#begin(ms);
    // A function of its own, so that the same `act` can be there twice.
    const own = () => act();
    shared.acts.add(own);
    return {
      [Symbol.dispose]: () => {
        if (!shared.acts.delete(own) || shared.acts.size > 0) return;
        shared.timer[Symbol.dispose]();
        this.#byMs.delete(ms);
      },
    };
  }

  #begin(ms: number) {
    const acts = new Set<() => void>();
    let isCalling = false;
    const callMany = async () => {
      isCalling = true;
      try {
        await callAll(acts);
      } finally {
        isCalling = false;
      }
    };
    const timer = this.#clock.every(ms, () => {
      if (isCalling) return;
      // Mostly one: what a list and promises cost is most of a tick that finds nothing to do.
      const [only] = acts;
      if (acts.size === 1) only!();
      else void callMany();
    });
    const shared = { acts, timer };
    this.#byMs.set(ms, shared);
    return shared;
  }
}

/** Who is disposed of meanwhile isn't called any more, and who comes in waits for the next time. */
async function callAll(acts: Set<() => void>): Promise<void> {
  let left = TOGETHER_COUNT;
  for (const act of [...acts]) {
    if (left-- === 0) {
      await yieldToEvents();
      left = TOGETHER_COUNT - 1;
    }
    if (acts.has(act)) act();
  }
}
