/** When a database last did something, and whether a cheap look shows anything new. */
import type { Clock } from "../runtime/clock.ts";
import { equalPair } from "../wal/header.ts";
import type { WalIndex } from "../wal/wal_index.ts";

/** After this long without a commit the spare connections are closed. */
const IDLE_MS = 10_000;

/** What one database was seen to do. */
export class Activity {
  readonly #clock: Clock;
  /** Or taken up. */
  #lastCopyMs = -Infinity;
  #lastSeen: WalIndex | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The database was taken up. */
  begin(): void {
    this.#lastSeen = undefined;
    this.noteCopy();
  }

  /** Something was copied. */
  noteCopy(): void {
    this.#lastCopyMs = this.#clock.monotonicMs();
  }

  /** Time without a commit. */
  get quietMs(): number {
    return this.#clock.monotonicMs() - this.#lastCopyMs;
  }

  /** Whether nothing is likely to come soon. */
  get isIdle(): boolean {
    return this.quietMs >= IDLE_MS;
  }

  /** Whether the wal-index differs from what was seen the last time. */
  isNew(index: WalIndex): boolean {
    const seen = this.#lastSeen;
    this.#lastSeen = index;
    // Which of SQLite's readers stand where is nothing new.
    return seen !== index && (seen === undefined || !isSame(seen, index));
  }
}

function isSame(left: WalIndex, right: WalIndex): boolean {
  return left.change === right.change && left.mxFrame === right.mxFrame &&
    left.backfilledCount === right.backfilledCount && equalPair(left.salts, right.salts);
}
