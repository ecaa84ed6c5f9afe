/** What `replicate -restore-if-db-not-exists` does before anything else. */
import { KEEP_TRYING_MS, openReplicas } from "./open_replica.ts";
import type { DatabaseConfig } from "../config/configuration.ts";
import { NoBackupsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { restore } from "../restore/restore.ts";
import { systemFiles } from "../runtime/files.ts";

/**
 * Restore the newest state of each database whose file isn't there; one without a backup stays away.
 *
 * @throws {Error} for the first one that has a backup, or may have one, and can't be restored
 */
export async function restoreMissing(
  databases: readonly DatabaseConfig[],
  { logger, signal }: { logger: Logger; signal: AbortSignal },
): Promise<void> {
  for (const database of databases) {
    const { path } = database;
    if (await systemFiles.stat(path) !== undefined) {
      logger.info("database already exists, skipping", { path });
    } else if (database.replicas.length > 0) await restoreOne(database, { logger, signal });
  }
}

async function restoreOne(
  { path, replicas }: DatabaseConfig,
  { logger, signal }: { logger: Logger; signal: AbortSignal },
): Promise<void> {
  await using opened = await openReplicas(replicas, { logger, keepTryingMs: KEEP_TRYING_MS });
  try {
    await restore({ clients: opened.clients, outputPath: path, logger: logger.with({ db: path }), signal });
  } catch (error) {
    if (error instanceof NoBackupsError) logger.info("no matching backups found", { path });
    // Also of a database that is in place, but not safe from a power cut.
    else throw new Error(`restoring ${path}, which was missing`, { cause: error });
  }
}
