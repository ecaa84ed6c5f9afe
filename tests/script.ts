/** Scripts that need a process of their own, on the runtime that the test runs on. */
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/**
 * Run a script of this repository.
 *
 * @param path from the repository's top folder
 * @param options.words its arguments
 * @param options.within a command that the runtime is started by
 * @returns what it prints: JSON, an object of numbers
 */
export async function runScript<T extends object = Record<string, number>>(
  path: string,
  { words = [], within = [] }: { words?: readonly string[]; within?: readonly string[] } = {},
): Promise<T> {
  const isBun = process.versions["bun"] !== undefined;
  const script = fileURLToPath(new URL(`../${path}`, import.meta.url));
  const command = [...within, process.execPath, ...(isBun ? [] : ["run", "-A"]), script, ...words];
  const { stdout } = await promisify(execFile)(command[0]!, command.slice(1));
  return JSON.parse(stdout) as T;
}
