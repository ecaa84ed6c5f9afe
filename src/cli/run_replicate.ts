/** What `walbrook replicate` does: start, wait for a signal, send what is left, end. */
import { assembleReplicators } from "./assemble.ts";
import type { Output } from "./command.ts";
import { createLogger } from "./logger.ts";
import { ProgressLine } from "./progress.ts";
import type { ReplicateRequest } from "./replicate.ts";
import { VERSION } from "../version.ts";
import type { DatabaseConfig, ReplicaConfig } from "../config/configuration.ts";
import { databaseAtPath, replicaAtUrl } from "../config/url_replica.ts";
import { describeError, UsageError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Replicator } from "../replicate/replicator.ts";
import {
  type EndSignal,
  errorTerminalColumns,
  exitProcess,
  expandPath,
  isErrorTerminal,
  onSignal,
} from "../runtime/process.ts";
import { requireSafeSqlite } from "../runtime/sqlite.ts";

/** How long the last commits are tried for after a signal; container runtimes kill after ten seconds. */
const FINISH_MS = 8_000;

/** Replicate until a signal or until nothing is left that can be followed; returns the exit code. */
export async function runReplicate(request: ReplicateRequest, output: Output): Promise<number> {
  requireSafeSqlite();
  const { databases, logger } = await whatToReplicate(request, output);
  logger.info("walbrook", { version: VERSION });
  if (databases.length === 0) logger.error("no databases specified in configuration");
  const ended = Promise.withResolvers<EndSignal | undefined>();
  let signalCount = 0;
  using _signals = onSignal(["SIGINT", "SIGTERM"], (signal) => {
    // Whoever asks twice doesn't want to wait for the last uploads.
    if (++signalCount > 1) exitProcess(1);
    ended.resolve(signal);
  });
  // Timers of ours don't keep a process alive that only waits for its database.
  const keepAlive = setInterval(() => {}, 1 << 30);
  try {
    using progress = snapshotProgress(output);
    const replicators = await assembleReplicators(databases, { logger, onSnapshotProgress: progress.tell });
    await startAll(replicators);
    if (replicators.length > 0) {
      void Promise.all(replicators.map(untilStopped)).then(() => ended.resolve(undefined));
    }
    const signal = await ended.promise;
    if (signal !== undefined) logger.info("signal received, walbrook shutting down", { signal });
    return await finish(replicators, logger);
  } finally {
    clearInterval(keepAlive);
  }
}

/** The databases of the command line, or else of the configuration file, and where records go. */
async function whatToReplicate(
  request: ReplicateRequest,
  output: Output,
): Promise<{ databases: readonly DatabaseConfig[]; logger: Logger }> {
  if (request.database === undefined) {
    const { loadConfiguration } = await import("./load_configuration.ts");
    const { configuration, logger } = loadConfiguration(request, output);
    return { databases: configuration.databases, logger };
  }
  const { path, replicas } = request.database;
  const configs = replicas.map(({ name, address }) => replicaAtUrl(address, { name, expandPath }));
  refuseRepeated(configs);
  const databases = [databaseAtPath(expandPath(path), configs)];
  return { databases, logger: createLogger({ write: output.writeError }) };
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

/** The first database that can't be taken up ends all. */
async function startAll(replicators: readonly Replicator[]): Promise<void> {
  for (const [at, replicator] of replicators.entries()) {
    try {
      await replicator.start();
    } catch (error) {
      const signal = AbortSignal.timeout(FINISH_MS);
      await Promise.allSettled(replicators.slice(0, at).map((started) => started.finish({ signal })));
      throw error;
    }
  }
}

/** Resolves when the database can't be followed any more. */
async function untilStopped({ database }: Replicator): Promise<void> {
  while (database.state.kind !== "stopped") await database.changed.token;
}

async function finish(replicators: readonly Replicator[], logger: Logger): Promise<number> {
  const signal = AbortSignal.timeout(FINISH_MS);
  const failures = await Promise.all(replicators.map((replicator) => finishOne(replicator, signal)));
  const errors = failures.filter((error) => error !== undefined);
  for (const error of errors) logger.error("failed to run", { error: describeError(error) });
  if (errors.length > 0) return 1;
  logger.info("walbrook shut down");
  return 0;
}

/** @returns why the database's last commits, or any after some point, are not in its replicas */
async function finishOne(replicator: Replicator, signal: AbortSignal): Promise<unknown> {
  const { state } = replicator.database;
  try {
    await replicator.finish({ signal });
  } catch (error) {
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
      write: output.writeError,
    });
    line.add(done - before);
    before = done;
    if (done >= total) close();
  };
  return { tell, [Symbol.dispose]: close };
}
