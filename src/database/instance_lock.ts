/**
 * One of us per database: a file in the meta directory that is locked as long as we follow it, see `LockFile`.
 * Whatever somebody wrote into the file is thrown away.
 */
import { LockFile } from "./lock_file.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { explainMetaError } from "./open.ts";
import { type Files, systemCode } from "../runtime/files.ts";
import { join } from "../runtime/paths.ts";
import { classifySqliteError } from "../runtime/sqlite.ts";

/** How often others may put another file there while we try to lock it. */
const MAX_TRIES = 10;

/** The locked file has lost its name: the next walbrook would find nothing to wait for. */
export class LostLockError extends Error {
  override readonly name = "LostLockError";
}

/** The lock of one database. */
export class InstanceLock {
  readonly #meta: MetaDirectory;
  readonly #databasePath: string;
  readonly #files: Files;
  #lockFile: LockFile | undefined;
  #wasTaken = false;

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
    return this.#lockFile !== undefined;
  }

  /** Whether the file that is locked still has its name. */
  get isThere(): boolean {
    return this.#lockFile?.isAt(this.#path) ?? false;
  }

  /** @throws {LostLockError} when it hasn't */
  requireThere(): void {
    if (!this.isThere) throw new LostLockError(`the lock ${this.#path} was removed or replaced`);
  }

  /**
   * Make the meta directory where it isn't there, and take the lock in it; what a killed process left is removed
   * the first time.
   *
   * @throws {Error} when another walbrook holds it, or we can't write there
   * @throws {WaitError} while the disk is full
   */
  take(): void {
    this.release();
    this.#meta.adoptPermissions(this.#databasePath);
    try {
      this.#meta.create();
      this.#lockFile = this.#acquire();
      // Later they may be ours.
      if (!this.#wasTaken) this.#meta.removeTemporaryFiles();
      this.#wasTaken = true;
    } catch (error) {
      throw explainMetaError(this.#meta, error);
    }
  }

  #acquire(): LockFile {
    try {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const lockFile = LockFile.take(this.#path, {
          files: this.#files,
          mode: this.#meta.fileMode,
          owner: this.#meta.fileOwner,
          adopt: (path) => this.#meta.adoptFile(path),
        });
        if (lockFile !== undefined) return lockFile;
      }
    } catch (error) {
      throw this.#explain(error);
    }
    throw new Error(`cannot take the lock ${this.#path}: others put another file there again and again`);
  }

  #explain(error: unknown): unknown {
    // SQLite's errors have a code of the runtime's, which says nothing.
    if (systemCode(error)?.startsWith("ERR_") === false) return error;
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
    this.#lockFile?.release(this.#path);
    this.#lockFile = undefined;
  }
}
