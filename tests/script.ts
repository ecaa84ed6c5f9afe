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
 * @returns what it prints: JSON, an object of numbers
 */
export async function runScript<T extends object = Record<string, number>>(
  path: string,
  { words = [] }: { words?: readonly string[] } = {},
): Promise<T> {
  const isBun = process.versions["bun"] !== undefined;
  const script = fileURLToPath(new URL(`../${path}`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...(isBun ? [] : ["run", "-A"]),
    script,
    ...words,
  ]);
  return JSON.parse(stdout) as T;
}
