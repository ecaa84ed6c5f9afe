/** Which generation a database is in, and when the next one begins. */
import type { CheckpointSchedule } from "./checkpoint_schedule.ts";
import type { Follower } from "./follower.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { explainMetaError } from "./open.ts";
import type { Notice } from "../async.ts";
import type { Logger } from "../logger.ts";

/** What they are kept with. */
export interface GenerationsParts {
  readonly meta: MetaDirectory;
  readonly schedule: CheckpointSchedule;
  readonly changed: Notice;
  readonly logger: Logger;
}

/** One database's generations, one after the other. */
export class Generations {
  readonly #parts: GenerationsParts;
  #reasonToRestart: string | undefined;
  /** False while a new generation begins, which nobody may see before it is written down. */
  isThere = false;

  constructor(parts: GenerationsParts) {
    this.#parts = parts;
  }

  /** The one that is there ends: the database is taken up with a new one, as soon as that can be written. */
  restartBecause(reason: string): void {
    this.#reasonToRestart = reason;
  }

  /**
   * Go on with the one that the meta directory names, or begin one.
   *
   * @param recoverMeta called where the meta directory names none; may write down one that goes on
   */
  async choose(follower: Follower, recoverMeta: (() => Promise<void>) | undefined): Promise<void> {
    const { meta } = this.#parts;
    const toRestart = this.#reasonToRestart;
    try {
      if (toRestart === undefined && meta.readGeneration() === undefined) await recoverMeta?.();
      const reason = toRestart ?? await follower.goOn();
      if (reason === undefined) {
        this.isThere = true;
        meta.removeOtherGenerations(follower.shadow.generation);
      } else {
        await this.#begin(follower, reason);
      }
    } catch (error) {
      throw explainMetaError(meta, error);
    }
  }

  async #begin(follower: Follower, reason: string): Promise<void> {
    if (reason !== "no generation exists") {
      this.#parts.logger.warn("init: cannot determine last wal position, clearing generation", {
        error: reason,
      });
    }
    await this.start(follower, reason);
  }

  /** Begin one. A failure leaves none; the next `choose` begins it where `restartBecause` was told so. */
  async start(follower: Follower, reason: string): Promise<void> {
    const { logger, schedule, changed } = this.#parts;
    this.isThere = false;
    const generation = await follower.startGeneration();
    this.isThere = true;
    // Only now: one that was to end must not go on because the new one couldn't be written.
    this.#reasonToRestart = undefined;
    logger.info("sync: new generation", { generation, reason });
    schedule.reset();
    changed.notify();
  }
}
