/** When a database is looked at: what one cheap read of the wal-index says, and what is beside it. */
import { Activity } from "./activity.ts";
import type { CheckpointSchedule } from "./checkpoint_schedule.ts";
import { shouldMove } from "./decide.ts";
import type { Opened } from "./opened.ts";
import { Surroundings } from "./surroundings.ts";
import type { Troubles } from "./troubles.ts";
import type { Clock } from "../runtime/clock.ts";

/** What they judge by. */
export interface LookoutParts {
  /** What is open now. */
  readonly opened: () => Opened | undefined;
  readonly clock: Clock;
  readonly schedule: CheckpointSchedule;
  readonly troubles: Troubles;
}

/** The cheap looks at one database, and what they remember. */
export class Lookout {
  readonly #parts: LookoutParts;
  readonly activity: Activity;
  readonly #surroundings: Surroundings;

  constructor(parts: LookoutParts) {
    this.#parts = parts;
    this.activity = new Activity(parts.clock);
    this.#surroundings = new Surroundings(parts.clock);
  }

  /**
   * A real look begins.
   *
   * @throws what `Surroundings.look` throws
   */
  begin(opened: Opened): void {
    this.activity.noteLook();
    this.#surroundings.look(opened);
  }

  /** At a slow turn: anything new, or a check that is due? */
  peek(): boolean {
    const { schedule, troubles } = this.#parts;
    const { activity } = this;
    const opened = this.#parts.opened();
    const index = opened?.live.look();
    if (opened === undefined || index === undefined) return true;
    const isNew = activity.isNew(index);
    return isNew || troubles.lastError !== "" || schedule.isTime(index, activity) ||
      shouldMove(index, opened.follower.readers.standing!) || this.#surroundings.isOverdue;
  }

  /** While the database is busy and nobody waits for its next change. */
  isDue(): boolean {
    const opened = this.#parts.opened();
    const index = opened?.live.look();
    if (opened === undefined || index === undefined) return true;
    const { follower } = opened;
    return follower.isCrowding(index) ||
      this.activity.isRestOver(index, { uncopiedBytes: follower.uncopiedOf(index) });
  }
}
