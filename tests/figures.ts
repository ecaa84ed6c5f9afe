/** Figures that tests want shown at the end of the run: how many cross-restores, how many kinds of damage. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import process from "node:process";
import { isExecutableUnderTest } from "./program.ts";

/** The two runtimes that every test runs on. */
export type RuntimeName = "deno" | "bun";

/** One figure as a test recorded it. */
export interface Figure {
  readonly name: string;
  readonly value: number | string;
}

/** The runtime that we are in. */
export function currentRuntime(): RuntimeName {
  return process.versions["bun"] === undefined ? "deno" : "bun";
}

const cacheFolder = fileURLToPath(new URL("../.cache/", import.meta.url));

function figuresPath(runtime: RuntimeName): string {
  return `${cacheFolder}figures-${runtime}.jsonl`;
}

/**
 * Have `name: value` printed when the whole suite has run.
 *
 * Suites that run again through the executable said it the first time, so theirs are left out.
 *
 * @param options.isOfExecutable the name says that it is the executable's: not left out
 */
export function recordFigure(
  name: string,
  value: number | string,
  { isOfExecutable = false }: { isOfExecutable?: boolean } = {},
): void {
  if (isExecutableUnderTest() && !isOfExecutable) return;
  mkdirSync(cacheFolder, { recursive: true });
  appendFileSync(figuresPath(currentRuntime()), JSON.stringify({ name, value }) + "\n");
}

/** What the tests of `runtime` recorded since `clearFigures()`, in order. */
export function readFigures(runtime: RuntimeName): Figure[] {
  const path = figuresPath(runtime);
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Figure);
}

/** Forget what earlier runs recorded. */
export function clearFigures(runtime: RuntimeName): void {
  rmSync(figuresPath(runtime), { force: true });
}
