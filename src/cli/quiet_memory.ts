/** Gives memory back while nothing happens: what a start takes, and what a burst of work leaves behind. */
import { dropKeptBuffers } from "../codec/buffer_pool.ts";
import type { LiveDatabase } from "../database/database.ts";
import type { Clock } from "../runtime/clock.ts";
import { shrinkMemory } from "../runtime/memory.ts";

/** How often it is asked whether all is quiet. */
const CHECK_MS = 20_000;

/** What is compiled goes with it, so not after each short pause. */
const SHRINK_MS = 3_600_000;

/** What it is done by; `shrink` is the runtime's. */
export interface QuietMemoryOptions {
  readonly databases: readonly Pick<LiveDatabase, "isQuiet">[];
  readonly clock: Clock;
  readonly shrink?: (() => void) | undefined;
}

/** Whenever all `databases` are quiet, until what is returned is disposed of. */
export function releaseMemoryWhileQuiet(
  { databases, clock, shrink = shrinkMemory }: QuietMemoryOptions,
): Disposable {
  let lastMs = -Infinity;
  return clock.every(CHECK_MS, () => {
    if (!databases.every(({ isQuiet }) => isQuiet)) return;
    dropKeptBuffers();
    if (clock.monotonicMs() - lastMs < SHRINK_MS) return;
    lastMs = clock.monotonicMs();
    shrink();
  });
}
