/** What a database is doing, and since when. */
import type { DatabaseState } from "./database_options.ts";
import type { Notice } from "../async.ts";
import type { Logger } from "../logger.ts";
import type { Clock } from "../runtime/clock.ts";

/** The state of one database; every change is told by `changed`. */
export class StateHolder {
  readonly #parts: { readonly changed: Notice; readonly clock: Clock; readonly logger: Logger };
  #state: DatabaseState = { kind: "waiting", reason: "not looked at yet", isNew: true };
  #since: number;

  constructor(parts: { changed: Notice; clock: Clock; logger: Logger }) {
    this.#parts = parts;
    this.#since = parts.clock.now();
  }

  get state(): DatabaseState {
    return this.#state;
  }

  /** Milliseconds since 1970. */
  get since(): number {
    return this.#since;
  }

  /** Become something else. */
  set(state: DatabaseState): void {
    this.#state = state;
    this.#since = this.#parts.clock.now();
    this.#parts.changed.notify();
  }

  /** Wait for something, which is said once. */
  wait(reason: string, { isNew = false }: { isNew?: boolean } = {}): void {
    if (this.#state.kind === "waiting" && this.#state.reason === reason) return;
    this.#parts.logger.warn("waiting for the database", { reason });
    this.set({ kind: "waiting", reason, isNew });
  }
}
