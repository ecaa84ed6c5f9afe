/** Takes a snapshot of one replica each interval, counted from the newest one that there is. */
import { Backoff, type BackoffOptions, SNAPSHOT_BACKOFF } from "./backoff.ts";
import type { DutyParts } from "./duty.ts";
import { findLatestSnapshot, hasChangedSince } from "./latest_snapshot.ts";
import type { StoredSnapshot } from "./take_snapshot.ts";
import { orAbort } from "../async.ts";
import { pause } from "../runtime/pause.ts";

/** How often. */
export interface SnapshotterOptions {
  /** 0 and less: never. */
  readonly intervalMs: number;
  /** Also take one that would be the same as the one before. Default false. */
  readonly evenUnchanged?: boolean | undefined;
  readonly backoff?: Partial<BackoffOptions> | undefined;
}

/** The snapshots of one replica beyond the first. */
export class Snapshotter {
  readonly #parts: DutyParts;
  readonly #options: SnapshotterOptions;
  readonly #backoff: Backoff;
  /** When the snapshot after that of the time `of` is to be taken; milliseconds since 1970. */
  #due: { readonly of: number; readonly at: number } | undefined;

  constructor(parts: DutyParts, options: SnapshotterOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#backoff = new Backoff(parts.logger, { ...SNAPSHOT_BACKOFF, ...options.backoff });
  }

  /** Until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    if (this.#options.intervalMs <= 0) return;
    while (!signal.aborted) {
      try {
        await this.#next(signal);
        this.#backoff.succeed("snapshots work again");
      } catch (error) {
        if (signal.aborted) return;
        const pauseMs = this.#backoff.fail("snapshotter error", error);
        await pause(pauseMs, { clock, signal }).catch(() => {});
      }
    }
  }

  /** Wait for the next snapshot's time and take it. */
  async #next(signal: AbortSignal): Promise<void> {
    const { loop, clock } = this.#parts;
    const latest = await this.#latest(signal);
    const own = loop.latestSnapshot;
    await pause(this.#dueMs(latest), { clock, signal });
    if (!this.#options.evenUnchanged) await this.#untilChanged(latest, signal);
    // Retention, or a new generation, has brought one meanwhile: count from there.
    if (loop.latestSnapshot !== undefined && loop.latestSnapshot !== latest && loop.latestSnapshot !== own) {
      return;
    }
    if (await loop.snapshot({ signal }) === undefined) throw new Error("the replica can't take it now");
  }

  /** How long until the one after `latest`. */
  #dueMs(latest: StoredSnapshot): number {
    const of = latest.at.getTime();
    const now = this.#parts.clock.now();
    // Where the clock was set back `latest` is of a time to come. A try that failed doesn't put off the next.
    const known = this.#due?.of === of ? this.#due.at : Infinity;
    const at = Math.min(known, Math.min(of, now) + this.#options.intervalMs);
    this.#due = { of, at };
    return Math.max(0, at - now);
  }

  /** The newest snapshot of the current generation, once there is one. */
  async #latest(signal: AbortSignal): Promise<StoredSnapshot> {
    const { loop, database, client, clock, logger } = this.#parts;
    for (;;) {
      const token = loop.progressed.token;
      const generation = database.position?.generation;
      if (generation !== undefined && loop.isRestorable) {
        const own = loop.latestSnapshot;
        if (own?.position.generation === generation) return own;
        const found = await findLatestSnapshot(client, generation, { signal }).catch((cause) => {
          throw new Error("snapshotter cannot determine latest snapshot", { cause });
        });
        if (found !== undefined) {
          logger.info("snapshot interval adjusted", {
            previous: found.at.toISOString(),
            next: new Date(clock.now() + this.#dueMs(found)).toISOString(),
          });
          return found;
        }
      }
      await orAbort(token, signal);
    }
  }

  async #untilChanged(latest: StoredSnapshot, signal: AbortSignal): Promise<void> {
    const { database } = this.#parts;
    for (;;) {
      const token = database.changed.token;
      const position = database.position;
      if (position !== undefined && hasChangedSince(latest, position)) return;
      await orAbort(token, signal);
    }
  }
}
