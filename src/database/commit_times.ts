/** When commits were seen, by position; bounded, and coarser the longer ago. */
import { comparePositions, type IndexOffset } from "../position.ts";

/** Marks that are kept; beyond it every second one goes. */
const MARK_COUNT = 512;

interface Mark extends IndexOffset {
  readonly at: number;
}

/** Times along one generation, never going back. */
export class CommitTimes {
  #marks: Mark[] = [];
  readonly #floor: number;
  readonly #start: IndexOffset | undefined;
  #latest: number;

  /**
   * @param floor milliseconds since 1970 before which no commit of this generation can be
   * @param start up to where there were commits already, of that time
   */
  constructor(floor: number, start?: IndexOffset) {
    this.#floor = this.#latest = floor;
    this.#start = start;
  }

  /** What was committed up to `position` was seen at `at`, milliseconds since 1970. */
  record(position: IndexOffset, at: number): void {
    this.#latest = Math.max(this.#latest, at);
    this.#marks.push({ ...position, at: this.#latest });
    if (this.#marks.length > MARK_COUNT) {
      const last = this.#marks.length - 1;
      this.#marks = this.#marks.filter((_, index) => index % 2 === 0 || index === last);
    }
  }

  /** The time of the newest commit up to `position`; a later one's where that is no longer known. */
  timeOf(position: IndexOffset): number {
    return this.#marks.find((mark) => comparePositions(mark, position) >= 0)?.at ?? this.#latest;
  }

  /** The time of the oldest commit after `position`, of those still known; there has to be one. */
  timeAfter(position: IndexOffset): number {
    if (this.#start !== undefined && comparePositions(this.#start, position) > 0) return this.#floor;
    return this.#marks.find((mark) => comparePositions(mark, position) > 0)?.at ?? this.#latest;
  }

  /** Forget what lies before `position`. */
  forgetBefore(position: IndexOffset): void {
    this.#marks = this.#marks.filter((mark) => comparePositions(mark, position) >= 0);
  }
}
