/** What `walbrook restore` does. */
import { openReplica } from "./assemble.ts";
import type { Output } from "./command.ts";
import type { RestoreRequest } from "./restore.ts";
import { findSource } from "./source.ts";
import { transferProgress } from "./transfer_progress.ts";
import { systemFiles } from "../runtime/files.ts";
import { type EndSignal, exitProcess, expandPath, onSignal } from "../runtime/process.ts";
import { NoBackupsError } from "../errors.ts";
import type { RestoreTarget } from "../restore/plan.ts";
import { restore, type RestoreOptions } from "../restore/restore.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** Restore; returns the exit code. */
export async function runRestore(request: RestoreRequest, output: Output): Promise<number> {
  const { replicas, database, logger } = await findSource(request.source, output);
  const outputPath = request.outputPath === undefined ? database!.path : expandPath(request.outputPath);
  if (request.ifDatabaseNotExists && await systemFiles.stat(outputPath) !== undefined) {
    logger.info("database already exists, skipping", { path: outputPath });
    return 0;
  }
  const aborting = new AbortController();
  let signalCount = 0;
  using _signals = onSignal(["SIGINT", "SIGTERM"], (signal: EndSignal) => {
    if (++signalCount > 1) exitProcess(1);
    aborting.abort(new Error(`stopped by ${signal}, nothing was restored`));
  });
  await using opened = new AsyncDisposableStack();
  const clients: ReplicaClient[] = [];
  for (const replica of replicas) {
    const client = await openReplica(replica, { logger });
    clients.push(client);
    opened.use(client.store);
  }
  using progress = transferProgress(`restoring ${outputPath}`, output);
  try {
    await restore({
      clients,
      outputPath,
      target: targetOf(request),
      generation: request.generation,
      parallelism: request.parallelism,
      mode: request.mode,
      owner: await ownerOf(request),
      logger,
      progress: progress.tell,
      signal: aborting.signal,
    });
  } catch (error) {
    if (!(error instanceof NoBackupsError && request.ifReplicaExists)) throw error;
    logger.info("no matching backups found");
  }
  return 0;
}

function targetOf({ index, timestamp }: RestoreRequest): RestoreTarget {
  if (index !== undefined) return { kind: "index", index };
  return timestamp === undefined ? { kind: "latest" } : { kind: "moment", at: timestamp };
}

/** Without a group the one of the folder's new files stays: that of the process. */
async function ownerOf({ owner }: RestoreRequest): Promise<RestoreOptions["owner"]> {
  if (owner === undefined) return undefined;
  return { uid: owner.uid, gid: owner.gid ?? (await systemFiles.stat("/proc/self"))?.gid ?? owner.uid };
}
