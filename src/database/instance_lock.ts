/**
 * One of us per database: a tiny SQLite file in the meta directory, held with `BEGIN EXCLUSIVE`. It works on every
 * platform, and the lock dies with its process. Whatever somebody wrote into the file is thrown away.
 */
import { classifySqliteError, SqliteConnection } from "../runtime/sqlite.ts";
import { join } from "../runtime/paths.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { explainMetaError } from "./open.ts";
import type { Files } from "../runtime/files.ts";

/** The lock of one database. */
export class InstanceLock {
  readonly #meta: MetaDirectory;
  readonly #databasePath: string;
  readonly #files: Files;
  #connection: SqliteConnection | undefined;

  constructor({ meta, databasePath, files }: { meta: MetaDirectory; databasePath: string; files: Files }) {
    this.#meta = meta;
    this.#databasePath = databasePath;
    this.#files = files;
  }

  get #path(): string {
    return join(this.#meta.path, "walbrook.lock");
  }

  /** Whether `take` has succeeded. */
  get isHeld(): boolean {
    return this.#connection !== undefined;
  }

  /** Whether the file that is locked still has its name; without it another walbrook would find nothing to wait for. */
  get isThere(): boolean {
    return this.#files.statSync(this.#path) !== undefined;
  }

  /**
   * Make the meta directory where it isn't there, and take the lock in it; what a killed process left is removed.
   *
   * @throws {Error} when another walbrook holds it, or we can't write there
   * @throws {WaitError} while the disk is full
   */
  take(): void {
    this.release();
    this.#meta.adoptPermissions(this.#databasePath);
    try {
      this.#meta.create();
      this.#connection = this.#acquire();
      this.#meta.removeTemporaryFiles();
    } catch (error) {
      throw explainMetaError(this.#meta, error);
    }
  }

  #acquire(): SqliteConnection {
    try {
      return this.#tryLock();
    } catch (error) {
      if (classifySqliteError(error) === "busy" || !this.#renew()) throw this.#explain(error);
    }
    try {
      return this.#tryLock();
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #tryLock(): SqliteConnection {
    const connection = new SqliteConnection(this.#path, { access: "create" });
    try {
      connection.exec("BEGIN EXCLUSIVE");
      this.#meta.adoptFile(this.#path);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /**
   * Empty a file with which SQLite can do nothing: we never write into it, so nothing of worth is lost. It stays the
   * same file, so that of two who do this at one moment still only one can lock it.
   *
   * @returns false when it is empty already, or no file
   */
  #renew(): boolean {
    const stat = this.#files.statSync(this.#path);
    if (stat === undefined || !stat.isFile || stat.size === 0) return false;
    using file = this.#files.openSync(this.#path, { access: "read-write" });
    file.truncateSync(0);
    return true;
  }

  #explain(error: unknown): Error {
    if (classifySqliteError(error) !== "busy") {
      return new Error(`cannot take the lock ${this.#path}`, { cause: error });
    }
    return new Error(
      `${this.#databasePath} is replicated by another walbrook already: stop that one first ` +
        `(it holds ${this.#path})`,
    );
  }

  /** Let it go; safe to call when it isn't held. */
  release(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }
}
