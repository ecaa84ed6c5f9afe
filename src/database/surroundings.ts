/** Whether what is beside us has changed: files replaced, somebody else writing into what is ours. */
import type { InstanceLock } from "./instance_lock.ts";
import type { Opened } from "./opened.ts";
import { Stamps } from "./stamps.ts";
import type { Clock } from "../runtime/clock.ts";

/** They are looked at no more often than this while there is something to do. */
const LOOK_AROUND_MS = 1000;

/** And this often while there is nothing. */
export const LOOK_AROUND_QUIETLY_MS = 5 * LOOK_AROUND_MS;

/** What is ours is looked at with every third of those: who writes there follows commits, and those wake us. */
const LOOK_AT_OURS_MS = 2.5 * LOOK_AROUND_QUIETLY_MS;

/** The looks around one database. */
export class Surroundings {
  readonly #clock: Clock;
  readonly #lock: Pick<InstanceLock, "requireThere">;
  #lastMs = -Infinity;
  #oursLastMs = -Infinity;
  /** Of the folder that holds the database. */
  #besideStamps: Stamps | undefined;
  /** Of the folders that hold what is ours, and of the newest shadow file. */
  #ourStamps: Stamps | undefined;

  constructor({ clock, lock }: { clock: Clock; lock: Pick<InstanceLock, "requireThere"> }) {
    this.#clock = clock;
    this.#lock = lock;
  }

  get #sinceMs(): number {
    return this.#clock.monotonicMs() - this.#lastMs;
  }

  /** Whether it is time although there is nothing else to do. */
  get isOverdue(): boolean {
    return this.#sinceMs >= LOOK_AROUND_QUIETLY_MS;
  }

  /** However short ago the last look was, the next one is a real one. */
  expire(): void {
    this.#lastMs = this.#oursLastMs = -Infinity;
    this.#forget();
  }

  /**
   * Look while there is nothing else to do, which costs a few calls of the system.
   *
   * @returns whether all is as it should be; otherwise `look` is to be called, and tells what is not
   */
  glance({ live, follower }: Opened): boolean {
    const nowMs = this.#clock.monotonicMs();
    const at = { files: live.files, now: this.#clock.now() };
    try {
      if (this.#besideStamps?.holds(at) !== true) {
        this.#besideStamps = Stamps.take([live.folderPath], at);
        live.requireSame();
      }
      if (nowMs - this.#oursLastMs >= LOOK_AT_OURS_MS) {
        if (this.#ourStamps?.holds(at) !== true) {
          this.#ourStamps = Stamps.take(follower.ownPaths, at);
          this.#lock.requireThere();
          follower.checkUntouched();
        }
        this.#oursLastMs = nowMs;
      }
    } catch {
      this.#forget();
      return false;
    }
    this.#lastMs = nowMs;
    return true;
  }

  #forget(): void {
    this.#besideStamps = this.#ourStamps = undefined;
  }

  /**
   * Look, unless the last time is just over.
   *
   * @throws {IdentityError} when a path no longer names the file that we hold
   * @throws {LostLockError} when another walbrook would not find our lock, and may have taken its place already
   * @throws {ForeignWriterError} when somebody else writes into the shadow WAL
   */
  look({ live, follower }: Opened): void {
    if (this.#sinceMs < LOOK_AROUND_MS) return;
    this.#lastMs = this.#oursLastMs = this.#clock.monotonicMs();
    live.requireSame();
    this.#lock.requireThere();
    follower.checkUntouched();
  }
}
