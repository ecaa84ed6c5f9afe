/** Bodies that go up over a slow line: side by side none of them would get there in its time. */
import { Semaphore } from "../../async.ts";

/** These don't wait: what a database writes in a moment is no larger, and the time for any answer is ample for it. */
const SMALL_SIZE = 256 * 1024;

/** A body that takes less than this part of its time is fast: more of them fit side by side than the pool has parts. */
const FAST_SHARE = 1 / 16;

/** Of the whole process, for each server: one that doesn't answer holds up none but its own stores. */
const turnsOf = new Map<string, Semaphore>();

/**
 * How one store's bodies go up: side by side, until one got no answer in its time; then one at a time, together with
 * those of other stores on that server that it went so with, until one is fast.
 */
export class Uplink {
  readonly #turns: Semaphore;
  #isSlow = false;

  /** @param server whatever is the same for stores on one server */
  constructor(server: string) {
    this.#turns = turnsOf.get(server) ?? new Semaphore(1);
    turnsOf.set(server, this.#turns);
  }

  /** Wait for the turn of a body; dispose of what is returned when its answer is there. */
  async turn(size: number, { signal }: { signal?: AbortSignal | undefined }): Promise<Disposable> {
    const waits = this.#isSlow && size > SMALL_SIZE;
    return waits ? await this.#turns.acquire({ signal }) : { [Symbol.dispose]() {} };
  }

  /** A body got no answer in its time. */
  noteStalled(size: number): void {
    if (size > SMALL_SIZE) this.#isSlow = true;
  }

  /** A body was taken. */
  noteSent({ size, tookMs, limitMs }: { size: number; tookMs: number; limitMs: number }): void {
    if (size > SMALL_SIZE && tookMs < limitMs * FAST_SHARE) this.#isSlow = false;
  }
}
