/**
 * One of us per database: a tiny SQLite file in the meta directory, held with `BEGIN EXCLUSIVE`. It works on every
 * platform, and the lock dies with its process.
 */
import { classifySqliteError, SqliteConnection } from "../runtime/sqlite.ts";
import { join } from "../runtime/paths.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import type { Files } from "../runtime/files.ts";

/**
 * Take the lock of a database; dispose of what is returned to let it go.
 *
 * @throws {Error} when another walbrook holds it
 */
export function acquireInstanceLock(meta: MetaDirectory, databasePath: string): Disposable {
  const path = lockPath(meta);
  let connection: SqliteConnection | undefined;
  try {
    connection = new SqliteConnection(path, { access: "create" });
    connection.exec("BEGIN EXCLUSIVE");
    meta.adoptFile(path);
    return connection;
  } catch (error) {
    connection?.close();
    if (classifySqliteError(error) === "busy") {
      throw new Error(
        `${databasePath} is replicated by another walbrook already: stop that one first (it holds ${path})`,
      );
    }
    throw new Error(`cannot take the lock ${path}`, { cause: error });
  }
}

/** Whether the file that is locked still has its name; without it another walbrook would find nothing to wait for. */
export function isInstanceLockThere(meta: MetaDirectory, files: Files): boolean {
  return files.statSync(lockPath(meta)) !== undefined;
}

function lockPath(meta: MetaDirectory): string {
  return join(meta.path, "walbrook.lock");
}
