/**
 * When to look at a database. Quiet: woken by a change notice from the system, with a slow look as safety net. Busy:
 * looks in short turns, since a notice comes before the commit is published and a fast writer makes a flood of them.
 */
import type { Clock } from "../runtime/clock.ts";
import { type Watch, watchFile } from "../runtime/watch.ts";

/** The longest turn while busy: others may wait for our reader to move. */
const LONGEST_TURN_MS = 16;

/** Quiet for this long, we go back to the notices. */
const QUIET_AFTER_MS = 400;

/** Deno takes about 5 ms to set up a watch. */
const ARMED_AFTER_MS = 10;

/** What attention is paid to. */
export interface AttentionOptions {
  readonly paths: readonly string[];
  readonly clock: Clock;
  /** A cheap look, at each slow turn: whether anything calls for a real one. */
  readonly peek: () => boolean;
}

/** One database's alarm clock. */
export class Attention implements Disposable {
  readonly #options: AttentionOptions;
  #watches: Watch[] = [];
  #turn: Disposable | undefined;
  #wake: (() => void) | undefined;
  #isAwake = false;
  #turnMs = 1;
  #lastChangeMs = -Infinity;

  constructor(options: AttentionOptions) {
    this.#options = options;
  }

  /** Look as soon as possible. */
  poke(): void {
    this.#turn?.[Symbol.dispose]();
    this.#turn = undefined;
    if (this.#wake === undefined) this.#isAwake = true;
    this.#wake?.();
    this.#wake = undefined;
  }

  /** The slow turn, called by a ticker that all databases share. */
  tick(): void {
    if (this.#wake !== undefined && this.#turn === undefined && this.#options.peek()) this.poke();
  }

  /** A look found something new; look again soon. */
  noteChange(): void {
    this.#lastChangeMs = this.#options.clock.monotonicMs();
    this.#turnMs = 1;
  }

  /** Resolves when it is time to look. */
  next(): Promise<void> {
    if (this.#isAwake) {
      this.#isAwake = false;
      return Promise.resolve();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const { clock } = this.#options;
    if (clock.monotonicMs() - this.#lastChangeMs < QUIET_AFTER_MS) {
      this.#turn = clock.after(this.#turnMs, () => this.poke());
      this.#turnMs = Math.min(this.#turnMs * 2, LONGEST_TURN_MS);
    } else if (this.#watches.length === 0) {
      this.#arm();
    }
    return promise;
  }

  #arm(): void {
    const notice = () => {
      // One notice is enough to wake; the rest of a flood would only cost.
      this.#disarm();
      this.noteChange();
      this.poke();
    };
    for (const path of this.#options.paths) {
      const watch = watchFile(path, notice);
      if (watch !== undefined) this.#watches.push(watch);
    }
    // What happened before the watch stood is found by one more look; without a watch there are only slow turns.
    if (this.#watches.length === 0) return;
    this.#turn = this.#options.clock.after(ARMED_AFTER_MS, () => this.poke());
  }

  #disarm(): void {
    for (const watch of this.#watches) watch[Symbol.dispose]();
    this.#watches = [];
  }

  /** Stop watching; a waiting `next` resolves. */
  close(): void {
    this.#disarm();
    this.poke();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
