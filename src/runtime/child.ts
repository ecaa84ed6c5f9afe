/** A program that runs beside us: it has our environment and our outputs, and nothing to read. */
import { spawn } from "node:child_process";
import process from "node:process";
import { systemCode } from "./system_code.ts";
import type { EndSignal } from "./process.ts";

/** How a program ended: by itself, or by a signal such as `SIGKILL`. */
export type ChildEnd =
  | { readonly kind: "exit"; readonly code: number }
  | { readonly kind: "signal"; readonly signal: string };

/** A program that was started. */
export interface Child {
  readonly pid: number;
  readonly ended: Promise<ChildEnd>;
  /**
   * Send a signal; nothing happens when the program has ended.
   *
   * @throws {Error} when the system refuses, as for a program that changed its user
   */
  readonly signal: (name: EndSignal | "SIGKILL") => void;
}

/**
 * Start a program, looked up in `PATH`, with its arguments.
 *
 * @param words the program and its arguments
 * @throws {Error} when it can't be started
 */
export async function startChild(words: readonly string[]): Promise<Child> {
  const [program = "", ...args] = words;
  const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
  const ended = Promise.withResolvers<ChildEnd>();
  const started = Promise.withResolvers<void>();
  let hasEnded = false;
  child.on("spawn", started.resolve);
  child.on("error", (error) => started.reject(new Error(`${program}: ${explain(error)}`)));
  child.on("exit", (code, signal) => {
    hasEnded = true;
    ended.resolve(signal === null ? { kind: "exit", code: code ?? 0 } : { kind: "signal", signal });
  });
  await started.promise;
  const pid = child.pid!;
  return {
    pid,
    ended: ended.promise,
    signal(name) {
      // Deno's own kill() would tell of an exit that follows as of a death by this signal.
      if (!hasEnded) kill(pid, name);
    },
  };
}

function kill(pid: number, name: EndSignal | "SIGKILL"): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (systemCode(error) !== "ESRCH") throw error;
  }
}

function explain(error: Error): string {
  const code = systemCode(error);
  if (code === "ENOENT") return "there is no such program; give its path, or a name that PATH has";
  return code === "EACCES" ? "it is not executable" : error.message;
}
