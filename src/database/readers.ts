/**
 * The read lock that is never let go: two read-only connections take turns, the new read transaction begins before
 * the old one ends. While one stands, nobody can restart the WAL past what it has seen.
 *
 * Read-only, so that the last one to close can't checkpoint and delete the WAL.
 *
 * @see docs/DESIGN.md, "The lossless checkpoint"
 */
import type { LiveFiles } from "./live_files.ts";
import { isFrozen, type Standing } from "./standing.ts";
import { BusyError } from "../errors.ts";
import { SqliteConnection } from "../runtime/sqlite.ts";

/**
 * A checkpointer that has just told that all is backfilled keeps readers off mark 0 for microseconds more, unless the
 * system gives its place to others then.
 */
const SURE_AFTER_MS = 10;

/** Two connections, one of which always holds a read transaction. */
export class Readers implements Disposable {
  readonly #live: LiveFiles;
  #holder: SqliteConnection | undefined;
  #other: SqliteConnection | undefined;
  #standing: Standing | undefined;
  /** Since when, if it stands frozen, readers of ours have stood so without a break. */
  #frozenSinceMs = 0;

  /** @param live its wal-index is read only after a read transaction has begun once */
  constructor(live: LiveFiles) {
    this.#live = live;
  }

  /** Begin the first read transaction. SQLite makes `-wal` and `-shm` where they are missing. */
  begin(): void {
    const connection = this.#open();
    try {
      beginReading(connection);
    } catch (error) {
      connection.close();
      throw error;
    }
    this.#holder = connection;
  }

  #open(): SqliteConnection {
    const connection = openByPath(this.#live, "read-only");
    connection.shrink();
    return connection;
  }

  /** Where the reader stands. */
  get standing(): Standing | undefined {
    return this.#standing;
  }

  /**
   * Begin a new read transaction, then end the old one. Everything up to the old one's mark must be copied.
   *
   * @returns where the new one stands
   * @throws {Error} SQLite's own, or {BusyError}; the old reader then stands as before
   */
  move(): Standing {
    const before = this.#live.look();
    const next = this.#other ??= this.#open();
    beginReading(next);
    const after = this.#live.look();
    if (after === undefined) {
      endReading(next);
      throw new BusyError("the wal-index is not consistent");
    }
    const old = this.#holder!;
    this.#holder = next;
    this.#other = old;
    endReading(old);
    const nowMs = performance.now();
    const stoodFrozen = this.#standing !== undefined && isFrozen(this.#standing);
    if (!stoodFrozen) this.#frozenSinceMs = nowMs;
    // Two moves within one turn would meet the same checkpointer.
    const wasFrozen = stoodFrozen && nowMs - this.#frozenSinceMs >= SURE_AFTER_MS;
    this.#standing = { before, after, wasFrozen };
    return this.#standing;
  }

  /**
   * Mend a wal-index that a killed writer left half-published: a read transaction that begins recovers it. The
   * standing reader stays, since not all that it pins may be copied.
   */
  repair(): void {
    const connection = this.#other ??= this.#open();
    beginReading(connection);
    endReading(connection);
  }

  /** Whether the connection that does not stand is open. */
  get hasIdle(): boolean {
    return this.#other !== undefined;
  }

  /** Close the connection that does not stand; the next move opens it again. */
  closeIdle(): void {
    this.#other?.close();
    this.#other = undefined;
  }

  /** End and close both. */
  close(): void {
    this.closeIdle();
    this.#holder?.close();
    this.#holder = undefined;
    this.#standing = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * A connection to the database that `live` holds.
 *
 * @throws {IdentityError} when its path names another file by now
 */
export function openByPath(live: LiveFiles, access: "read-only" | "read-write"): SqliteConnection {
  const connection = new SqliteConnection(live.path, { access });
  try {
    live.requireSame();
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/**
 * Begin a read transaction on `connection`.
 *
 * A refusal leaves it open and without a transaction: an application that asks for EXCLUSIVE mode keeps new
 * connections out, but not those that are there.
 */
export function beginReading(connection: SqliteConnection): void {
  connection.exec("BEGIN");
  try {
    // BEGIN is lazy; the read makes it stand.
    connection.exec("PRAGMA user_version");
  } catch (error) {
    connection.exec("ROLLBACK");
    throw error;
  }
}

/** End the read transaction of `connection`. */
export function endReading(connection: SqliteConnection): void {
  connection.exec("ROLLBACK");
}
