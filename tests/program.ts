/**
 * The program that command tests run, as a parameter: the sources on the runtime that the test runs on or, for
 * `tests/ship/`, which runs the same tests once more, an executable.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";

/** How to start the program. */
export interface Program {
  /** What stands before its own arguments. */
  readonly command: readonly [string, ...string[]];
  /** For `spawn()`. */
  readonly options: { readonly cwd?: string; readonly env?: Record<string, string | undefined> };
}

/** Set for a suite that runs through an executable: its path, and the empty folder to start it in. */
export const EXECUTABLE_VARIABLES = {
  path: "WALBROOK_TEST_EXECUTABLE",
  folder: "WALBROOK_TEST_FOLDER",
} as const;

const mainPath = fileURLToPath(new URL("../main.ts", import.meta.url));

/** The sources, on the runtime that the test runs on. */
export function sourceProgram(): Program {
  const isBun = process.versions["bun"] !== undefined;
  return { command: [process.execPath, ...(isBun ? [] : ["run", "-A"]), mainPath], options: {} };
}

/** The executable at `path`, started in `folder`, with nothing to be found by `PATH`. */
export function executableProgram(path: string, { folder }: { folder: string }): Program {
  return { command: [path], options: { cwd: folder, env: { ...process.env, PATH: "" } } };
}

/** Whether this suite runs through an executable. */
export function isExecutableUnderTest(): boolean {
  return process.env[EXECUTABLE_VARIABLES.path] !== undefined;
}

/** What command tests start. */
export function testedProgram(): Program {
  const path = process.env[EXECUTABLE_VARIABLES.path];
  const folder = process.env[EXECUTABLE_VARIABLES.folder];
  return path === undefined || folder === undefined ? sourceProgram() : executableProgram(path, { folder });
}
