/**
 * SQLite through `node:sqlite`, which Deno and Bun both bring along.
 *
 * Deno gives an error's text but not its code, so errors are told apart by SQLite's own messages. A database is
 * opened by a `file:` URL with a mode, since a plain open of a missing path makes an empty file.
 */
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { startThread } from "./thread.ts";

/** What went wrong in SQLite, as far as a caller can act on it. */
export type SqliteProblem =
  | "busy"
  | "cannot open"
  | "not a database"
  | "read-only"
  | "full"
  | "io"
  | "corrupt"
  /** The schema needs a function, collation or module of the application's own. */
  | "unknown extension"
  | "other";

/** SQLite 3.7.0 to 3.51.2 can corrupt a WAL database when two connections checkpoint at one moment. */
const OLDEST_SAFE_VERSION = [3, 51, 3] as const;

const PROBLEM_TEXTS: readonly (readonly [RegExp, SqliteProblem])[] = [
  [/database (table |schema )?is locked|locking protocol/, "busy"],
  [/unable to open database file/, "cannot open"],
  [/file is not a database|file is encrypted/, "not a database"],
  [/readonly database|access permission denied/, "read-only"],
  [/database or disk is full/, "full"],
  [/disk I\/O error/, "io"],
  [/malformed/, "corrupt"],
  [/^(no such collation sequence|unknown function|no such module)/, "unknown extension"],
];

/** Tell SQLite's errors apart by their text. */
export function classifySqliteError(error: unknown): SqliteProblem {
  const message = error instanceof Error ? error.message : String(error);
  return PROBLEM_TEXTS.find(([pattern]) => pattern.test(message))?.[1] ?? "other";
}

/** How a connection is opened. */
export interface ConnectionOptions {
  /** `create` makes the file when it isn't there; the others refuse. */
  readonly access: "read-only" | "read-write" | "create";
  /** How long a statement waits for a lock; SQLite blocks the whole thread meanwhile. Default 0. */
  readonly busyTimeoutMs?: number;
}

/** The row of `PRAGMA wal_checkpoint`. */
export interface CheckpointResult {
  /** Whether the checkpoint was kept from starting. */
  readonly isBusy: boolean;
  /** Frames in the WAL; −1 when it isn't one. */
  readonly frameCount: number;
  /** Frames that are in the database file now. */
  readonly backfilledCount: number;
}

/** One connection. Every call blocks the thread until SQLite is done. */
export class SqliteConnection implements Disposable {
  #database: DatabaseSync;
  #isClosed = false;

  /** @throws {Error} SQLite's own, see `classifySqliteError` */
  constructor(readonly path: string, { access, busyTimeoutMs = 0 }: ConnectionOptions) {
    const { location, readOnly } = locate(path, access);
    this.#database = new DatabaseSync(location, { timeout: busyTimeoutMs, readOnly });
  }

  /**
   * Give back the cache of a connection that is there for its locks and reads no pages to speak of.
   *
   * Bun's SQLite takes room for twenty pages at the first read, of which a locking reader uses one: with 4 KiB pages
   * more than half of what a connection costs. No room is taken for a cache of two, but setting that reads the schema,
   * which is dropped again. Deno's SQLite takes none. Only outside of a transaction.
   */
  shrink(): void {
    if (!("Bun" in globalThis)) return;
    try {
      this.exec("PRAGMA cache_size = 2; PRAGMA writable_schema = RESET; PRAGMA shrink_memory");
    } catch {
      // A comfort. What is wrong, a lock or a damaged schema, is told by what the connection was opened for.
    }
  }

  /** Run statements; rows are dropped. */
  exec(sql: string): void {
    this.#database.exec(sql);
  }

  /** The first column of the first row; `undefined` without one. */
  value(sql: string): unknown {
    const row = this.#database.prepare(sql).get();
    return row === undefined ? undefined : Object.values(row)[0];
  }

  /** Run a checkpoint; a busy one is an answer, not an error. */
  checkpoint(mode: "PASSIVE" | "FULL" | "RESTART" | "TRUNCATE"): CheckpointResult {
    const row = this.#database.prepare(`PRAGMA wal_checkpoint(${mode})`).get() ?? {};
    const [busy, log, checkpointed] = Object.values(row).map(Number);
    return { isBusy: busy !== 0, frameCount: log ?? -1, backfilledCount: checkpointed ?? -1 };
  }

  /** Safe to call twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#database.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The version of the SQLite in this runtime, `3.53.2`. */
export function sqliteVersion(): string {
  using connection = new SqliteConnection(":memory:", { access: "create" });
  return String(connection.value("SELECT sqlite_version()"));
}

/** Whether `version` has the fix of SQLite's WAL-reset bug. */
export function isSafeSqliteVersion(version: string): boolean {
  const parts = version.split(".").map(Number);
  for (const [at, least] of OLDEST_SAFE_VERSION.entries()) {
    const part = parts[at] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}

/** @throws {Error} when this runtime's SQLite may corrupt the database it checkpoints */
export function requireSafeSqlite(version: string = sqliteVersion()): void {
  if (isSafeSqliteVersion(version)) return;
  throw new Error(
    `SQLite ${version} of this runtime can corrupt a database in WAL mode (fixed in ` +
      `${OLDEST_SAFE_VERSION.join(".")}): use a newer Deno or Bun`,
  );
}

/**
 * Whether a database may be opened by a URL. Deno takes it for the name of a file in the working folder when it looks
 * whether that may be read, unless everything may be.
 */
function takesUrls(): boolean {
  const { Deno } = globalThis as { Deno?: { permissions: { querySync(wanted: object): { state: string } } } };
  return Deno === undefined ||
    ["read", "write"].every((name) => Deno.permissions.querySync({ name }).state === "granted");
}

/**
 * What SQLite is to open: a URL, which has its mode in it, where those are taken, otherwise the path. A file that goes
 * away just before SQLite opens its path to write would be made anew, empty: URLs are the better way.
 *
 * @throws {Error} as SQLite would, when a file that must be there is not
 */
function locate(path: string, access: ConnectionOptions["access"]): { location: string; readOnly: boolean } {
  if (takesUrls()) return { location: databaseUrl(path, access), readOnly: false };
  if (access === "read-write" && !existsSync(path)) throw new Error("unable to open database file");
  return { location: path, readOnly: access === "read-only" };
}

function databaseUrl(path: string, access: ConnectionOptions["access"]): string {
  if (path === ":memory:") return path;
  const mode = { "read-only": "ro", "read-write": "rw", "create": "rwc" }[access];
  // SQLite decodes %XX, ends the path at ? and #, and folds a leading //.
  const escaped = encodeURI(path).replaceAll("?", "%3f").replaceAll("#", "%23");
  return `file:${escaped}?mode=${mode}`;
}

/** Runs in a thread of its own. */
const INTEGRITY_SOURCE = `
const { DatabaseSync } = await import("node:sqlite");
self.onmessage = ({ data }) => {
  let answer;
  try {
    const database = new DatabaseSync(data.location);
    try {
      database.prepare("PRAGMA schema_version").get();
      self.postMessage("open");
      const row = database.prepare("PRAGMA " + data.pragma + "(1)").get();
      answer = { result: String(Object.values(row)[0]) };
    } finally {
      database.close();
    }
  } catch (error) {
    answer = { failure: String(error?.message ?? error) };
  }
  self.postMessage(answer);
};
self.postMessage("ready");
`;

/** How much SQLite looks at: `quick` leaves out whether indexes hold what their tables do. */
export type IntegrityCheck = "quick" | "full";

const INTEGRITY_PRAGMAS: Readonly<Record<IntegrityCheck, string>> = {
  quick: "quick_check",
  full: "integrity_check",
};

/**
 * SQLite's own check of a database that nobody else has open, in another thread: it can take minutes.
 *
 * No signal ends the thread amid a statement, so the `-wal` and `-shm` may still be there when this rejects with its
 * reason. They are then for the caller to remove, and don't come back: the thread has opened them, or never will.
 *
 * @param options.kind default `full`
 * @returns `ok`, or the first thing that is wrong
 * @throws {Error} SQLite's own when it can't be checked, see `classifySqliteError`; the signal's reason
 */
export async function checkIntegrity(
  path: string,
  { kind = "full", signal }: { kind?: IntegrityCheck; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  signal?.throwIfAborted();
  const { location } = locate(path, "read-write");
  const worker = startThread(INTEGRITY_SOURCE);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let isOpening = false;
  const abort = () => isOpening || reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(`cannot check the integrity of ${path}: ${event.message}`));
  };
  worker.onmessage = ({ data }) => {
    if (data === "ready") {
      isOpening = true;
      worker.postMessage({ location, pragma: INTEGRITY_PRAGMAS[kind] });
      return;
    }
    isOpening = false;
    if (signal?.aborted) reject(signal.reason);
    else if (data === "open") return;
    else if (data.result !== undefined) resolve(data.result);
    else if (classifySqliteError(new Error(data.failure)) === "corrupt") resolve(data.failure);
    else reject(new Error(data.failure));
  };
  try {
    return await promise;
  } finally {
    signal?.removeEventListener("abort", abort);
    worker.terminate();
  }
}
