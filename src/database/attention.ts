/**
 * When to look at a database. Quiet: woken by a change notice from the system, with a slow look as safety net. Busy:
 * looks in short turns, since a notice comes before the commit is published and a fast writer makes a flood of them;
 * in long ones while nobody would do anything yet with what they find.
 */
import type { Flow } from "./activity.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Watch, watchFile } from "../runtime/watch.ts";

/** The longest turn while busy and awaited. */
const LONGEST_TURN_MS = 16;

/**
 * Between cheap looks while busy and not awaited, by what the last one found: each wakes the process, which costs more
 * than the look itself. A checkpoint of somebody else that waits for our reader has locked the writers out: where
 * fewer commits came than before the next look tells whether they have ended, where none came it waits for two more.
 */
const REST_MS: Readonly<Record<Flow, number>> = { usual: 40, fewer: 10, none: 20 };

/** Quiet for this long, we go back to the notices. */
const QUIET_AFTER_MS = 400;

/** Deno takes about 5 ms to set up a watch. */
const ARMED_AFTER_MS = 10;

/** While our reader stands on a mark that others may come to wait for: a backfill makes no notice in the `-wal`. */
const GUARD_MS = 20;

/** Cheap looks at a database. */
export interface CheapLooks {
  /** At each slow turn: whether anything calls for a real look. A sure watch tells of each write. */
  peek(isWatchSure: boolean): boolean;
  /** While busy and not awaited: whether a real look is called for already. */
  isDue(): boolean;
  /** How many commits the last `isDue` found. */
  readonly flow: Flow;
}

/** What attention is paid to. */
export interface AttentionOptions {
  /** The `-wal`; see `watchFile` for why not the main file. */
  readonly walPath: string;
  readonly clock: Clock;
  readonly looks: CheapLooks;
  /** Whether a checkpoint of somebody else would wait for our reader. */
  readonly isInTheWay: () => boolean;
}

/** One database's alarm clock. */
export class Attention implements Disposable {
  readonly #options: AttentionOptions;
  #watch: Watch | undefined;
  #turn: Disposable | undefined;
  #guard: Disposable | undefined;
  #wake: (() => void) | undefined;
  #isAwake = false;
  #awaitingCount = 0;
  #turnMs = 1;
  #lastChangeMs = -Infinity;

  constructor(options: AttentionOptions) {
    this.#options = options;
  }

  /** Look as soon as possible. */
  poke(): void {
    this.#turn?.[Symbol.dispose]();
    this.#guard?.[Symbol.dispose]();
    this.#turn = this.#guard = undefined;
    if (this.#wake === undefined) this.#isAwake = true;
    this.#wake?.();
    this.#wake = undefined;
  }

  /** The slow turn, called by a ticker that all databases share. */
  tick(): void {
    if (this.#wake === undefined || this.#turn !== undefined) return;
    if (this.#options.looks.peek(this.#watch?.isSure ?? false)) this.poke();
  }

  /** Somebody waits for the next change, until what is returned is disposed of: looks come soon. */
  beAwaited(): Disposable {
    this.#awaitingCount++;
    // A rest is over.
    if (this.#turn !== undefined) this.poke();
    return { [Symbol.dispose]: () => void this.#awaitingCount-- };
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
      if (this.#awaitingCount > 0) {
        this.#turn = clock.after(this.#turnMs, () => this.poke());
        this.#turnMs = Math.min(this.#turnMs * 2, LONGEST_TURN_MS);
      } else {
        this.#rest();
      }
    } else {
      if (this.#watch === undefined) this.#arm();
      if (this.#options.isInTheWay()) this.#guard ??= clock.every(GUARD_MS, () => this.tick());
    }
    return promise;
  }

  #rest(): void {
    const { clock, looks } = this.#options;
    const { flow } = looks;
    this.#turn = clock.every(REST_MS[flow], () => {
      if (looks.isDue()) return this.poke();
      if (looks.flow === flow) return;
      this.#turn?.[Symbol.dispose]();
      this.#rest();
    });
  }

  #arm(): void {
    this.#watch = watchFile(this.#options.walPath, () => {
      // One notice is enough to wake; the rest of a flood would only cost.
      this.#disarm();
      this.noteChange();
      this.poke();
    });
    // What happened before the watch stood is found by one more look; without a watch there are only slow turns.
    if (this.#watch === undefined) return;
    this.#turn = this.#options.clock.after(ARMED_AFTER_MS, () => this.poke());
  }

  #disarm(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
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
