/** Running one runtime's test runner. */
import { spawn } from "node:child_process";
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
  /** Of this run, for its report. */
  readonly name: string;
  /** Relative to `root`. */
  readonly files: readonly string[];
  /** The runner and all that it started are killed after this time. */
  readonly limitMs: number;
  /** Begin each line with the runtime's name; for two that run at once. */
  readonly prefixLines: boolean;
}

function commandOf(runtime: RuntimeName, { files, report }: { files: readonly string[]; report: string }) {
  if (runtime === "deno") {
    return [process.execPath, "test", "-A", `--junit-path=${report}`, ...files];
  }
  // Without "./" Bun takes the words for patterns.
  return [
    ...["npx", "-y", `bun@${BUN_VERSION}`, "test", "--timeout", "600000"],
    ...["--reporter=junit", `--reporter-outfile=${report}`, ...files.map((file) => `./${file}`)],
  ];
}

/** Run `files` on `runtime`, with its output going to ours as it comes. */
export async function runTests(runtime: RuntimeName, options: RunOptions): Promise<TimedRun> {
  const report = `.cache/report-${runtime}-${options.name.replaceAll(" ", "-")}.xml`;
  const reportPath = `${options.root}/${report}`;
  // A runner that breaks off writes nothing: the report of the run before must not speak for it.
  rmSync(reportPath, { force: true });
  const [program, ...args] = commandOf(runtime, { files: options.files, report });
  const startedAt = performance.now();
  const { exitCode, remark } = await runBounded([program!, ...args], options, runtime);
  const elapsedMs = performance.now() - startedAt;
  return { runtime, results: readReport(reportPath), exitCode, remark, elapsedMs };
}

function readReport(path: string): RuntimeRun["results"] {
  try {
    return parseJunitReport(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** One runtime's runs of several stages as one. */
export function joinRuns(runs: readonly TimedRun[]): TimedRun {
  const hasAllReports = runs.every(({ results }) => results !== undefined);
  return {
    runtime: runs[0]!.runtime,
    results: hasAllReports ? runs.flatMap(({ results }) => results ?? []) : undefined,
    exitCode: runs.find(({ exitCode }) => exitCode !== 0)?.exitCode ?? 0,
    remark: runs.map(({ remark }) => remark).filter((remark) => remark !== "").join(", "),
    elapsedMs: runs.reduce((sum, { elapsedMs }) => sum + elapsedMs, 0),
  };
}

/** In a process group of its own, so that what hangs further down ends with it. */
function runBounded(
  [program, ...args]: [string, ...string[]],
  { root, limitMs, prefixLines }: RunOptions,
  runtime: RuntimeName,
): Promise<{ exitCode: number; remark: string }> {
  const output = prefixLines ? "pipe" : "inherit";
  const child = spawn(program, args, { cwd: root, detached: true, stdio: ["ignore", output, output] });
  let remark = "";
  const kill = (why: string) => {
    remark = why;
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // The group is gone already.
    }
  };
  const onSignal = () => {
    kill("interrupted");
    process.exitCode = 130;
  };
  const timer = setTimeout(() => kill(`killed after ${Math.round(limitMs / 1000)} s`), limitMs);
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  child.stdout?.on("data", linePrefixer(runtime));
  child.stderr?.on("data", linePrefixer(runtime));
  return new Promise((resolve) => {
    const end = (exitCode: number, why: string) => {
      clearTimeout(timer);
      process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
      resolve({ exitCode, remark: remark || why });
    };
    child.on("error", (error) => end(1, error.message));
    child.on("close", (code, signal) => end(code ?? 1, signal === null ? "" : `ended by ${signal}`));
  });
}

function linePrefixer(runtime: RuntimeName): (chunk: Uint8Array) => void {
  const decoder = new TextDecoder();
  let rest = "";
  return (chunk) => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) process.stdout.write(`${runtime.padEnd(4)} | ${line}\n`);
  };
}
