/** Waiting and taking turns. Nothing here keeps the process alive by itself except `sleep`. */

/** One at a time: `using _ = await mutex.acquire()`. First come, first served. */
export class Mutex {
  #tail: Promise<void> = Promise.resolve();

  /** Wait for the turn; dispose of what is returned to pass it on. */
  async acquire(): Promise<Disposable> {
    const before = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = promise;
    await before;
    return { [Symbol.dispose]: resolve };
  }
}

/** At most `count` at a time: `using _ = await semaphore.acquire()`. */
export class Semaphore {
  #free: number;
  #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** A place if one is free, without waiting; dispose of it to give it back. */
  tryAcquire(): Disposable | undefined {
    if (this.#free === 0) return undefined;
    this.#free--;
    return this.#place();
  }

  /** Wait for a place; dispose of what is returned to give it back. Rejects with the signal's reason. */
  async acquire({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const abort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== resolve);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.push(resolve);
      try {
        await promise;
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    }
    return this.#place();
  }

  #place(): Disposable {
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        const next = this.#waiting.shift();
        if (next === undefined) this.#free++;
        else next();
      },
    };
  }
}

/**
 * A broadcast that something changed. Take the token, look at the state, then wait on the token: a change
 * between the look and the wait isn't missed.
 */
export class Notice {
  #current = Promise.withResolvers<void>();

  /** Resolves at the next `notify()`. */
  get token(): Promise<void> {
    return this.#current.promise;
  }

  notify(): void {
    const before = this.#current;
    this.#current = Promise.withResolvers<void>();
    before.resolve();
  }
}

/** The longest that `setTimeout` can wait; it fires at once when asked for more. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Resolve after `ms` milliseconds, however many; rejects with the signal's reason when it fires first. */
export function sleep(ms: number, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    let timer: ReturnType<typeof setTimeout>;
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const wait = (left: number) => {
      const step = Math.min(left, LONGEST_TIMER_MS);
      timer = setTimeout(() => {
        if (left > step) return wait(left - step);
        signal?.removeEventListener("abort", abort);
        resolve();
      }, step);
    };
    wait(ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Wait for whichever ends first; the others are told by their signal to stop. Rejects with the signal's reason. */
export async function firstOf(
  begin: readonly ((signal: AbortSignal) => Promise<void>)[],
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const ended = new AbortController();
  const either = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]);
  try {
    await Promise.race(begin.map((wait) => wait(either)));
  } finally {
    ended.abort(new Error("no longer waited for"));
  }
}

/** `promise`, or a rejection with the signal's reason when it fires first. */
export function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  // The race listens to both, so that the loser's rejection is never unhandled.
  return Promise.race([aborted, promise]).finally(() => signal.removeEventListener("abort", abort));
}
