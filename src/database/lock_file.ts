/**
 * A locked file, by whatever names it has: an empty SQLite file in `BEGIN EXCLUSIVE`. The lock dies with its process.
 *
 * It belongs to the file, not to a name. So the lock file of the first database serves all further ones of the same
 * device and owner as a hard link, and one connection holds any number of databases. Where the file system knows no
 * hard links, each database has a file and a connection of its own.
 */
import { classifySqliteError, SqliteConnection } from "../runtime/sqlite.ts";
import { type Files, type FileStat, isSameFile, systemCode } from "../runtime/files.ts";

/** Another process may be taking over one of several names of a file that a killed one has left; it needs a moment. */
const BUSY_TIMEOUT_MS = 100;

/** What `LockFile.take` needs to know. */
export interface LockFileOptions {
  readonly files: Files;
  /** Mode of a new file. */
  readonly mode: number;
  /** Files of different owners don't share a lock. */
  readonly owner: string;
  /** Give the file at a path to its owner. */
  readonly adopt: (path: string) => void;
}

/** Locked files that further names may be given to, by device and owner. */
const shared = new Map<string, LockFile>();

/** One locked file of this process. */
export class LockFile {
  readonly #connection: SqliteConnection;
  readonly #stat: FileStat;
  readonly #files: Files;
  /** Those that are locks now. */
  readonly #names = new Set<string>();

  private constructor(connection: SqliteConnection, stat: FileStat, files: Files) {
    this.#connection = connection;
    this.#stat = stat;
    this.#files = files;
  }

  /**
   * Lock `path`, which is made where it isn't there.
   *
   * @returns `undefined` when somebody else put another file there meanwhile: try again
   * @throws {Error} SQLite's `busy` when it is locked
   */
  static take(path: string, options: LockFileOptions): LockFile | undefined {
    const { files } = options;
    if (files.statSync(path) === undefined) makeFile(path, options);
    const stat = files.statSync(path);
    if (stat === undefined) return undefined;
    const key = `${stat.device} ${options.owner}`;
    const known = shared.get(key);
    if (known !== undefined && known.#takeBack(path)) return known;
    // Ours under this very name is busy below, as anybody else's.
    using own = LockFile.#open(path, files);
    if (own === undefined) return undefined;
    if (known !== undefined && known.#replace(path)) return known;
    if (own.#stat.linkCount === 1) return own.#keep(path, { key, options });
    // A killed process left it, and its other names must not be locked with this one.
    const temporary = temporaryName(path);
    let isPlaced = false;
    try {
      makeFile(temporary, options);
      using fresh = LockFile.#open(temporary, files);
      if (fresh === undefined) return undefined;
      files.renameSync(temporary, path);
      isPlaced = true;
      return fresh.#keep(path, { key, options });
    } finally {
      if (!isPlaced) files.removeSync(temporary);
    }
  }

  static #open(path: string, files: Files): LockFile | undefined {
    const before = files.statSync(path);
    if (before === undefined) return undefined;
    const connection = lock(path, files);
    const lockFile = new LockFile(connection, before, files);
    let isSame = false;
    try {
      // The same number before and after is the same file, since the one that we hold open keeps its own.
      isSame = lockFile.isAt(path);
    } finally {
      if (!isSame) connection.close();
    }
    return isSame ? lockFile : undefined;
  }

  #keep(path: string, { key, options }: { key: string; options: LockFileOptions }): LockFile {
    options.adopt(path);
    const known = shared.get(key);
    if (known === undefined || known.#linkableName() === undefined) shared.set(key, this);
    // Last, since what failed before lets go of it.
    this.#names.add(path);
    return this;
  }

  /** Put a link to this file in the place of the one at `path`; false where that can't be done. */
  #replace(path: string): boolean {
    const name = this.#linkableName();
    if (name === undefined) return false;
    const temporary = temporaryName(path);
    try {
      this.#files.linkSync(name, temporary);
      // A link to a symbolic link need not lead to the same file from here.
      if (this.isAt(temporary)) {
        this.#files.renameSync(temporary, path);
        this.#names.add(path);
        return true;
      }
    } catch {
      // No hard links here, or no more of them: the database keeps a file of its own.
    }
    this.#files.removeSync(temporary);
    return false;
  }

  /** Whether `path`, which is no lock now, names this file: it could not be removed when it was let go of. */
  #takeBack(path: string): boolean {
    if (this.#names.has(path) || !this.isAt(path)) return false;
    this.#names.add(path);
    return true;
  }

  #linkableName(): string | undefined {
    return [...this.#names].find((name) => this.isAt(name));
  }

  /** Whether `path` names this file. */
  isAt(path: string): boolean {
    return isSameFile(this.#files.statSync(path), this.#stat);
  }

  /** Let go of one name. The last one stays, as an unlocked file. */
  release(path: string): void {
    this.#names.delete(path);
    if (this.#names.size === 0) return this.#close();
    if (this.isAt(path)) this.#files.removeSync(path);
  }

  #close(): void {
    this.#connection.close();
    for (const [key, lockFile] of shared) if (lockFile === this) shared.delete(key);
  }

  /** Lets go of a file that no name was kept of. */
  [Symbol.dispose](): void {
    if (this.#names.size === 0) this.#close();
  }
}

function temporaryName(path: string): string {
  return `${path}.${crypto.randomUUID()}.tmp`;
}

function makeFile(path: string, { files, mode }: LockFileOptions): void {
  try {
    files.openSync(path, { access: "create-new", mode }).close();
  } catch (error) {
    // Somebody was quicker; to open that file and close it again could drop a lock of ours.
    if (systemCode(error) !== "EEXIST") throw error;
  }
}

/**
 * Lock the file at `path`. What somebody wrote into it is thrown away first: we never write there, and SQLite takes
 * what it can only read, or what is in WAL mode, for something to lock differently.
 */
function lock(path: string, files: Files): SqliteConnection {
  if (holdsAnything(path, files)) empty(path, files);
  return tryLock(path);
}

function holdsAnything(path: string, files: Files): boolean {
  const stat = files.statSync(path);
  return stat !== undefined && stat.isFile && stat.size > 0;
}

/**
 * Empty a file that nobody has locked. It stays the same file, so that of two who do this at one moment still only one
 * can lock it.
 */
function empty(path: string, files: Files): void {
  try {
    tryLock(path).close();
  } catch (error) {
    if (classifySqliteError(error) === "busy") throw error;
  }
  using file = files.openSync(path, { access: "read-write" });
  file.truncateSync(0);
}

function tryLock(path: string): SqliteConnection {
  const connection = new SqliteConnection(path, { access: "create", busyTimeoutMs: BUSY_TIMEOUT_MS });
  try {
    // On a full disk this fails, for want of a journal, and says so: nothing that comes after it would.
    connection.exec("BEGIN EXCLUSIVE");
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}
