/** Running one runtime's test runner. */
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import process from "node:process";
import type { RuntimeName } from "../figures.ts";
import { parseJunitReport } from "./junit.ts";
import type { RuntimeRun } from "./verdict.ts";

/** The Bun that tests run on; it is fetched by npx and never a dependency. */
export const BUN_VERSION = "1.4.5";

/** Names the run that a test belongs to: what its other runtime has made already isn't made again. */
export const RUN_VARIABLE = "WALBROOK_TEST_RUN";

/** A run and how long it took. */
export interface TimedRun extends RuntimeRun {
  readonly elapsedMs: number;
}

/** What `runTests()` takes. */
export interface RunOptions {
  /** The folder of the repository. */
  readonly root: string;
  /** Of this run, for its report: no other one has it. */
  readonly name: string;
  /** Relative to `root`. */
  readonly files: readonly string[];
  /** The runner and all that it started are killed after this time. */
  readonly limitMs: number;
  /** The runner and all that it started are killed at once. */
  readonly signal: AbortSignal;
  /** Print what it says in one piece at its end; for runners that work at once. */
  readonly isCollected: boolean;
}

let bunPath: string | undefined;

/** Asked once: npx takes longer than many a test. */
function bun(): string {
  const words = ["-y", `bun@${BUN_VERSION}`, "-e", "console.log(process.execPath)"];
  return bunPath ??= execFileSync("npx", words, { encoding: "utf8" }).trim();
}

function commandOf(runtime: RuntimeName, { files, report }: { files: readonly string[]; report: string }) {
  if (runtime === "deno") {
    // Types are checked once for all runners, by `checkTypes()`.
    return [process.execPath, "test", "-A", "--no-check", `--junit-path=${report}`, ...files];
  }
  // Without "./" Bun takes the words for patterns.
  return [
    ...[bun(), "test", "--timeout", "600000"],
    ...["--reporter=junit", `--reporter-outfile=${report}`, ...files.map((file) => `./${file}`)],
  ];
}

/** Run `files` on `runtime`, with its output going to ours. */
export async function runTests(runtime: RuntimeName, options: RunOptions): Promise<TimedRun> {
  const report = `.cache/report-${runtime}-${options.name}.xml`;
  const reportPath = `${options.root}/${report}`;
  // A runner that breaks off writes nothing: the report of the run before must not speak for it.
  rmSync(reportPath, { force: true });
  const command = commandOf(runtime, { files: options.files, report });
  const startedAt = performance.now();
  const { exitCode, remark, output } = await runBounded(command, options);
  const elapsedMs = performance.now() - startedAt;
  if (options.isCollected) {
    const seconds = (elapsedMs / 1000).toFixed(1);
    process.stdout.write(`\n${runtime}, ${seconds} s: ${options.files.join(" ")}\n${output}`);
  }
  return { runtime, results: readReport(reportPath), exitCode, remark, elapsedMs };
}

/** What is wrong with the types of `files` and all that they import; `undefined` when nothing is. */
export async function checkTypes(
  options: Omit<RunOptions, "name" | "isCollected">,
): Promise<string | undefined> {
  const command = [process.execPath, "check", ...options.files];
  const { exitCode, remark, output } = await runBounded(command, { ...options, isCollected: true });
  return exitCode === 0 ? undefined : `types: ${remark || `exit code ${exitCode}`}\n${output.trim()}`;
}

function readReport(path: string): RuntimeRun["results"] {
  try {
    return parseJunitReport(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** All runs of one runtime as one. */
export function joinRuns(runtime: RuntimeName, runs: readonly TimedRun[]): TimedRun {
  const hasAllReports = runs.every(({ results }) => results !== undefined);
  return {
    runtime,
    results: hasAllReports ? runs.flatMap(({ results }) => results ?? []) : undefined,
    exitCode: runs.find(({ exitCode }) => exitCode !== 0)?.exitCode ?? 0,
    remark: runs.map(({ remark }) => remark).filter((remark) => remark !== "").join(", "),
    elapsedMs: runs.reduce((sum, { elapsedMs }) => sum + elapsedMs, 0),
  };
}

/** In a process group of its own, so that what hangs further down ends with it. */
function runBounded(
  command: readonly string[],
  { root, limitMs, signal, isCollected }: Omit<RunOptions, "name" | "files">,
): Promise<{ exitCode: number; remark: string; output: string }> {
  const [program, ...args] = command;
  const stream = isCollected ? "pipe" : "inherit";
  const child = spawn(program!, args, { cwd: root, detached: true, stdio: ["ignore", stream, stream] });
  let [remark, output] = ["", ""];
  const kill = (why: string) => {
    remark = why;
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // The group is gone already.
    }
  };
  const onAbort = () => kill("interrupted");
  const timer = setTimeout(() => kill(`killed after ${Math.round(limitMs / 1000)} s`), limitMs);
  signal.addEventListener("abort", onAbort);
  for (const part of [child.stdout, child.stderr]) {
    part?.setEncoding("utf8").on("data", (text) => output += text);
  }
  return new Promise((resolve) => {
    const end = (exitCode: number, why: string) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      resolve({ exitCode, remark: remark || why, output });
    };
    child.on("error", (error) => end(1, error.message));
    child.on("close", (code, signal) => end(code ?? 1, signal === null ? "" : `ended by ${signal}`));
  });
}
