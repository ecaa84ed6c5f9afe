/** The program that `replicate -exec` starts and ends with. */
import type { EndSignals } from "./end_signals.ts";
import { describeError, UsageError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Child, ChildEnd } from "../runtime/child.ts";
import {
  type EndSignal,
  environmentVariable,
  exitProcess,
  setEnvironmentVariable,
  signalNumber,
} from "../runtime/process.ts";
import { credentialCopies } from "../config/environment.ts";
import { splitExecCommand } from "../config/exec_words.ts";

/** How a run ended that its child makes fail. */
export interface ChildFailure {
  readonly message: string;
  /** Ours too. */
  readonly exitCode: number;
}

/**
 * The words of a command from the command line; what is ignored of it is logged.
 *
 * @throws {UsageError} as `splitExecCommand()`
 */
export function execWords(command: string, logger: Logger): readonly string[] {
  const { words, ignored } = splitExecCommand(command);
  if (ignored !== undefined) {
    logger.warn("exec runs no shell, so a part of the command is ignored: put the commands into a script", {
      ignored,
    });
  }
  return words;
}

/**
 * Start it with our environment; credentials that are ours alone it finds under the names of AWS too.
 *
 * @throws {UsageError} when the program can't be started
 */
export async function startExec(words: readonly string[]): Promise<Child> {
  for (const [name, value] of credentialCopies(environmentVariable)) setEnvironmentVariable(name, value);
  try {
    const { startChild } = await import("../runtime/child.ts");
    return await startChild(words);
  } catch (error) {
    throw new UsageError(`cannot start exec command: ${describeError(error)}`);
  }
}

/**
 * Wait until the child has ended, by itself or because a signal of ours was sent on to it.
 *
 * @returns `undefined` when it succeeded, or died of that signal
 */
export async function untilChildEnded(
  child: Child,
  { signals, logger }: { signals: EndSignals; logger: Logger },
): Promise<ChildFailure | undefined> {
  const signal = await Promise.race([child.ended.then(() => undefined), signals.first]);
  if (signal === undefined) {
    logger.info("subprocess exited, walbrook shutting down");
    const end = await child.ended;
    return isSuccess(end) ? undefined : { message: describeEnd(end), exitCode: exitCodeOf(end) };
  }
  logger.info("signal received, walbrook shutting down", { signal });
  return await stopChild(child, { signal, signals, logger });
}

async function stopChild(
  child: Child,
  { signal, signals, logger }: { signal: EndSignal; signals: EndSignals; logger: Logger },
): Promise<ChildFailure | undefined> {
  logger.info("sending signal to exec process", { signal });
  try {
    child.signal(signal);
  } catch (error) {
    return { message: `cannot signal exec process: ${describeError(error)}`, exitCode: 1 };
  }
  // Whoever asks twice doesn't want to wait for the child; the last commits are still sent.
  signals.onRepeated = () => {
    signals.onRepeated = () => exitProcess(1);
    logger.warn("signal received again, killing exec process");
    child.signal("SIGKILL");
  };
  logger.info("waiting for exec process to close");
  const end = await child.ended;
  signals.onRepeated = () => exitProcess(1);
  if (end.kind === "signal" || isSuccess(end)) return undefined;
  return { message: `cannot wait for exec process: ${describeEnd(end)}`, exitCode: exitCodeOf(end) };
}

function isSuccess(end: ChildEnd): boolean {
  return end.kind === "exit" && end.code === 0;
}

function describeEnd(end: ChildEnd): string {
  return end.kind === "exit" ? `exit status ${end.code}` : `killed by ${end.signal}`;
}

/** As a shell tells it. */
function exitCodeOf(end: ChildEnd): number {
  return end.kind === "exit" ? end.code : 128 + signalNumber(end.signal);
}
