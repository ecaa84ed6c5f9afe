/** What the commands that list a replica's objects have in common. */
import { openReplica } from "./open_replica.ts";
import type { Output } from "./command.ts";
import type { ListingRequest } from "./listing_request.ts";
import { findSource } from "./source.ts";
import { formatJson, formatTable } from "./table.ts";
import type { DatabaseConfig } from "../config/configuration.ts";
import { describeError, UnopenedReplicaError, UsageError } from "../errors.ts";
import { blockingFiles } from "../runtime/blocking_files.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** How one replica is listed, an `Item` for each line. */
export interface Lister<Item> {
  readonly header: readonly string[];
  /** Rejections say what could not be listed. */
  readonly list: (client: ReplicaClient, database: DatabaseConfig | undefined) => Promise<Item[]>;
  /** One line of a table; `replica` is the name of the replica. */
  readonly cells: (item: Item, replica: string) => readonly string[];
  /** The same for programs. */
  readonly value: (item: Item, replica: string) => unknown;
}

/**
 * List each replica of the source and print all rows together. A replica that can't be opened or listed is told on
 * standard error and passed over.
 *
 * @returns the exit code: 1 when a replica was passed over
 * @throws {UnopenedReplicaError} when there is only one and it can't be opened
 */
export async function runListing<Item>(
  { source, isJson }: ListingRequest,
  output: Output,
  { header, list, cells, value }: Lister<Item>,
): Promise<number> {
  // Standard output is the listing's alone.
  const toError: Output = { ...output, writeRecord: output.writeError };
  const { replicas, database, logger } = await findSource(source, toError);
  const rows: (readonly string[])[] = [];
  const values: unknown[] = [];
  let exitCode = 0;
  for (const replica of replicas) {
    try {
      const client = await openReplica(replica, { logger, files: blockingFiles });
      await using _ = client.store;
      // One by one: as arguments of one call a million are too many.
      for (const item of await list(client, database)) {
        if (isJson) values.push(value(item, client.name));
        else rows.push(cells(item, client.name));
      }
    } catch (error) {
      // A database that isn't there is no fault of the replica.
      if (error instanceof UsageError) throw error;
      const isUnopened = error instanceof UnopenedReplicaError;
      if (isUnopened && replicas.length === 1) throw error;
      const why = isUnopened ? error.cause : error;
      logger.error("cannot list replica", { replica: replica.name, error: describeError(why) });
      exitCode = 1;
    }
  }
  output.writeOutput(isJson ? formatJson(values) : formatTable(header, rows));
  return exitCode;
}
