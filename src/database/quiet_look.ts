/** The cheap look at a database that is quiet: whether anything calls for a whole turn. */
import type { Activity } from "./activity.ts";
import type { CheckpointSchedule } from "./checkpoint_schedule.ts";
import { shouldMove } from "./decide.ts";
import type { DatabaseMeter } from "./measure.ts";
import { hasSpare, type Opened } from "./opened.ts";
import type { Surroundings } from "./surroundings.ts";
import type { Troubles } from "./troubles.ts";
import type { Clock } from "../runtime/clock.ts";
import type { WalIndex } from "../wal/wal_index.ts";

/** What is asked, and told when all is well. */
export interface QuietLookParts {
  readonly activity: Activity;
  readonly schedule: CheckpointSchedule;
  readonly surroundings: Surroundings;
  readonly troubles: Troubles;
  readonly meter: DatabaseMeter;
  readonly clock: Clock;
}

/** The quiet looks at one database. */
export class QuietLook {
  readonly #parts: QuietLookParts;
  /** Whether the last turn came to its end: only then is it known what another one would find. */
  isSettled = false;

  constructor(parts: QuietLookParts) {
    this.#parts = parts;
  }

  /** Whether there is anything new in the wal-index, a check that is due, or something wrong. */
  callsForTurn(opened: Opened): boolean {
    const { activity, schedule, surroundings, troubles } = this.#parts;
    const index = opened.live.look();
    return index === undefined || activity.isNew(index) || troubles.lastError !== "" ||
      schedule.isTime(index, activity) || shouldMove(index, opened.follower.readers.standing!) ||
      surroundings.isOverdue && !this.#isAllWell(opened, index);
  }

  #isAllWell(opened: Opened, index: WalIndex): boolean {
    const { activity, surroundings, troubles, meter, clock } = this.#parts;
    if (!this.isSettled || !opened.follower.isAtEnd(index)) return false;
    if (activity.isIdle && hasSpare(opened)) return false;
    const startMs = clock.monotonicMs();
    if (!surroundings.glance(opened)) return false;
    troubles.clear();
    meter.glance(clock.monotonicMs() - startMs);
    return true;
  }
}
