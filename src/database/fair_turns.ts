/** How a long task shares the event loop with others. */
import { type Clock, yieldToEvents } from "../runtime/clock.ts";

/** How long it may go on without letting others in. */
const LONGEST_MS = 25;

/**
 * The turns of a task that is done in short pieces.
 *
 * Let in after each piece, others take many times as long as a piece where they are busy too: an upload compresses
 * four mebibytes at once. So it goes on for as long as the others took the last time, and has half of the time.
 */
export class FairTurns {
  readonly #clock: Clock;
  #untilMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A piece is done. Resolves when it is time for the next one. */
  async next(): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    if (startMs < this.#untilMs) return;
    await yieldToEvents();
    const endMs = this.#clock.monotonicMs();
    this.#untilMs = endMs + Math.min(endMs - startMs, LONGEST_MS);
  }
}
