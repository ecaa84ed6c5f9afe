/** What `walbrook restore` does. */
import { KEEP_TRYING_MS, openSoundReplicas } from "./open_replica.ts";
import type { Output } from "./command.ts";
import { type RestoreRequest, STANDARD_OUTPUT } from "./restore.ts";
import { formatPlan, planJson, skippedJson, summaryJson } from "./restore_text.ts";
import { findSource } from "./source.ts";
import { transferProgress } from "./transfer_progress.ts";
import { NoBackupsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { formatPosition } from "../position.ts";
import { momentsAround, prepareRestore } from "../restore/prepare.ts";
import type { RestoreTarget } from "../restore/plan.ts";
import { restore, type RestoreSummary } from "../restore/restore.ts";
import { systemFiles } from "../runtime/files.ts";
import { linkTarget } from "../runtime/open_files.ts";
import { join } from "../runtime/paths.ts";
import { type EndSignal, exitProcess, expandPath, onSignal, writeOutputBytes } from "../runtime/process.ts";
import { makeTemporaryFolder } from "../runtime/temporary_folder.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** What all forms of a restore take. */
interface Run {
  readonly request: RestoreRequest;
  readonly clients: readonly ReplicaClient[];
  readonly logger: Logger;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** Restore; returns the exit code. */
export async function runRestore(request: RestoreRequest, output: Output): Promise<number> {
  const { isDryRun, isJson } = request;
  // Standard output is then the result's alone.
  const isResultOutput = isDryRun || isJson || request.outputPath === STANDARD_OUTPUT;
  const logOutput = isResultOutput ? { ...output, writeRecord: output.writeError } : output;
  const { replicas, database, logger } = await findSource(request.source, logOutput);
  const path = outputPathOf(request, database?.path);
  const skip = (reason: string, fields?: { path: string }): number => {
    logger.info(reason, fields);
    if (isJson) output.writeOutput(skippedJson(reason));
    return 0;
  };
  if (path !== undefined && request.ifDatabaseNotExists && await exists(path)) {
    return skip("database already exists, skipping", { path });
  }
  const aborting = new AbortController();
  let signalCount = 0;
  using _signals = onSignal(["SIGINT", "SIGTERM"], (signal: EndSignal) => {
    if (++signalCount > 1) exitProcess(1);
    aborting.abort(new Error(`stopped by ${signal}, nothing was restored`));
  });
  await using opened = await openSoundReplicas(replicas, { logger, keepTryingMs: KEEP_TRYING_MS });
  const run: Run = { request, clients: opened.clients, logger, output, signal: aborting.signal };
  try {
    if (isDryRun) await printPlan(run, path);
    else if (path === undefined) await restoreToOutput(run);
    else {
      const summary = await restoreToFile(run, path);
      if (isJson) output.writeOutput(summaryJson(summary, { outputPath: path }));
    }
  } catch (error) {
    if (!(error instanceof NoBackupsError)) throw error;
    // In one of those there may be what was looked for.
    if (opened.unopened.length > 0) throw opened.unopened[0]!;
    if (!request.ifReplicaExists) throw error;
    return skip("no matching backups found");
  }
  return 0;
}

/** `undefined` for standard output. */
function outputPathOf(
  { outputPath }: RestoreRequest,
  databasePath: string | undefined,
): string | undefined {
  if (outputPath === STANDARD_OUTPUT) return undefined;
  return outputPath === undefined ? databasePath! : expandPath(outputPath);
}

async function exists(path: string): Promise<boolean> {
  return await systemFiles.stat(path) !== undefined;
}

/** Also by a symbolic link that leads to nothing. */
async function isTaken(path: string): Promise<boolean> {
  return await exists(path) || linkTarget(path) !== undefined;
}

async function printPlan(
  { request, clients, logger, output, signal }: Run,
  path: string | undefined,
): Promise<void> {
  const { generation } = request;
  const target = targetOf(request);
  const prepared = await prepareRestore({ clients, target, generation, logger, signal });
  const shown = {
    moments: await momentsAround(prepared),
    output: { path: path ?? "-", exists: path !== undefined && await isTaken(path) },
  };
  output.writeOutput(request.isJson ? planJson(prepared, shown) : formatPlan(prepared, shown));
}

async function restoreToFile(
  { request, clients, logger, output, signal }: Run,
  outputPath: string,
): Promise<RestoreSummary> {
  using progress = transferProgress(`restoring ${outputPath}`, output);
  const summary = await restore({
    clients,
    outputPath,
    target: targetOf(request),
    generation: request.generation,
    parallelism: request.parallelism,
    mode: request.mode,
    owner: request.owner,
    integrityCheck: request.integrityCheck,
    logger,
    progress: progress.tell,
    signal,
  });
  explainMoment(summary, { request, logger });
  return summary;
}

/** Nothing goes out before the whole database is there and checked. */
async function restoreToOutput(run: Run): Promise<void> {
  const { signal } = run;
  await using folder = await makeTemporaryFolder(systemFiles, { purpose: "restore" });
  const path = join(folder.path, "database");
  await restoreToFile(run, path);
  using file = await systemFiles.open(path, { access: "read" });
  const buffer = new Uint8Array(256 * 1024);
  for (let position = 0;;) {
    const count = await file.read(buffer, position);
    if (count === 0) break;
    await writeOutputBytes(buffer.subarray(0, count), { signal });
    position += count;
  }
}

/** Where a moment that was asked for has led: commits are stored in segments, and one is restored whole or not at all. */
function explainMoment(
  { moments, momentAt, lastPosition }: RestoreSummary,
  { request: { timestamp }, logger }: Pick<Run, "request" | "logger">,
): void {
  if (timestamp === undefined || moments === undefined) return;
  const { nextAt, latestAt } = moments;
  const message = nextAt === undefined
    ? "restored the newest state: there is nothing after it up to the moment"
    : "restored to the last segment that is complete at the moment";
  logger.info(message, {
    moment: timestamp,
    position: formatPosition(lastPosition),
    reached: momentAt,
    next: nextAt,
    latest: latestAt,
  });
}

function targetOf({ index, timestamp }: RestoreRequest): RestoreTarget {
  if (index !== undefined) return { kind: "index", index };
  return timestamp === undefined ? { kind: "latest" } : { kind: "moment", at: timestamp };
}
