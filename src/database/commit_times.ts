/** When commits were seen, by position; bounded, and coarser the longer ago. */
import { comparePositions, type IndexOffset } from "../position.ts";
import type { Clock } from "../runtime/clock.ts";

/** Marks that are kept; beyond it every second one goes. */
const MARK_COUNT = 512;

/** A moment by both clocks: milliseconds since 1970, and those that are never set back. */
interface Moment {
  readonly at: number;
  readonly steadyMs: number;
}

interface Mark extends IndexOffset, Moment {}

/** Times along one generation, never going back. */
export class CommitTimes {
  readonly #clock: Clock;
  #marks: Mark[] = [];
  readonly #floor: Moment;
  readonly #start: IndexOffset | undefined;
  #latest: Moment;

  /**
   * @param options.floor milliseconds since 1970 before which no commit of this generation can be; default now
   * @param options.start up to where there were commits already, of that time
   */
  constructor(clock: Clock, { floor, start }: { floor?: number; start?: IndexOffset } = {}) {
    this.#clock = clock;
    const [now, steadyMs] = [clock.now(), clock.monotonicMs()];
    const at = floor ?? now;
    this.#floor = this.#latest = { at, steadyMs: steadyMs - Math.max(0, now - at) };
    this.#start = start;
  }

  /** What was committed up to `position` was seen now. */
  record(position: IndexOffset): void {
    const at = Math.max(this.#latest.at, this.#clock.now());
    this.#latest = { at, steadyMs: this.#clock.monotonicMs() };
    this.#marks.push({ ...position, ...this.#latest });
    if (this.#marks.length > MARK_COUNT) {
      const last = this.#marks.length - 1;
      this.#marks = this.#marks.filter((_, index) => index % 2 === 0 || index === last);
    }
  }

  /** The time of the newest commit up to `position`, milliseconds since 1970; a later one's where it is not known. */
  timeOf(position: IndexOffset): number {
    return (this.#marks.find((mark) => comparePositions(mark, position) >= 0) ?? this.#latest).at;
  }

  /**
   * How long ago the oldest commit after `position` was seen, of those still known, in milliseconds, whatever the time
   * of day was set to meanwhile; there has to be one.
   */
  ageAfter(position: IndexOffset): number {
    return this.#clock.monotonicMs() - this.#after(position).steadyMs;
  }

  #after(position: IndexOffset): Moment {
    if (this.#start !== undefined && comparePositions(this.#start, position) > 0) return this.#floor;
    return this.#marks.find((mark) => comparePositions(mark, position) > 0) ?? this.#latest;
  }

  /** Forget what lies before `position`. */
  forgetBefore(position: IndexOffset): void {
    this.#marks = this.#marks.filter((mark) => comparePositions(mark, position) >= 0);
  }
}
