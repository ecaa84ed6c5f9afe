/**
 * Checkpoints that can't lose a commit: our reader stands throughout, and moves only onto what is copied.
 *
 * RESTART is never needed: when all is backfilled and our reader rests on mark 0, the application's next write
 * restarts the WAL by itself.
 *
 * @see docs/DESIGN.md, "The lossless checkpoint"
 */
import { type Follower, LostWalError } from "./follower.ts";
import type { LiveFiles } from "./live_files.ts";
import type { DatabaseMeter } from "./measure.ts";
import { openByPath } from "./readers.ts";
import { patienceWith, syncAhead } from "./sync_ahead.ts";
import { type CheckpointResult, classifySqliteError, type SqliteConnection } from "../runtime/sqlite.ts";
import { sleep } from "../async.ts";
import { describeError } from "../errors.ts";

/** How long PASSIVE is tried again behind a barrier: the application may be checkpointing itself. */
const BARRIER_TRY_MS = 25;

/** Barriers in a row that leave no more than the last commits to somebody who reads them. */
const BARRIER_TRY_COUNT = 5;

/** Frames that are backfilled behind a barrier at once, in far less than a millisecond. */
const SMALL_BACKLOG = 100;

/** Frames that are worth it to bring them to the disk beside other work, before a checkpoint does and blocks it. */
const LARGE_BACKLOG = 2000;

/** Rounds of copying and backfilling before the write lock is tried for: each leaves what was committed meanwhile. */
const MOST_ROUNDS = 4;

/** Tries of the write lock without a pause, some 20 µs each, and how many of them in a row without seeing a commit. */
const SPIN_COUNT = 100;
const STILL_COUNT = 10;

/** How long the write lock is tried for unless told otherwise. */
const BUSY_TIMEOUT_MS = 1000;

/** What a checkpoint came to. */
export interface CheckpointOutcome {
  /** Frames in the WAL, and how many of them are in the database file now. */
  readonly frameCount: number;
  readonly backfilledCount: number;
  /** Whether somebody else was checkpointing, so that nothing was done. */
  readonly isBusy?: boolean;
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
   * run once another file was put in place: its pages would be overwritten with those of our WAL. Nor where the WAL is
   * not the one of the wal-index, by which SQLite takes the pages out of it without a look at what stands there.
   *
   * @throws {IdentityError} or {LostWalError} then
   */
  checkpoint(mode: "PASSIVE" | "TRUNCATE"): CheckpointResult {
    const startMs = performance.now();
    let hasFailed = true;
    try {
      this.#checkpointer ??= this.#open();
      this.#live.requireSame();
      if (!this.#live.walBelongs()) throw new LostWalError();
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

/**
 * Copy, move, PASSIVE, move: succeeds in the gaps of a quiet application and costs a busy one nothing.
 *
 * @param isOver whether there is no time left for it, because the WAL grows too fast; it is not gone on with then
 * @param takeTurn waited for before what blocks everything; what it gives is disposed of afterwards
 */
export async function checkpointPolitely(
  { follower, writers }: CheckpointParts,
  isOver: () => boolean = () => false,
  takeTurn?: () => Promise<Disposable>,
): Promise<CheckpointOutcome> {
  let synced = await syncLargeBacklog(follower, isOver);
  let turn = await takeTurn?.();
  try {
    // Others may have had theirs for long.
    for (let round = 1; turn !== undefined && round < MOST_ROUNDS; round++) {
      await follower.catchUp();
      if (outcomeOf(follower).frameCount - synced.frameCount <= LARGE_BACKLOG) break;
      turn[Symbol.dispose]();
      synced = await syncLargeBacklog(follower, isOver);
      turn = await takeTurn?.();
    }
    if (synced.wasLarge && isOver()) return outcomeOf(follower);
    return await checkpointNow({ follower, writers });
  } finally {
    turn?.[Symbol.dispose]();
  }
}

/** @returns up to which frame the next checkpoint has little left to bring to the disk, and whether it had much */
async function syncLargeBacklog(
  follower: Follower,
  isOver: () => boolean,
): Promise<{ readonly frameCount: number; readonly wasLarge: boolean }> {
  await follower.catchUp();
  const { frameCount } = outcomeOf(follower);
  if (backlogOf(follower) <= LARGE_BACKLOG) return { frameCount, wasLarge: false };
  await syncAhead(follower, isOver);
  await follower.catchUp();
  return { frameCount, wasLarge: true };
}

async function checkpointNow({ follower, writers }: CheckpointParts): Promise<CheckpointOutcome> {
  follower.moveUp();
  const { isBusy } = writers.checkpoint("PASSIVE");
  await follower.catchUp();
  return { ...outcomeOf(follower), isBusy };
}

/**
 * Hold the application's writers off for a few milliseconds, so that all of the WAL can be copied and backfilled.
 *
 * @returns `undefined` when the write lock could not be had
 */
export async function checkpointBehindBarrier(
  parts: CheckpointParts,
): Promise<CheckpointOutcome | undefined> {
  const { follower } = parts;
  const isOver = patienceWith(follower);
  let isInVain = false;
  // What can be backfilled without holding anybody off is done first; the barrier then is short. Where the application
  // has done it, each of its commits until the barrier is paid for with another checkpoint.
  const before = async () => {
    await follower.catchUp();
    if (!isInVain) isInVain = !await backfillAhead(parts, isOver);
  };
  for (let tryNumber = 1;; tryNumber++) {
    const outcome = await behindBarrier(parts, () => {
      backfill(parts);
      return outcomeOf(follower);
    }, { before });
    // A writer lets go of the write lock before its read mark. Where it has lost the processor in between, its last
    // commit can't be backfilled; it is not for us to hold everybody off until then.
    const left = outcome === undefined ? 0 : outcome.frameCount - outcome.backfilledCount;
    if (left === 0 || left > SMALL_BACKLOG || tryNumber === BARRIER_TRY_COUNT) return outcome;
    await sleep(1);
  }
}

/**
 * Copy and backfill while the application goes on, in rounds: each has less to do, until what is committed meanwhile
 * is as much as the round itself has done, or the WAL grows too fast.
 *
 * @returns whether that is of use: not where a long reader pins the WAL
 */
async function backfillAhead(parts: CheckpointParts, isOver: () => boolean): Promise<boolean> {
  let backlog = backlogOf(parts.follower);
  for (let round = 0; backlog > SMALL_BACKLOG && round < MOST_ROUNDS && !isOver(); round++) {
    const last = backlog;
    const { backfilledCount } = outcomeOf(parts.follower);
    const after = await checkpointPolitely(parts, isOver);
    if (after.backfilledCount === backfilledCount && after.isBusy !== true) return false;
    backlog = after.frameCount - after.backfilledCount;
    if (backlog > last / 2) break;
  }
  return true;
}

/**
 * Call `act` while nobody can write and everything committed is copied. `act` must not wait.
 *
 * @param options.before what comes before each try of the write lock; it must copy. Default: only that
 * @returns what `act` returns; `undefined` when the write lock could not be had
 */
export async function behindBarrier<T>(
  { follower, writers }: CheckpointParts,
  act: () => T,
  { before = () => follower.catchUp() }: { before?: () => Promise<void> } = {},
): Promise<T | undefined> {
  const until = performance.now() + writers.busyTimeoutMs;
  for (;;) {
    await before();
    const barrier = writers.barrier;
    if (!beginInAGap(barrier, follower.live)) {
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

/**
 * Take the write lock. Who commits as fast as he can lets go of it for microseconds only, but does so all the time: it
 * is tried for again at once, as long as commits come.
 */
function beginInAGap(connection: SqliteConnection, live: LiveFiles): boolean {
  let index = live.look();
  let stillCount = 0;
  for (let count = 0; count < SPIN_COUNT && stillCount < STILL_COUNT; count++) {
    if (beginImmediate(connection)) return true;
    const now = live.look();
    stillCount = now === index ? stillCount + 1 : 0;
    index = now;
  }
  return false;
}

function backlogOf(follower: Follower): number {
  const { frameCount, backfilledCount } = outcomeOf(follower);
  return frameCount - backfilledCount;
}

function outcomeOf(follower: Follower): CheckpointOutcome {
  const index = follower.live.look();
  return { frameCount: index?.mxFrame ?? 0, backfilledCount: index?.backfilledCount ?? 0 };
}
