/** When a database last did something, and whether a cheap look shows anything new. */
import type { Clock } from "../runtime/clock.ts";
import type { WalIndex } from "../wal/wal_index.ts";

/** After this long without a commit the spare connections are closed. */
const IDLE_MS = 10_000;

/** What one database was seen to do. */
export class Activity {
  readonly #clock: Clock;
  /** Or taken up. */
  #lastCopyMs = -Infinity;
  #lastSeen = "";

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The database was taken up. */
  begin(): void {
    this.#lastSeen = "";
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
    const seen = `${index.change} ${index.mxFrame} ${index.backfilledCount} ${index.salts}`;
    const isNew = seen !== this.#lastSeen;
    this.#lastSeen = seen;
    return isNew;
  }
}
