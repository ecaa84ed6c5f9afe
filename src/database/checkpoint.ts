/**
 * Checkpoints that can't lose a commit: our reader stands throughout, and moves only onto what is copied.
 *
 * RESTART is never needed: when all is backfilled and our reader rests on mark 0, the application's next write
 * restarts the WAL by itself.
 *
 * @see docs/DESIGN.md, "The lossless checkpoint"
 */
import type { Follower } from "./follower.ts";
import type { LiveFiles } from "./live_files.ts";
import type { DatabaseMeter } from "./measure.ts";
import { openByPath } from "./readers.ts";
import { type CheckpointResult, classifySqliteError, type SqliteConnection } from "../runtime/sqlite.ts";
import { sleep } from "../async.ts";
import { describeError } from "../errors.ts";

/** How long PASSIVE is tried again behind a barrier: the application may be checkpointing itself. */
const BARRIER_TRY_MS = 25;

/** Frames that are backfilled behind a barrier at once, in far less than a millisecond. */
const SMALL_BACKLOG = 100;

/** How long the write lock is tried for unless told otherwise. */
const BUSY_TIMEOUT_MS = 1000;

/** What a checkpoint came to. */
export interface CheckpointOutcome {
  /** Frames in the WAL, and how many of them are in the database file now. */
  readonly frameCount: number;
  readonly backfilledCount: number;
}

/** The two read-write connections, opened when there is work and closed after. */
export class Writers implements Disposable {
  readonly #live: LiveFiles;
  readonly #meter: DatabaseMeter | undefined;
  #checkpointer: SqliteConnection | undefined;
  #barrier: SqliteConnection | undefined;
  /** How long the write lock is tried for, without ever waiting for it inside SQLite. */
  readonly busyTimeoutMs: number;

  constructor(
    live: LiveFiles,
    { busyTimeoutMs = BUSY_TIMEOUT_MS, meter }: {
      busyTimeoutMs?: number | undefined;
      meter?: DatabaseMeter | undefined;
    } = {},
  ) {
    this.#live = live;
    this.#meter = meter;
    this.busyTimeoutMs = busyTimeoutMs;
  }

  /**
   * Run a checkpoint, on a connection that never holds a transaction; a busy one is an answer, not an error. None is
   * run once another file was put in place: its pages would be overwritten with those of our WAL.
   *
   * @throws {IdentityError} then
   */
  checkpoint(mode: "PASSIVE" | "TRUNCATE"): CheckpointResult {
    const startMs = performance.now();
    let hasFailed = true;
    try {
      this.#checkpointer ??= this.#open();
      this.#live.requireSame();
      const result = this.#checkpointer.checkpoint(mode);
      hasFailed = false;
      return result;
    } finally {
      this.#meter?.checkpoint(mode, { elapsedMs: performance.now() - startMs, hasFailed });
    }
  }

  /** Holds the write lock for a moment and never writes. */
  get barrier(): SqliteConnection {
    return this.#barrier ??= this.#open();
  }

  #open(): SqliteConnection {
    const connection = openByPath(this.#live, "read-write");
    connection.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = NORMAL");
    return connection;
  }

  /** Whether either is open. */
  get isOpen(): boolean {
    return this.#checkpointer !== undefined || this.#barrier !== undefined;
  }

  /** Close both; a later use opens them again. */
  close(): void {
    this.#checkpointer?.close();
    this.#barrier?.close();
    this.#checkpointer = this.#barrier = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What a checkpoint works with. */
export interface CheckpointParts {
  readonly follower: Follower;
  readonly writers: Writers;
}

/** Copy, move, PASSIVE, move: succeeds in the gaps of a quiet application and costs a busy one nothing. */
export async function checkpointPolitely({ follower, writers }: CheckpointParts): Promise<CheckpointOutcome> {
  await follower.catchUp();
  follower.moveUp();
  writers.checkpoint("PASSIVE");
  await follower.catchUp();
  return outcomeOf(follower);
}

/**
 * Hold the application's writers off for a few milliseconds, so that all of the WAL can be copied and backfilled.
 *
 * @returns `undefined` when the write lock could not be had
 */
export async function checkpointBehindBarrier(
  parts: CheckpointParts,
): Promise<CheckpointOutcome | undefined> {
  // What can be backfilled without holding anybody off is done first; the barrier then is short. Where the application
  // has done it, each of its commits until the barrier is paid for with another checkpoint.
  const { frameCount, backfilledCount } = outcomeOf(parts.follower);
  if (frameCount - backfilledCount > SMALL_BACKLOG) await checkpointPolitely(parts);
  return await behindBarrier(parts, () => {
    backfill(parts);
    return outcomeOf(parts.follower);
  });
}

/**
 * Call `act` while nobody can write and everything committed is copied. `act` must not wait.
 *
 * @returns what `act` returns; `undefined` when the write lock could not be had
 */
export async function behindBarrier<T>(
  { follower, writers }: CheckpointParts,
  act: () => T,
): Promise<T | undefined> {
  const until = performance.now() + writers.busyTimeoutMs;
  for (;;) {
    await follower.catchUp();
    const barrier = writers.barrier;
    if (!beginImmediate(barrier)) {
      if (performance.now() >= until) return undefined;
      await sleep(1);
      continue;
    }
    try {
      while (follower.step().hasMore);
      // Nobody can commit: a reader that stayed where it was moves now.
      follower.step();
      return act();
    } finally {
      barrier.exec("ROLLBACK");
    }
  }
}

/** Behind a barrier: move all frames into the database file, and the reader to mark 0. */
export function backfill({ follower, writers }: CheckpointParts): void {
  const until = performance.now() + BARRIER_TRY_MS;
  for (;;) {
    const result = writers.checkpoint("PASSIVE");
    // Not busy but incomplete: a long reader of the application pins the WAL, and nothing helps.
    if (!result.isBusy || performance.now() >= until) break;
  }
  // All is copied, and nobody can commit: this moves the reader.
  follower.step();
}

/** Cut a WAL file that grew large; nothing happens unless all of it is backfilled and nobody reads it. */
export function truncateWal({ writers }: CheckpointParts): void {
  writers.checkpoint("TRUNCATE");
}

function beginImmediate(connection: SqliteConnection): boolean {
  try {
    connection.exec("BEGIN IMMEDIATE");
    return true;
  } catch (error) {
    if (classifySqliteError(error) === "busy") return false;
    throw new Error(`cannot take the write lock: ${describeError(error)}`, { cause: error });
  }
}

function outcomeOf(follower: Follower): CheckpointOutcome {
  const index = follower.live.look();
  return { frameCount: index?.mxFrame ?? 0, backfilledCount: index?.backfilledCount ?? 0 };
}
