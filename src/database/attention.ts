/**
 * When to look at a database. Quiet: woken by a change notice from the system, with a slow look as safety net. Busy:
 * looks in short turns, since a notice comes before the commit is published and a fast writer makes a flood of them;
 * in long ones while nobody would do anything yet with what they find.
 */
import type { Flow } from "./activity.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Watch, watchFile } from "../runtime/watch.ts";

/** A turn while busy and awaited. */
const TURN_MS = 16;

/**
 * Between cheap looks that come first: a notice comes before its commit is published, by the time that the disk takes
 * for it. That is seldom more than the first of these milliseconds, so they begin with looks at each turn of the events.
 */
const CLOSE_MS = 1;
const CLOSE_COUNT = 16;
const EAGER_COUNT = 50;

/**
 * Between cheap looks while busy and not awaited, by what the last one found: each wakes the process, which costs more
 * than the look itself. A checkpoint of somebody else that waits for our reader has locked the writers out: where
 * fewer commits came than before the next look tells whether they have ended, where none came it waits for two more.
 */
const REST_MS: Readonly<Record<Flow, number>> = { gentle: 100, usual: 40, fewer: 10, none: 20 };

/** Quiet for this long, we go back to the notices. */
const QUIET_AFTER_MS = 400;

/** Deno takes about 5 ms to set up a watch. */
const ARMED_AFTER_MS = 10;

/** While our reader stands on a mark that others may come to wait for: a backfill makes no notice in the `-wal`. */
const GUARD_MS = 20;

/** Cheap looks at a database. */
export interface CheapLooks {
  /**
   * At each slow turn: whether anything calls for a real look.
   *
   * @param isRare whether this one is of a database at rest: what is due before the next one is looked at now
   */
  peek(isRare: boolean): boolean;
  /** Whether, by the last peek, only a write to the `-wal` can bring anything new for a while. */
  readonly isAtRest: boolean;
  /** While a commit is awaited: whether it is there. */
  isHere(): boolean;
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
  /** Between slow turns. */
  readonly tickMs: number;
  /** Between those of a database at rest, as long as a sure watch tells of each write. */
  readonly restTickMs: number;
  readonly looks: CheapLooks;
  /** Whether a checkpoint of somebody else would wait for our reader. */
  readonly isInTheWay: () => boolean;
}

/** One database's alarm clock. */
export class Attention implements Disposable {
  readonly #options: AttentionOptions;
  #watch: Watch | undefined;
  #ticker: { readonly ms: number; readonly timer: Disposable } | undefined;
  #turn: Disposable | undefined;
  #guard: Disposable | undefined;
  #wake: (() => void) | undefined;
  #isAwake = false;
  #awaitingCount = 0;
  /** Cheap looks that are left until no commit is likely to come any more. */
  #closeCount = 0;
  /** Whether a notice has just come. */
  #isEager = false;
  #lastChangeMs = -Infinity;

  constructor(options: AttentionOptions) {
    this.#options = options;
  }

  /** Begin the slow turns, on a ticker that all databases share. */
  start(): void {
    this.#tickEach(this.#options.tickMs);
  }

  #tickEach(ms: number): void {
    if (this.#ticker?.ms === ms) return;
    this.#ticker?.timer[Symbol.dispose]();
    const isRare = ms > this.#options.tickMs;
    this.#ticker = { ms, timer: this.#options.clock.every(ms, () => this.#tick({ isRare })) };
  }

  /** Look as soon as possible. */
  poke(): void {
    this.tickOften();
    this.#turn?.[Symbol.dispose]();
    this.#guard?.[Symbol.dispose]();
    this.#turn = this.#guard = undefined;
    if (this.#wake === undefined) this.#isAwake = true;
    this.#wake?.();
    this.#wake = undefined;
  }

  /** The database isn't at rest any more. */
  tickOften(): void {
    if (this.#ticker !== undefined) this.#tickEach(this.#options.tickMs);
  }

  #tick({ isRare }: { isRare: boolean }): void {
    if (this.#wake === undefined || this.#turn !== undefined) return;
    const { looks, tickMs, restTickMs, isInTheWay } = this.#options;
    if (looks.peek(isRare)) return this.poke();
    if (this.#guard !== undefined && !isInTheWay()) {
      this.#guard[Symbol.dispose]();
      this.#guard = undefined;
    }
    // Each tick wakes the process, which is most of what a database at rest costs.
    const isAtRest = looks.isAtRest && this.#watch?.isSure === true;
    if (this.#ticker !== undefined) this.#tickEach(isAtRest ? Math.max(tickMs, restTickMs) : tickMs);
  }

  /** Somebody waits for the next change, until what is returned is disposed of: looks come soon. */
  beAwaited(): Disposable {
    this.#awaitingCount++;
    // A rest is over.
    if (this.#turn !== undefined) this.poke();
    return { [Symbol.dispose]: () => void this.#awaitingCount-- };
  }

  /** Whether somebody waits for the next change. */
  get isAwaited(): boolean {
    return this.#awaitingCount > 0;
  }

  /** A look found something new; look again soon. */
  noteChange(): void {
    this.#lastChangeMs = this.#options.clock.monotonicMs();
    this.#closeCount = CLOSE_COUNT;
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
        if (this.#closeCount > 0) this.#lookClosely();
        else this.#turn = clock.after(TURN_MS, () => this.poke());
      } else {
        this.#rest();
      }
    } else {
      if (this.#watch === undefined) this.#arm();
      if (this.#options.isInTheWay()) {
        this.#guard ??= clock.every(GUARD_MS, () => this.#tick({ isRare: false }));
      }
    }
    return promise;
  }

  #lookClosely(): void {
    const { clock, looks } = this.#options;
    const turn = this.#turn = new DisposableStack();
    turn.use(clock.every(CLOSE_MS, () => {
      if (--this.#closeCount === 0 || looks.isHere()) this.poke();
    }));
    if (!this.#isEager) return;
    this.#isEager = false;
    const endMs = clock.monotonicMs() + CLOSE_MS;
    let leftCount = EAGER_COUNT;
    const lookEagerly = () => {
      if (turn.disposed) return;
      if (looks.isHere()) this.poke();
      else if (--leftCount > 0 && clock.monotonicMs() < endMs) setImmediate(lookEagerly);
    };
    setImmediate(lookEagerly);
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
      this.#isEager = true;
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
    this.#ticker?.timer[Symbol.dispose]();
    this.#ticker = undefined;
    this.#disarm();
    this.poke();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
