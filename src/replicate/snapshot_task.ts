/** The first snapshot of a generation in one replica, taken while its WAL goes on being uploaded. */
import { Backoff, type BackoffOptions, SNAPSHOT_BACKOFF } from "./backoff.ts";
import { type SnapshotParts, type StoredSnapshot, takeSnapshot } from "./take_snapshot.ts";
import { orAbort, sleep } from "../async.ts";
import { releaseUnusedMemory } from "../runtime/memory.ts";

/** What a task depends on. */
export interface SnapshotTaskParts extends SnapshotParts {
  readonly backoff?: Partial<BackoffOptions> | undefined;
  /** Called when it is in the replica. */
  readonly onStored?: ((snapshot: StoredSnapshot) => void) | undefined;
  /** Called when a try fails. */
  readonly onFailed?: ((error: unknown) => void) | undefined;
}

/** The longest pause once the program is to end. */
const HURRIED_MS = 250;

/**
 * So many first snapshots of the whole process for one collection. What taking up many databases needs for a moment
 * otherwise lies between what stays of each, in memory that nothing else then fits into.
 */
const COLLECT_EACH = 16;

let storedCount = 0;

/** Begins at once; failures are retried with growing pauses until it is done or cancelled. */
export class SnapshotTask {
  readonly generation: string;
  /** Resolves when it is done or was cancelled; never rejects. */
  readonly ended: Promise<void>;
  readonly #parts: SnapshotTaskParts;
  readonly #backoff: Backoff;
  readonly #aborting = new AbortController();
  readonly #hurrying = new AbortController();
  #isDone = false;

  constructor(parts: SnapshotTaskParts) {
    this.#parts = parts;
    this.generation = parts.generation;
    this.#backoff = new Backoff(parts.logger, { ...SNAPSHOT_BACKOFF, ...parts.backoff });
    this.ended = this.#run();
  }

  /** Whether the snapshot is in the replica. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** What keeps it from being done; empty when nothing does. */
  get lastError(): string {
    return this.#backoff.lastMessage;
  }

  /** Failures in a row. */
  get errorCount(): number {
    return this.#backoff.count;
  }

  /** The program is to end: no more long pauses. */
  hurry(): void {
    this.#hurrying.abort(new Error("hurry"));
  }

  /** Give up. */
  async cancel(reason: Error): Promise<void> {
    this.#aborting.abort(reason);
    await this.ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#aborting;
    while (!this.#isDone && !signal.aborted) {
      try {
        await this.#untilWalWorks(signal);
        const { token } = this.#parts.progressed;
        const stored = await takeSnapshot({ ...this.#parts, isRetry: this.#backoff.count > 0 }, signal);
        if (stored === undefined) {
          // The WAL that it needs was not uploaded, or the database has another generation, which the replica finds
          // out only when it is let: trying again at once would keep everything else from running, for good.
          await orAbort(token, signal);
          continue;
        }
        this.#isDone = true;
        if (++storedCount % COLLECT_EACH === 0) releaseUnusedMemory();
        this.#parts.onStored?.(stored);
        this.#backoff.succeed("replica works again");
      } catch (error) {
        if (signal.aborted) break;
        this.#parts.onFailed?.(error);
        await this.#pause(this.#backoff.fail("snapshotter error", error), signal);
      }
    }
    this.#parts.progressed.notify();
  }

  async #pause(pauseMs: number, signal: AbortSignal): Promise<void> {
    const hurrying = this.#hurrying.signal;
    const ms = hurrying.aborted ? Math.min(pauseMs, HURRIED_MS) : pauseMs;
    const either = hurrying.aborted ? signal : AbortSignal.any([signal, hurrying]);
    // Both signals only end the pause.
    await sleep(ms, { signal: either }).catch(() => {});
  }

  /** While the WAL can't be uploaded a snapshot would only fail too, and hold the live WAL meanwhile. */
  async #untilWalWorks(signal: AbortSignal): Promise<void> {
    const { position, progressed } = this.#parts;
    for (;;) {
      const token = progressed.token;
      if (position()?.generation === this.generation) return;
      await orAbort(token, signal);
    }
  }
}
