/** What `walbrook replicate` does: start, wait for a signal, send what is left, end. */
import { assembleReplicator } from "./assemble.ts";
import type { Output } from "./command.ts";
import { createLogger } from "./logger.ts";
import { ProgressLine } from "./progress.ts";
import type { ReplicateRequest } from "./replicate.ts";
import { VERSION } from "../version.ts";
import { describeError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Replicator } from "../replicate/replicator.ts";
import { systemClock } from "../runtime/clock.ts";
import { releaseProgramCodeRegularly } from "../runtime/memory.ts";
import {
  type EndSignal,
  errorTerminalColumns,
  exitProcess,
  isErrorTerminal,
  onSignal,
} from "../runtime/process.ts";
import { requireSafeSqlite } from "../runtime/sqlite.ts";

/** How long the last commits are tried for after a signal; container runtimes kill after ten seconds. */
const FINISH_MS = 8_000;

/** Replicate until a signal or until nothing is left that can be followed; returns the exit code. */
export async function runReplicate(request: ReplicateRequest, output: Output): Promise<number> {
  requireSafeSqlite();
  const logger = createLogger({ write: output.writeError });
  logger.info("walbrook", { version: VERSION });
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
    const replicator = await assembleReplicator(request, { logger, onSnapshotProgress: progress.tell });
    await replicator.start();
    using _memory = releaseProgramCodeRegularly(systemClock);
    void untilStopped(replicator).then(() => ended.resolve(undefined));
    const signal = await ended.promise;
    if (signal !== undefined) logger.info("signal received, walbrook shutting down", { signal });
    return await finish(replicator, logger);
  } finally {
    clearInterval(keepAlive);
  }
}

/** Resolves when the database can't be followed any more. */
async function untilStopped({ database }: Replicator): Promise<void> {
  while (database.state.kind !== "stopped") await database.changed.token;
}

async function finish(replicator: Replicator, logger: Logger): Promise<number> {
  const stopped = replicator.database.state;
  try {
    await replicator.finish({ signal: AbortSignal.timeout(FINISH_MS) });
  } catch (error) {
    logger.error("failed to run", { error: describeError(error) });
    return 1;
  }
  if (stopped.kind === "stopped") {
    logger.error("failed to run", { error: describeError(stopped.error) });
    return 1;
  }
  logger.info("walbrook shut down");
  return 0;
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
