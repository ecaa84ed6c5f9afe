/** Opens the stores of replicas; the only file that knows concrete ones. */
import type { ReplicaConfig } from "../config/configuration.ts";
import { UnopenedReplicaError, UsageError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics.ts";
import { type Files, type FileStat, systemFiles } from "../runtime/files.ts";
import { parentFolder } from "../runtime/paths.ts";
import { environment } from "../runtime/process.ts";
import type { FilePermissions } from "../storage/file_root.ts";
import { FileStore } from "../storage/file_store.ts";
import type { ObjectStore } from "../storage/object_store.ts";
import { ReplicaClient } from "../storage/replica_client.ts";

/** What a replica takes beside its configuration. */
export interface ReplicaParts {
  /** Whose mode and owner new files take. */
  readonly databasePath?: string | undefined;
  readonly files?: Files;
  readonly logger: Logger;
  readonly metrics?: Metrics | undefined;
  /** How long a server that has answered before may fail, in milliseconds. Default: no longer than a few tries take. */
  readonly keepTryingMs?: number | undefined;
}

/** For what nobody begins again by itself: a server that is restarted, or a line that is away for a moment. */
export const KEEP_TRYING_MS = 60_000;

/**
 * A client of the replica, with the keys that its objects are encrypted with. Nothing is sent yet.
 *
 * @throws {UnopenedReplicaError} for a type that is still to come, or settings that can't be used
 */
export async function openReplica(config: ReplicaConfig, parts: ReplicaParts): Promise<ReplicaClient> {
  try {
    return await openClient(config, parts);
  } catch (cause) {
    throw new UnopenedReplicaError(config.name, { cause });
  }
}

async function openClient(config: ReplicaConfig, parts: ReplicaParts): Promise<ReplicaClient> {
  const { identities, recipients, name, uploadBandwidth } = config;
  const bare = await openStore(config, parts);
  const store = uploadBandwidth === undefined ? bare : await paced(bare, uploadBandwidth);
  if (identities.length === 0 && recipients.length === 0) return new ReplicaClient(store, name);
  const { createAgeCipher } = await import("../codec/age.ts");
  return new ReplicaClient(store, name, { cipher: createAgeCipher({ identities, recipients }) });
}

async function paced(store: ObjectStore, bytesPerSecond: number): Promise<ObjectStore> {
  const { PacedStore } = await import("../storage/paced_store.ts");
  return new PacedStore(store, { bytesPerSecond });
}

/** Clients that are closed together. */
export interface OpenReplicas extends AsyncDisposable {
  readonly clients: readonly ReplicaClient[];
  /** Why the others are passed over; each has been told in a warning. */
  readonly unopened: readonly UnopenedReplicaError[];
}

/**
 * Clients of several replicas.
 *
 * @throws {UnopenedReplicaError} as `openReplica()`
 */
export function openReplicas(configs: readonly ReplicaConfig[], parts: ReplicaParts): Promise<OpenReplicas> {
  return openEach(configs, (config) => openReplica(config, parts));
}

/**
 * Clients of those replicas that can be opened, a warning for each of the others.
 *
 * @throws {UnopenedReplicaError} for the first one where there are some and none can be opened
 */
export async function openSoundReplicas(
  configs: readonly ReplicaConfig[],
  parts: ReplicaParts,
): Promise<OpenReplicas> {
  const unopened: UnopenedReplicaError[] = [];
  const opened = await openEach(configs, async (config) => {
    try {
      return await openReplica(config, parts);
    } catch (error) {
      if (!(error instanceof UnopenedReplicaError)) throw error;
      unopened.push(error);
      return undefined;
    }
  });
  if (opened.clients.length === 0 && unopened.length > 0) throw unopened[0]!;
  for (const { replica, cause } of unopened) {
    parts.logger.warn("replica cannot be opened, going on with the others", { replica, error: cause });
  }
  return { ...opened, unopened };
}

async function openEach(
  configs: readonly ReplicaConfig[],
  open: (config: ReplicaConfig) => Promise<ReplicaClient | undefined>,
): Promise<OpenReplicas> {
  await using opening = new AsyncDisposableStack();
  const clients: ReplicaClient[] = [];
  for (const config of configs) {
    const client = await open(config);
    if (client === undefined) continue;
    opening.use(client.store);
    clients.push(client);
  }
  const opened = opening.move();
  return { clients, unopened: [], [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** The store of a replica; credentials that the configuration lacks come from where AWS's own tools look for them. */
async function openStore(
  config: ReplicaConfig,
  { databasePath, files = systemFiles, logger, metrics, keepTryingMs }: ReplicaParts,
): Promise<ObjectStore> {
  if (config.type === "s3") {
    const { openS3Store } = await import("../storage/s3/open.ts");
    return openS3Store(config, { env: environment(), files, logger, metrics, keepTryingMs });
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
    `type ${config.type} is not in this version yet: it replicates to folders and to S3`,
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
