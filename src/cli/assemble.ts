/** Builds the objects of a run from its configuration; the only file that knows concrete stores. */
import { replicaFields } from "./replica_fields.ts";
import { Semaphore } from "../async.ts";
import type { DatabaseConfig, ReplicaConfig } from "../config/configuration.ts";
import { UsageError } from "../errors.ts";
import { LiveDatabase } from "../database/database.ts";
import { databaseOptions, replicaPace, replicatorLimits } from "./run_options.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics.ts";
import type { ReplicaOptions } from "../replicate/replica_options.ts";
import { Replicator, type ReplicatorReplica } from "../replicate/replicator.ts";
import { type Files, type FileStat, systemFiles } from "../runtime/files.ts";
import { parentFolder } from "../runtime/paths.ts";
import { environment } from "../runtime/process.ts";
import { FileStore } from "../storage/file_store.ts";
import type { FilePermissions } from "../storage/file_root.ts";
import type { ObjectStore } from "../storage/object_store.ts";
import { PacedStore } from "../storage/paced_store.ts";
import { ReplicaClient } from "../storage/replica_client.ts";
import { sharesDevice } from "../storage/shares_device.ts";

/** Snapshots of all databases that run at once: each holds its WAL and compresses on the same cores. */
const SNAPSHOT_COUNT = 2;

/** What a run takes beside its configuration. */
export interface RunParts {
  readonly logger: Logger;
  readonly metrics?: Metrics | undefined;
  readonly onSnapshotProgress?: ReplicaOptions["onSnapshotProgress"];
}

/** What a replica takes beside its configuration. */
export interface ReplicaParts {
  /** Whose mode and owner new files take. */
  readonly databasePath?: string | undefined;
  readonly files?: Files;
  readonly logger: Logger;
  readonly metrics?: Metrics | undefined;
}

/**
 * A client of the replica, with the keys that its objects are encrypted with. Nothing is sent yet.
 *
 * @throws {UsageError} for a type that is still to come, or settings that can't be used
 */
export async function openReplica(config: ReplicaConfig, parts: ReplicaParts): Promise<ReplicaClient> {
  const { identities, recipients, name, uploadBandwidth } = config;
  const bare = await openStore(config, parts);
  const store = uploadBandwidth === undefined
    ? bare
    : new PacedStore(bare, { bytesPerSecond: uploadBandwidth });
  if (identities.length === 0 && recipients.length === 0) return new ReplicaClient(store, name);
  const { createAgeCipher } = await import("../codec/age.ts");
  return new ReplicaClient(store, name, { cipher: createAgeCipher({ identities, recipients }) });
}

/** Clients that are closed together. */
export interface OpenReplicas extends AsyncDisposable {
  readonly clients: readonly ReplicaClient[];
}

/**
 * Clients of several replicas.
 *
 * @throws {UsageError} as `openReplica()`
 */
export async function openReplicas(
  configs: readonly ReplicaConfig[],
  parts: ReplicaParts,
): Promise<OpenReplicas> {
  await using opening = new AsyncDisposableStack();
  const clients: ReplicaClient[] = [];
  for (const config of configs) {
    const client = await openReplica(config, parts);
    opening.use(client.store);
    clients.push(client);
  }
  const opened = opening.move();
  return { clients, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** The store of a replica; credentials that the configuration lacks come from where AWS's own tools look for them. */
async function openStore(
  config: ReplicaConfig,
  { databasePath, files = systemFiles, logger, metrics }: ReplicaParts,
): Promise<ObjectStore> {
  if (config.type === "s3") {
    const { openS3Store } = await import("../storage/s3/open.ts");
    return openS3Store(config, { env: environment(), files, logger, metrics });
  }
  if (config.type === "file") {
    return new FileStore({
      root: config.path,
      files,
      mustExist: config.mustExist,
      permissions: databasePath === undefined ? () => undefined : () => permissionsOf(databasePath, files),
    });
  }
  throw new UsageError(
    `replica ${config.name}: type ${config.type} is not in this version yet: it replicates to folders and to S3`,
  );
}

/** New objects are as readable as the database, new folders as the database's folder. */
function permissionsOf(databasePath: string, files: Files): FilePermissions | undefined {
  const file = files.statSync(databasePath);
  const folder = files.statSync(parentFolder(databasePath));
  if (file === undefined || folder === undefined) return undefined;
  return {
    fileMode: file.mode,
    folderMode: folder.mode,
    fileOwner: ownerOf(file),
    folderOwner: ownerOf(folder),
  };
}

function ownerOf({ uid, gid }: FileStat): { uid: number; gid: number } {
  return { uid, gid };
}

/**
 * All databases of a run with their replicas; what they share they share over the whole run.
 *
 * @throws {UsageError} as `openReplica()`
 */
export async function assembleReplicators(
  databases: readonly DatabaseConfig[],
  parts: RunParts,
): Promise<Replicator[]> {
  const snapshots = new Semaphore(SNAPSHOT_COUNT);
  const replicators: Replicator[] = [];
  for (const config of databases) replicators.push(await assembleReplicator(config, { ...parts, snapshots }));
  return replicators;
}

async function assembleReplicator(
  config: DatabaseConfig,
  { logger, metrics, snapshots, onSnapshotProgress }: RunParts & { snapshots: Semaphore },
): Promise<Replicator> {
  const { path } = config;
  const database = new LiveDatabase({ ...databaseOptions(config), logger, metrics });
  logger.info("initialized db", { path });
  const replicas: ReplicatorReplica[] = [];
  for (const replica of config.replicas) {
    const client = await openReplica(replica, { databasePath: path, logger, metrics });
    logger.info("replicating to", await replicaFields(replica));
    // A snapshot that is slow on its way would hold the WAL for as long as the upload takes.
    const isFast = replica.type === "file" && replica.uploadBandwidth === undefined;
    const stagePath = isFast ? undefined : database.meta.path;
    const pace = replicaPace(replica);
    replicas.push({ client, logger, metrics, snapshots, onSnapshotProgress, stagePath, ...pace });
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
