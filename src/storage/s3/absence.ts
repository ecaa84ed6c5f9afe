/** Servers at which nothing answers: one look now and then for all who wait tells when something does again. */
import { orAbort, sleep } from "../../async.ts";

/** Between two looks. A connection that is refused costs next to nothing. */
const LOOK_EACH_MS = 50;

/** Those who waited don't come back all at once: so much for each of them, but no more than that in all. */
const SPREAD_EACH_MS = 2;
const LONGEST_SPREAD_MS = 250;

/** Whether anything answers at the server, whatever it says. */
export type Look = (signal: AbortSignal) => Promise<boolean>;

/** Of the whole process, for each server. */
const absences = new Map<string, Absence>();

/** Somebody who waits. A promise of his own: to one that all share each wait would add something that stays. */
interface Waiter {
  readonly look: Look;
  /** Something answers: go on within this time. */
  return(spreadMs: number): void;
}

/** The absence of one server. */
export class Absence {
  readonly #waiting = new Set<Waiter>();
  #isLooking = false;

  /** How many wait. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** @param server whatever is the same for stores on one server */
  static of(server: string): Absence {
    const absence = absences.get(server) ?? new Absence();
    absences.set(server, absence);
    return absence;
  }

  /**
   * Resolves once something answers that didn't; rejects with the signal's reason.
   *
   * @param look called again and again, unless that of another who waits is
   */
  async over({ look, signal }: { look: Look; signal: AbortSignal }): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const waiter: Waiter = { look, return: resolve };
    this.#waiting.add(waiter);
    let spreadMs: number;
    try {
      if (!this.#isLooking) void this.#watch();
      spreadMs = await orAbort(promise, signal);
    } finally {
      this.#waiting.delete(waiter);
    }
    await sleep(Math.random() * spreadMs, { signal });
  }

  async #watch(): Promise<void> {
    this.#isLooking = true;
    try {
      for (;;) {
        await sleep(LOOK_EACH_MS);
        const [first] = this.#waiting;
        if (first === undefined) return;
        if (await isThere(first.look)) break;
      }
      const spreadMs = Math.min(LONGEST_SPREAD_MS, this.#waiting.size * SPREAD_EACH_MS);
      for (const waiter of this.#waiting) waiter.return(spreadMs);
    } finally {
      this.#isLooking = false;
    }
  }
}

/** A look takes no longer than this. */
const LOOK_LIMIT_MS = 2000;

async function isThere(look: Look): Promise<boolean> {
  try {
    return await look(AbortSignal.timeout(LOOK_LIMIT_MS));
  } catch {
    return false;
  }
}
