/** What `walbrook replicate` does: start, wait for a signal or for the child, send what is left, end. */
import { assembleReplicators } from "./assemble.ts";
import type { Output } from "./command.ts";
import { EndSignals } from "./end_signals.ts";
import { type ChildFailure, execWords, startExec, untilChildEnded } from "./exec_child.ts";
import { createLogger } from "./logger.ts";
import { observe } from "./observe.ts";
import { ProgressLine } from "./progress.ts";
import type { ReplicateRequest } from "./replicate.ts";
import { VERSION } from "../version.ts";
import type { Configuration, DatabaseConfig, ReplicaConfig } from "../config/configuration.ts";
import { splitExecCommand } from "../config/exec_words.ts";
import { databaseAtPath, replicaAtUrl } from "../config/url_replica.ts";
import { defaultMetaPath } from "../database/meta_directory.ts";
import { describeError, UsageError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Replicator } from "../replicate/replicator.ts";
import { systemClock } from "../runtime/clock.ts";
import { releaseMemoryRegularly } from "../runtime/memory.ts";
import { join } from "../runtime/paths.ts";
import { errorTerminalColumns, expandPath, isErrorTerminal } from "../runtime/process.ts";
import { SharedTicks } from "../runtime/shared_ticks.ts";
import { requireSafeSqlite } from "../runtime/sqlite.ts";

/** How long the last commits are tried for at the end; container runtimes kill ten seconds after their signal. */
const FINISH_MS = 8_000;

/** The same when it is known already that something stays behind. */
const HURRIED_FINISH_MS = 1_000;

/** What to replicate, beside which program, and where records go. */
interface Run extends Partial<Pick<Configuration, "addr" | "health">> {
  readonly databases: readonly DatabaseConfig[];
  /** The program of `exec` with its arguments. */
  readonly words?: readonly string[] | undefined;
  readonly logger: Logger;
  /** Tell why the run fails. */
  readonly fail: (text: string) => void;
}

/**
 * Replicate until a signal, the child's end, or until nothing is left that can be followed; returns the exit code,
 * which is the child's if that one failed.
 */
export async function runReplicate(request: ReplicateRequest, output: Output): Promise<number> {
  requireSafeSqlite();
  const run = await whatToReplicate(request, output);
  const { databases, logger, addr, health, fail } = run;
  // Before the first record, at which somebody may already tell us to end; not while a configuration is waited for.
  using signals = new EndSignals();
  logger.info("walbrook", { version: VERSION });
  if (databases.length === 0) logger.error("no databases specified in configuration");
  // Timers of ours don't keep a process alive that only waits for its database.
  const keepAlive = setInterval(() => {}, 1 << 30);
  try {
    if (request.restoresMissing) {
      const { restoreMissing } = await import("./restore_missing.ts");
      await restoreMissing(databases, { logger, signal: signals.aborted });
    }
    using progress = snapshotProgress(output);
    const observer = await observe({ addr, limits: health, logger });
    const { metrics } = observer;
    const onSnapshotProgress = progress.tell;
    const clock = new SharedTicks(systemClock);
    const replicators = await assembleReplicators(databases, { clock, logger, metrics, onSnapshotProgress });
    await startAll(replicators, logger);
    using _memory = releaseMemoryRegularly(clock);
    await using _watch = await observer.watch(replicators);
    if (request.isOnce) return await finishOnce(replicators, { logger, signals, fail });
    const failure = await untilEnd(run, { replicators, signals });
    const exitCode = await finish(replicators, { logger, fail, limitMs: FINISH_MS });
    if (failure === undefined) return exitCode;
    fail(failure.message);
    return failure.exitCode;
  } finally {
    clearInterval(keepAlive);
  }
}

/** The databases and the program of the command line, or else of the configuration file. */
async function whatToReplicate(request: ReplicateRequest, output: Output): Promise<Run> {
  const { exec } = request;
  if (request.database === undefined) {
    const { loadConfiguration } = await import("./load_configuration.ts");
    const { configuration, logger } = loadConfiguration(request, output);
    const { databases, exec: configuredExec, addr, health, logging } = configuration;
    const fail = failureTeller(logger, logging.stderr ? undefined : output);
    if (request.isOnce) return { databases, logger, fail };
    const run = { databases, addr, health, logger, fail };
    if (exec !== undefined) return { ...run, words: execWords(exec, logger) };
    // What is wrong or ignored in it was said with its line.
    const words = configuredExec === undefined ? undefined : splitExecCommand(configuredExec).words;
    return { ...run, words };
  }
  const { path, replicas } = request.database;
  const logger = createLogger({ write: output.writeError });
  const configs = replicas.map(({ name, address }) => replicaAtUrl(address, { name, expandPath }));
  refuseRepeated(configs);
  const database = databaseAtPath(expandPath(path), configs);
  refuseOwnPlaces(database);
  const words = exec === undefined ? undefined : execWords(exec, logger);
  return { databases: [database], words, logger, fail: failureTeller(logger) };
}

/** @param output where a failure is told beside the log, which goes elsewhere */
function failureTeller(logger: Logger, output?: Output): (text: string) => void {
  return (text) => {
    logger.error("failed to run", { error: text });
    output?.writeError(`walbrook replicate: ${text}\n`);
  };
}

/** Two loops on one place would each take the other's objects for their own. */
function refuseRepeated(replicas: readonly ReplicaConfig[]): void {
  const places = replicas.map((replica) =>
    replica.type === "s3" ? `s3://${replica.urlHost}/${replica.path}` : replica.path
  );
  const repeated = places.find((place, at) => places.indexOf(place) !== at);
  if (repeated === undefined) return;
  throw new UsageError(`replica ${repeated} is given twice: give each replica a place of its own`);
}

/** Where walbrook cleans up by itself, a replica would be cleaned up with the rest. */
function refuseOwnPlaces({ path, replicas }: DatabaseConfig): void {
  const folders = replicas.flatMap((replica) => replica.type === "file" ? [replica.path] : []);
  const metaPath = defaultMetaPath(path);
  const own = [metaPath, ...folders.map((folder) => join(folder, "generations"))];
  for (const folder of folders) {
    const above = own.find((one) => folder === one || folder.startsWith(`${one}/`));
    if (above === undefined && folder !== path) continue;
    const what = above === undefined
      ? "is the database itself"
      : `lies in ${above}, where walbrook cleans up`;
    throw new UsageError(`replica ${folder} ${what}: give the replica a folder elsewhere`);
  }
}

/**
 * A database that can't be taken up, and never will, doesn't keep the others from being followed; the exit code tells of
 * it.
 *
 * @throws {unknown} why the first of them can't, where none can
 */
async function startAll(replicators: readonly Replicator[], logger: Logger): Promise<void> {
  const failures: { readonly path: string; readonly error: unknown }[] = [];
  for (const replicator of replicators) {
    try {
      await replicator.start();
    } catch (error) {
      failures.push({ path: replicator.database.path, error });
    }
  }
  const [first] = failures;
  if (first !== undefined && failures.length === replicators.length) throw first.error;
  for (const { path, error } of failures) {
    logger.error("database is not replicated, the others are; start walbrook again once it is mended", {
      db: path,
      error: describeError(error),
    });
  }
}

/** Wait for what ends the run, and for what a child left; one that can't be started ends it too. */
async function untilEnd(
  { words, logger }: Run,
  { replicators, signals }: { replicators: readonly Replicator[]; signals: EndSignals },
): Promise<ChildFailure | undefined> {
  if (words !== undefined && !signals.aborted.aborted) {
    // A database that can't be followed any more doesn't end the application; the exit code tells of it.
    try {
      const failure = await untilChildEnded(await startExec(words), { signals, logger });
      await untilAllSent(replicators, { signals, logger });
      return failure;
    } catch (error) {
      return { message: describeError(error), exitCode: 1 };
    }
  }
  const stopped = Promise.all(replicators.map(untilStopped)).then(() => undefined);
  const signal = await Promise.race(replicators.length > 0 ? [signals.first, stopped] : [signals.first]);
  if (signal !== undefined) logger.info("signal received, walbrook shutting down", { signal });
  return undefined;
}

/** Nobody asked a child to hurry that ended by itself: what it left is waited for, until a signal asks. */
async function untilAllSent(
  replicators: readonly Replicator[],
  { signals, logger }: { signals: EndSignals; logger: Logger },
): Promise<void> {
  if (signals.aborted.aborted) return;
  const { untilSent } = await import("./replicate_once.ts");
  await untilSent(replicators, { signal: signals.aborted, logger });
  if (!signals.aborted.aborted) return;
  logger.info("signal received, walbrook shutting down", { signal: await signals.first });
}

/** Resolves when the database can't be followed any more. */
async function untilStopped({ database }: Replicator): Promise<void> {
  while (database.state.kind !== "stopped") await database.changed.token;
}

/** Send all that there is, and end; 1 when something stayed behind. */
async function finishOnce(
  replicators: readonly Replicator[],
  { logger, signals, fail }: Pick<Run, "logger" | "fail"> & { signals: EndSignals },
): Promise<number> {
  const { untilSynced } = await import("./replicate_once.ts");
  const failures = await untilSynced(replicators, { signal: signals.aborted, logger });
  for (const failure of failures) fail(failure);
  // The others have what there was; what came since must not wait for those that fail.
  const limitMs = failures.length === 0 ? FINISH_MS : HURRIED_FINISH_MS;
  const exitCode = await finish(replicators, { logger, fail, limitMs });
  return failures.length === 0 ? exitCode : 1;
}

async function finish(
  replicators: readonly Replicator[],
  { logger, fail, limitMs }: Pick<Run, "logger" | "fail"> & { limitMs: number },
): Promise<number> {
  const signal = AbortSignal.timeout(limitMs);
  const failures = await Promise.all(
    replicators.map((replicator) => finishOne(replicator, { signal, logger })),
  );
  const [error] = failures.filter((error) => error !== undefined);
  if (error !== undefined) {
    fail(describeError(error));
    return 1;
  }
  logger.info("walbrook shut down");
  return 0;
}

/** @returns why the database's last commits, or any after some point, are not in its replicas */
async function finishOne(
  replicator: Replicator,
  { signal, logger }: { signal: AbortSignal; logger: Logger },
): Promise<unknown> {
  const { state, path } = replicator.database;
  try {
    await replicator.finish({ signal });
  } catch (error) {
    logger.error("error closing db", { db: path, error: describeError(error) });
    return error;
  }
  return state.kind === "stopped" ? state.error : undefined;
}

/** A line for the snapshot that is being written; databases share it, as one is the usual case. */
function snapshotProgress(output: Output): Disposable & { tell: (done: number, total: number) => void } {
  let line: ProgressLine | undefined;
  let before = 0;
  const close = () => {
    line?.[Symbol.dispose]();
    line = undefined;
    before = 0;
  };
  const tell = (done: number, total: number) => {
    if (!isErrorTerminal()) return;
    line ??= new ProgressLine({
      label: "snapshot",
      totalBytes: total,
      isTerminal: true,
      columns: errorTerminalColumns(),
      write: output.writeStatus ?? output.writeError,
    });
    line.add(done - before);
    before = done;
    if (done >= total) close();
  };
  return { tell, [Symbol.dispose]: close };
}
