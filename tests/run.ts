/**
 * Runs the whole suite on Deno and on Bun and compares what both ran: `deno task test`.
 *
 * `deno task test [--only deno|bun] [--full] [PATH…]`: one runtime, or only some files or folders. Then the runtimes are
 * not compared and the smallest count doesn't apply. `--full` has each fault of a server last a minute and takes rclone
 * as another one. What runs at once is told in `runner/stages.ts`; types are checked
 * beside it.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, relative, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { clearFigures, readFigures, type RuntimeName } from "./figures.ts";
import { MINIMUM_TEST_COUNT } from "./minimum.ts";
import { checkTypes, joinRuns, RUN_VARIABLE, runTests, type TimedRun } from "./runner/execute.ts";
import { reaches } from "./runner/needs.ts";
import { runPool } from "./runner/pool.ts";
import { ensurePrograms } from "./runner/programs.ts";
import { filesToTryAgain, withSecondTry } from "./runner/second_try.ts";
import { type Job, planStages, type Stage } from "./runner/stages.ts";
import { judge } from "./runner/verdict.ts";
import { FULL_RUN_VARIABLE } from "./full_run.ts";
import { ensureServers } from "./servers/install.ts";

const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** For the whole run; a healthy one takes less than ten minutes on two cores. */
const LIMIT_MS = 40 * 60_000;

/** For one runner: longer than any takes on a busy machine, but where each fault lasts a minute. */
const RUNNER_LIMIT_MS = 10 * 60_000;

/** Runners at once: they wait for processes, timers and servers about half of their time. */
const LANES_PER_CORE = 2;

interface Arguments {
  readonly runtimes: readonly RuntimeName[];
  readonly isFull: boolean;
  readonly paths: readonly string[];
}

function parseArguments(args: readonly string[]): Arguments {
  const paths: string[] = [];
  let runtimes: readonly RuntimeName[] = ["deno", "bun"];
  let isFull = false;
  for (let at = 0; at < args.length; at++) {
    const argument = args[at]!;
    if (argument === "--full") isFull = true;
    else if (argument === "--only") {
      const name = args[++at];
      if (name !== "deno" && name !== "bun") throw new Error("--only takes deno or bun");
      runtimes = [name];
    } else if (argument.startsWith("-")) throw new Error(`${argument}: unknown option`);
    else paths.push(argument);
  }
  return { runtimes, isFull, paths };
}

function testFiles(path: string): string[] {
  if (!existsSync(path)) throw new Error(`${path}: no such file or folder`);
  if (!statSync(path).isDirectory()) return [relative(root, path)];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith("_test.ts"))
    .map((name) => relative(root, resolve(path, name))).sort();
}

/** Bun takes packages from node_modules only, and `deno run` brings those that the script itself needs. */
function ensurePackages(): void {
  const list = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as {
    dependencies?: Record<string, string>;
    devDependencies?: Record<string, string>;
  };
  const isInstalled = ([name, version]: [string, string]) => {
    const path = `${root}/node_modules/${name}/package.json`;
    return existsSync(path) &&
      (JSON.parse(readFileSync(path, "utf8")) as { version?: string }).version === version;
  };
  const wanted = Object.entries({ ...list.dependencies, ...list.devDependencies });
  if (wanted.every(isInstalled)) return;
  const { status } = spawnSync(process.execPath, ["install"], { cwd: root, stdio: "inherit" });
  if (status !== 0 || !wanted.every(isInstalled)) {
    throw new Error('packages of package.json are missing: "deno install" failed');
  }
}

function printFigures(runtimes: readonly RuntimeName[]): void {
  const table = new Map<string, string[]>();
  for (const runtime of runtimes) {
    for (const { name, value } of readFigures(runtime)) {
      table.set(name, [...table.get(name) ?? [], `${runtime} ${value}`]);
    }
  }
  for (const [name, values] of table) console.log(`${name}: ${values.join(", ")}`);
}

/** Only for those who use them: the installation takes minutes when nothing is cached. */
function needsServers(file: string): boolean {
  // It runs others, which do.
  if (file === "tests/ship/executable_suites_test.ts") return true;
  return reaches(`${root}/${file}`, `${root}/tests/servers`);
}

/** A job that was run. */
interface RunJob {
  readonly job: Job;
  readonly run: TimedRun;
}

/** What all jobs of a run share. */
interface Frame {
  /** Milliseconds that a runner may take which starts now. */
  readonly limitMs: () => number;
  readonly servers: Promise<void>;
  readonly signal: AbortSignal;
}

async function runStage(
  { name, jobs, laneCount }: Stage,
  { limitMs, servers, signal }: Frame,
): Promise<RunJob[]> {
  const startedAt = performance.now();
  let count = 0;
  const runs = await runPool(jobs, {
    laneCount,
    held: { isHeld: ({ needsServers }) => needsServers, until: servers },
    signal,
    run: async (job) => ({
      job,
      run: await runTests(job.runtime, {
        root,
        name: `${name}-${++count}`,
        files: job.files,
        limitMs: limitMs(),
        signal,
        isCollected: laneCount > 1 && jobs.length > 1,
      }),
    }),
  });
  console.log(`\n${name}: ${runs.length} runs in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  return runs;
}

/** The runs of a runtime, with another try for the few files that failed; tells those in `told`. */
async function trySecondTime(
  given: readonly RunJob[],
  { limitMs, signal, told }: Pick<Frame, "limitMs" | "signal"> & { told: string[] },
): Promise<TimedRun[]> {
  const wanted = filesToTryAgain(given.map(({ job, run }) => ({ run, files: job.files })));
  const runs: TimedRun[] = [];
  for (const [at, { run }] of given.entries()) {
    const files = wanted[at]!;
    if (files.length === 0 || signal.aborted) {
      runs.push(run);
      continue;
    }
    const { runtime, results } = run;
    const failed = results?.filter(({ outcome }) => outcome === "failed") ?? [];
    told.push(...failed.map(({ file, name }) => `${runtime}: ${file}: ${name}`));
    if (results === undefined) told.push(`${runtime}: no report of ${files.join(" ")}`);
    const name = `again-${at}`;
    const second = await runTests(runtime, {
      root,
      name,
      files,
      limitMs: limitMs(),
      signal,
      isCollected: false,
    });
    runs.push(withSecondTry(run, { second, files }));
  }
  return runs;
}

/** Ends with what runs when somebody interrupts us. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  const onSignal = () => {
    process.exitCode = 130;
    controller.abort();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return controller.signal;
}

async function run({ runtimes, isFull, paths }: Arguments): Promise<boolean> {
  const files = [
    ...new Set((paths.length > 0 ? paths : [`${root}/tests`]).flatMap((path) => testFiles(resolve(path)))),
  ];
  if (files.length === 0) throw new Error("no test files found");
  ensurePrograms();
  ensurePackages();
  mkdirSync(`${root}/.cache`, { recursive: true });
  for (const name of readdirSync(`${root}/.cache`)) {
    if (/^report-.*\.xml$/.test(name)) rmSync(`${root}/.cache/${name}`);
  }
  runtimes.forEach(clearFigures);
  process.env[RUN_VARIABLE] = crypto.randomUUID();
  if (isFull) process.env[FULL_RUN_VARIABLE] = "1";
  // Tests on Bun call `deno` too; by way of npx, which passes no signals on, they would wait for it forever.
  process.env["PATH"] = `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
  const signal = abortOnSignals();
  const deadline = performance.now() + LIMIT_MS;
  const limitMs = () => Math.min(deadline - performance.now(), isFull ? LIMIT_MS : RUNNER_LIMIT_MS);
  const servers = files.some(needsServers) ? ensureServers({ full: isFull }) : Promise.resolve();
  // It is waited for by those that need them; until then a failure is nobody's.
  servers.catch(() => {});
  const types = runtimes.includes("deno")
    ? checkTypes({ root, files, limitMs: limitMs(), signal })
    : Promise.resolve(undefined);
  const laneCount = LANES_PER_CORE * availableParallelism();
  const given: RunJob[] = [];
  for (const stage of planStages(files, { runtimes, needsServers, laneCount })) {
    given.push(...await runStage(stage, { limitMs, servers, signal }));
  }
  const secondTries: string[] = [];
  const runs: TimedRun[] = [];
  for (const runtime of runtimes) {
    const ofRuntime = given.filter(({ job }) => job.runtime === runtime);
    runs.push(joinRuns(runtime, await trySecondTime(ofRuntime, { limitMs, signal, told: secondTries })));
  }

  const isWhole = runtimes.length === 2 && paths.length === 0;
  const { passedCount, problems: ofTests } = judge(runs, {
    files,
    rules: isWhole ? { minimumCount: MINIMUM_TEST_COUNT } : undefined,
  });
  const wrongTypes = await types;
  const problems = wrongTypes === undefined ? ofTests : [wrongTypes, ...ofTests];
  console.log("");
  for (const problem of problems) console.log(`FAILED ${problem.replaceAll("\n", "\n    ")}`);
  for (const { runtime, results, elapsedMs } of runs) {
    console.log(
      `${runtime}: ${results?.length ?? 0} tests, ${(elapsedMs / 1000).toFixed(1)} s of its runners`,
    );
  }
  printFigures(runtimes);
  for (const line of secondTries) console.log(`tried a second time: ${line}`);
  console.log(`${passedCount} passed, ${problems.length} failed`);
  return problems.length === 0 && !signal.aborted;
}

try {
  const isGreen = await run(parseArguments(process.argv.slice(2)));
  if (!isGreen) process.exitCode ||= 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
