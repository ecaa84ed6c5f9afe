/** Builds the objects of a run from what was asked for; the only file that knows concrete stores. */
import type { ReplicateRequest } from "./replicate.ts";
import { Semaphore } from "../async.ts";
import { UsageError } from "../errors.ts";
import { LiveDatabase } from "../database/database.ts";
import type { Logger } from "../logger.ts";
import type { ReplicaOptions } from "../replicate/replica_loop.ts";
import { Replicator } from "../replicate/replicator.ts";
import { type Files, type FileStat, systemFiles } from "../runtime/files.ts";
import { parentFolder } from "../runtime/paths.ts";
import { environment, expandPath } from "../runtime/process.ts";
import { FileStore } from "../storage/file_store.ts";
import type { FilePermissions } from "../storage/file_root.ts";
import type { ObjectStore } from "../storage/object_store.ts";
import { ReplicaClient } from "../storage/replica_client.ts";
import type { SupportedReplicaUrl } from "../storage/replica_url.ts";
import { sharesDevice } from "../storage/shares_device.ts";

/** Snapshots of all databases that run at once: each holds its WAL and compresses on the same cores. */
const SNAPSHOT_COUNT = 2;

/** What a run takes beside the request. */
export interface RunParts {
  readonly logger: Logger;
  readonly onSnapshotProgress?: ReplicaOptions["onSnapshotProgress"];
}

/** What a store takes beside its address. */
interface StoreParts {
  /** Whose mode and owner new files take. */
  readonly databasePath?: string | undefined;
  readonly files?: Files;
  readonly logger: Logger;
}

/** The store that a replica's address names; credentials come from where AWS's own tools look for them. */
export async function openStore(
  address: SupportedReplicaUrl,
  { databasePath, files = systemFiles, logger }: StoreParts,
): Promise<ObjectStore> {
  if (address.type === "s3") {
    const { openS3Store } = await import("../storage/s3/open.ts");
    const { host, path } = address;
    return openS3Store({ urlHost: host, path }, { env: environment(), files, logger });
  }
  return new FileStore({
    root: expandPath(address.path),
    files,
    permissions: databasePath === undefined ? () => undefined : () => permissionsOf(databasePath, files),
  });
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

/** One database with the replicas of a `replicate` command line. */
export async function assembleReplicator(request: ReplicateRequest, parts: RunParts): Promise<Replicator> {
  const { logger } = parts;
  const path = expandPath(request.databasePath);
  refuseRepeated(request);
  const database = new LiveDatabase({ path, logger });
  logger.info("initialized db", { path });
  const snapshots = new Semaphore(SNAPSHOT_COUNT);
  const replicas = await Promise.all(request.replicas.map(async ({ name, address }) => {
    const client = new ReplicaClient(await openStore(address, { databasePath: path, logger }), name);
    logger.info("replicating to", {
      name,
      type: client.store.type,
      "sync-interval": "1s",
      path: client.store.place,
    });
    const { onSnapshotProgress } = parts;
    // A snapshot on its way to a server would hold the WAL for as long as the upload takes.
    const stagePath = client.store.type === "file" ? undefined : database.meta.path;
    return { client, logger, snapshots, onSnapshotProgress, stagePath };
  }));
  for (const { client } of replicas) await warnOfSharedDevice(client, { path, logger });
  return new Replicator({ database, replicas, logger });
}

/** Two loops on one place would each take the other's objects for their own. */
function refuseRepeated({ replicas }: ReplicateRequest): void {
  const places = replicas.map(({ address }) =>
    address.type === "file" ? expandPath(address.path) : `${address.type}://${address.host}/${address.path}`
  );
  const repeated = places.find((place, at) => places.indexOf(place) !== at);
  if (repeated === undefined) return;
  throw new UsageError(`replica ${repeated} is given twice: give each replica a place of its own`);
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
