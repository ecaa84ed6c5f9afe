/** Builds the objects of a run from its configuration. */
import { openReplica } from "./open_replica.ts";
import { replicaFields } from "./replica_fields.ts";
import { Semaphore } from "../async.ts";
import type { DatabaseConfig } from "../config/configuration.ts";
import { LiveDatabase } from "../database/database.ts";
import { databaseOptions, replicaPace, replicatorLimits } from "./run_options.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics.ts";
import type { ReplicaOptions } from "../replicate/replica_options.ts";
import { Replicator, type ReplicatorReplica } from "../replicate/replicator.ts";
import type { Clock } from "../runtime/clock.ts";
import { systemFiles } from "../runtime/files.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";
import { sharesDevice } from "../storage/shares_device.ts";

/** Snapshots of all databases that run at once: each holds its WAL and compresses on the same cores. */
const SNAPSHOT_COUNT = 2;

/**
 * Replicas of all databases that are restored at once to be looked at: with one interval for all, all are due together,
 * and the temporary space has room for one of them, as far as each can tell.
 */
const PROOF_COUNT = 1;

/** Replicas whose objects retention has in memory at once: a busy one has hundreds of thousands. */
const LISTING_COUNT = 2;

/** What a run takes beside its configuration. */
export interface RunParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics?: Metrics | undefined;
  readonly onSnapshotProgress?: ReplicaOptions["onSnapshotProgress"];
}

/**
 * All databases of a run with their replicas; what they share they share over the whole run.
 *
 * @throws {UnopenedReplicaError} as `openReplica()`
 */
export async function assembleReplicators(
  databases: readonly DatabaseConfig[],
  parts: RunParts,
): Promise<Replicator[]> {
  const snapshots = new Semaphore(SNAPSHOT_COUNT);
  const proofs = new Semaphore(PROOF_COUNT);
  const listings = new Semaphore(LISTING_COUNT);
  const replicators: Replicator[] = [];
  for (const config of databases) {
    replicators.push(await assembleReplicator(config, { ...parts, snapshots, proofs, listings }));
  }
  return replicators;
}

async function assembleReplicator(
  config: DatabaseConfig,
  { logger, metrics, snapshots, proofs, listings, clock, onSnapshotProgress }: RunParts & {
    snapshots: Semaphore;
    proofs: Semaphore;
    listings: Semaphore;
  },
): Promise<Replicator> {
  const { path } = config;
  const database = new LiveDatabase({ ...databaseOptions(config), clock, logger, metrics });
  logger.info("initialized db", { path });
  const replicas: ReplicatorReplica[] = [];
  for (const replica of config.replicas) {
    const client = await openReplica(replica, { databasePath: path, logger, metrics });
    logger.info("replicating to", await replicaFields(replica));
    // A snapshot that is slow on its way would hold the WAL for as long as the upload takes.
    const isFast = replica.type === "file" && replica.uploadBandwidth === undefined;
    const stagePath = isFast ? undefined : database.meta.path;
    const { syncIntervalMs, duties } = replicaPace(replica);
    replicas.push({
      client,
      logger,
      metrics,
      snapshots,
      onSnapshotProgress,
      stagePath,
      syncIntervalMs,
      duties: { ...duties, turns: proofs, listings },
    });
    await warnOfSharedDevice(client, { path, logger });
  }
  return new Replicator({ database, replicas, ...replicatorLimits(config), logger });
}

async function warnOfSharedDevice(
  client: ReplicaClient,
  { path, logger }: { path: string; logger: Logger },
): Promise<void> {
  if (client.store.type !== "file") return;
  if (!await sharesDevice(systemFiles, { root: client.store.place, databasePath: path })) return;
  logger.warn("the replica lies on the database's own device: both are lost together when it fails", {
    db: path,
    replica: client.name,
    path: client.store.place,
  });
}
