/** Whether what is beside us has changed: files replaced, somebody else writing into what is ours. */
import type { Opened } from "./opened.ts";
import { Stamps } from "./stamps.ts";
import type { Clock } from "../runtime/clock.ts";

/** They are looked at no more often than this while there is something to do. */
export const LOOK_AROUND_MS = 1000;

/** The looks around one database. */
export class Surroundings {
  readonly #clock: Clock;
  #lastMs = -Infinity;
  /** Of the folders that hold what is ours and the database, and of the newest shadow file. */
  #stamps: Stamps | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get #sinceMs(): number {
    return this.#clock.monotonicMs() - this.#lastMs;
  }

  /** Whether it is time although there is nothing else to do. */
  get isOverdue(): boolean {
    return this.#sinceMs >= 5 * LOOK_AROUND_MS;
  }

  /** However short ago the last look was, the next one is a real one. */
  expire(): void {
    this.#lastMs = -Infinity;
    this.#stamps = undefined;
  }

  /**
   * Look while there is nothing else to do, which costs a few calls of the system.
   *
   * @returns whether all is as it should be; otherwise `look` is to be called, and tells what is not
   */
  glance({ live, follower }: Opened): boolean {
    const at = { files: live.files, now: this.#clock.now() };
    try {
      if (this.#stamps?.holds(at) !== true) {
        this.#stamps = Stamps.take([live.folderPath, ...follower.ownPaths], at);
        live.requireSame();
        follower.checkUntouched();
      }
    } catch {
      this.#stamps = undefined;
      return false;
    }
    this.#lastMs = this.#clock.monotonicMs();
    return true;
  }

  /**
   * Look, unless the last time is just over.
   *
   * @throws {IdentityError} when a path no longer names the file that we hold
   * @throws {ForeignWriterError} when somebody else writes into the shadow WAL
   */
  look({ live, follower }: Opened): void {
    if (this.#sinceMs < LOOK_AROUND_MS) return;
    this.#lastMs = this.#clock.monotonicMs();
    live.requireSame();
    follower.checkUntouched();
  }
}
