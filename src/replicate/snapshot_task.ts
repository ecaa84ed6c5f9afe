/** The first snapshot of a generation in one replica, taken while its WAL goes on being uploaded. */
import { Backoff, type BackoffOptions } from "./backoff.ts";
import { uploadSnapshot } from "./upload_snapshot.ts";
import { type Notice, orAbort, type Semaphore, sleep } from "../async.ts";
import type { LiveDatabase } from "../database/database.ts";
import type { SnapshotSource } from "../database/snapshot.ts";
import type { Logger } from "../logger.ts";
import { comparePositions, formatPosition, type Position } from "../position.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** What a snapshot depends on. */
export interface SnapshotParts {
  readonly database: LiveDatabase;
  readonly client: ReplicaClient;
  readonly generation: string;
  /** Bounds the snapshots that run at once. */
  readonly slots: Semaphore;
  /** Where the WAL stands in the replica; `undefined` while it can't be uploaded. Told by `progressed`. */
  readonly position: () => Position | undefined;
  readonly progressed: Notice;
  /** The time, in milliseconds since 1970, before which nothing in the snapshot can have been the newest. */
  readonly notBefore: number;
  readonly backoff?: Partial<BackoffOptions> | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The longest pause once the program is to end. */
const HURRIED_MS = 250;

/** Begins at once; failures are retried with growing pauses until it is done or cancelled. */
export class SnapshotTask {
  readonly generation: string;
  /** Resolves when it is done or was cancelled; never rejects. */
  readonly ended: Promise<void>;
  readonly #parts: SnapshotParts;
  readonly #backoff: Backoff;
  readonly #aborting = new AbortController();
  readonly #hurrying = new AbortController();
  #isDone = false;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
    this.generation = parts.generation;
    this.#backoff = new Backoff(parts.logger, parts.backoff);
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
        this.#isDone = await this.#take(signal);
        if (this.#isDone) this.#backoff.succeed("replica works again");
      } catch (error) {
        if (signal.aborted) break;
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

  /** @returns whether it is in the replica; `false` when the WAL that it needs was not uploaded */
  async #take(signal: AbortSignal): Promise<boolean> {
    const { database, client, slots, clock, logger, onProgress, notBefore } = this.#parts;
    using _ = await slots.acquire({ signal });
    using source = await database.openSnapshot();
    // Whoever started us finds that out too, and begins another task.
    if (source.generation !== this.generation) return false;
    // It is right only together with the WAL up to its offset, so that has to be there first.
    if (!await this.#isWalUploaded(source, signal)) return false;
    const startMs = clock.monotonicMs();
    const position = formatPosition(source);
    logger.info("write snapshot", { position });
    const newestCommitAt = new Date(Math.max(notBefore, source.newestCommitAt.getTime()));
    const written = await uploadSnapshot(client, source, { newestCommitAt, signal, onProgress });
    const elapsedMs = clock.monotonicMs() - startMs;
    logger.info("snapshot written", { position, elapsed: { durationMs: elapsedMs }, sz: written.size });
    return true;
  }

  async #isWalUploaded(source: SnapshotSource, signal: AbortSignal): Promise<boolean> {
    const { position, progressed } = this.#parts;
    for (;;) {
      const token = progressed.token;
      const now = position();
      if (now?.generation !== source.generation) return false;
      if (comparePositions(now, source) >= 0) return true;
      await orAbort(token, signal);
    }
  }
}
