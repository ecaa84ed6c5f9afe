/** Scripts that need a process of their own, on the runtime that the test runs on. */
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/**
 * Run a script of this repository.
 *
 * @param path from the repository's top folder
 * @returns what it prints: JSON, an object of numbers
 */
export async function runScript(path: string): Promise<Record<string, number>> {
  const isBun = process.versions["bun"] !== undefined;
  const script = fileURLToPath(new URL(`../${path}`, import.meta.url));
  const words = [...(isBun ? [] : ["run", "-A"]), script];
  const { stdout } = await promisify(execFile)(process.execPath, words);
  return JSON.parse(stdout) as Record<string, number>;
}
