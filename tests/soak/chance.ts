/** Chance from a seed: the same seed makes the same choices. */
import { randomFrom } from "../../bench/random.ts";

/** A source of choices. */
export class Chance {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** A number of the range. */
  between([from, to]: readonly [number, number]): number {
    return from + this.#random() * (to - from);
  }

  happens(share: number): boolean {
    return this.#random() < share;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}
