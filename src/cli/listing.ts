/** What the commands that list a replica's objects have in common. */
import { openReplica } from "./open_replica.ts";
import type { Output } from "./command.ts";
import type { ListingRequest } from "./listing_request.ts";
import { findSource } from "./source.ts";
import { formatJson, formatTable } from "./table.ts";
import type { DatabaseConfig } from "../config/configuration.ts";
import { describeError, UsageError } from "../errors.ts";
import { blockingFiles } from "../runtime/blocking_files.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** One line of a listing: its cells for a table, and the same for programs. */
export interface ListingRow {
  readonly cells: readonly string[];
  readonly value: unknown;
}

/** How one replica is listed. */
export interface Lister {
  readonly header: readonly string[];
  /** Rejections say what could not be listed. */
  readonly list: (client: ReplicaClient, database: DatabaseConfig | undefined) => Promise<ListingRow[]>;
}

/**
 * List each replica of the source and print all rows together. A replica that can't be listed is told on standard
 * error and passed over.
 *
 * @returns the exit code: 1 when a replica was passed over
 */
export async function runListing(
  { source, isJson }: ListingRequest,
  output: Output,
  { header, list }: Lister,
): Promise<number> {
  // Standard output is the listing's alone.
  const toError: Output = { ...output, writeOutput: output.writeError };
  const { replicas, database, logger } = await findSource(source, toError);
  const rows: ListingRow[] = [];
  let exitCode = 0;
  for (const replica of replicas) {
    try {
      const client = await openReplica(replica, { logger, files: blockingFiles });
      await using _ = client.store;
      rows.push(...await list(client, database));
    } catch (error) {
      // A database that isn't there is no fault of the replica.
      if (error instanceof UsageError) throw error;
      logger.error("cannot list replica", { replica: replica.name, error: describeError(error) });
      exitCode = 1;
    }
  }
  const text = isJson
    ? formatJson(rows.map(({ value }) => value))
    : formatTable(header, rows.map(({ cells }) => cells));
  output.writeOutput(text);
  return exitCode;
}
