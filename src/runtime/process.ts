/** The process: its words, environment, outputs, signals and end. */
import { fstatSync } from "node:fs";
import { constants, homedir, userInfo } from "node:os";
import { resolve } from "node:path";
import process from "node:process";
import { sleep } from "../async.ts";
import { OutputWrite } from "./output_write.ts";
import { systemCode } from "./system_code.ts";

/** What the user typed behind the program's name. */
export function programArguments(): string[] {
  return process.argv.slice(2);
}

/** All environment variables. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** The value of an environment variable; `undefined` when it isn't there at all. */
export function environmentVariable(name: string): string | undefined {
  return process.env[name];
}

/** Set an environment variable for ourselves and the programs that we start. */
export function setEnvironmentVariable(name: string, value: string): void {
  process.env[name] = value;
}

/** End at once, without running what is pending. Output written before is out. */
export function exitProcess(code: number): never {
  process.exit(code);
}

/** Ours, that of the thing we run on: `Deno 2.9.6`, `Bun 1.4.5`. */
export function runtimeVersion(): string {
  const { bun, deno, node } = process.versions as Record<string, string | undefined>;
  if (bun !== undefined) return `Bun ${bun}`;
  return deno === undefined ? `Node.js ${node}` : `Deno ${deno}`;
}

const STDOUT = 1;
const STDERR = 2;

/**
 * The whole text to standard output, before this returns, however late its reader takes it. One that has gone is passed
 * over.
 *
 * @throws {Error} when it can't be written, to a full disk for example
 */
export function writeOutput(text: string): void {
  try {
    writeText(STDOUT, text, { limitMs: Infinity });
  } catch (cause) {
    if (systemCode(cause) !== "EPIPE") throw new Error("cannot write to standard output", { cause });
  }
}

/** A log record to standard output, before this returns. What can't be written is passed over. */
export function writeRecord(text: string): void {
  tryWrite(STDOUT, text);
}

/** The whole text to standard error, before this returns. What can't be written is passed over. */
export function writeError(text: string): void {
  tryWrite(STDERR, text);
}

/** A full pipe whose reader doesn't read is given up after this many milliseconds: replication goes before its log. */
const FULL_PIPE_MS = 1_000;

function tryWrite(descriptor: number, text: string): void {
  try {
    writeText(descriptor, text, { limitMs: FULL_PIPE_MS });
  } catch {
    // There is nobody else to tell.
  }
}

function writeText(descriptor: number, text: string, { limitMs }: { limitMs: number }): void {
  const writing = new OutputWrite(descriptor, new TextEncoder().encode(text));
  let waitedMs = 0;
  while (!writing.isOver) {
    try {
      writing.nextSync();
    } catch (error) {
      // A pipe that our parent made non-blocking is full: its reader needs a moment.
      if (systemCode(error) !== "EAGAIN" || waitedMs >= limitMs) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      waitedMs++;
    }
  }
}

/**
 * Bytes to standard output, as fast as its reader takes them; the same buffer can be used again afterwards.
 *
 * @throws {Error} when nobody reads any more; the signal's reason
 */
export async function writeOutputBytes(
  bytes: Uint8Array,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const writing = new OutputWrite(STDOUT, bytes);
  while (!writing.isOver) {
    signal?.throwIfAborted();
    try {
      await writing.next();
    } catch (cause) {
      if (systemCode(cause) !== "EAGAIN") throw new Error("cannot write to standard output", { cause });
      await sleep(1, { signal });
    }
  }
}

/** Whether somebody reads standard error on a terminal. */
export function isErrorTerminal(): boolean {
  // A service has none, and is spared the module, which brings all of the network's with it: 10 ms of a start.
  return isCharacterDevice(STDERR) && process.getBuiltinModule("node:tty").isatty(STDERR);
}

function isCharacterDevice(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice();
  } catch {
    return false; // Closed.
  }
}

/** Columns of the terminal behind standard error; `undefined` when it is none or doesn't say. */
export function errorTerminalColumns(): number | undefined {
  return isErrorTerminal() ? process.stderr.columns : undefined;
}

/** Signals that ask us to end. */
export type EndSignal = "SIGINT" | "SIGTERM";

/** The number of a signal such as `SIGKILL`; 0 for a name that the system doesn't know. */
export function signalNumber(name: string): number {
  return (constants.signals as Readonly<Record<string, number | undefined>>)[name] ?? 0;
}

/** Have `handler` called at each of `signals`, instead of their ending us, until disposed of. */
export function onSignal(signals: readonly EndSignal[], handler: (signal: EndSignal) => void): Disposable {
  const listeners = signals.map((signal) => ({ signal, listener: () => handler(signal) }));
  for (const { signal, listener } of listeners) process.on(signal, listener);
  return {
    [Symbol.dispose]() {
      for (const { signal, listener } of listeners) process.off(signal, listener);
    },
  };
}

/**
 * `path` from the root of the file system, without `.`, `..` and doubled slashes. `~` and `~/…` mean the
 * user's home, which the user database tells, `$HOME` only where that one doesn't.
 */
export function expandPath(path: string): string {
  if (path !== "~" && !path.startsWith("~/")) return resolve(path);
  const home = homeFolder();
  if (home === "") throw new Error(`cannot expand path ${path}, no home directory available`);
  return resolve(home, path.slice(2));
}

function homeFolder(): string {
  try {
    return userInfo().homedir || homedir();
  } catch {
    // A user without an entry, as in many containers.
    return homedir();
  }
}
