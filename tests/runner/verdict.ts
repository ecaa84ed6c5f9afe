/** From what two runners reported to one verdict; pure. */
import type { RuntimeName } from "../figures.ts";
import type { TestResult } from "./junit.ts";

/** One runner's run. */
export interface RuntimeRun {
  readonly runtime: RuntimeName;
  /** Absent when the runner left no readable report. */
  readonly results: readonly TestResult[] | undefined;
  /** Zero when the runner was content. */
  readonly exitCode: number;
  /** What to say beside the exit code: a signal, the time limit. */
  readonly remark: string;
}

/** What must hold for the whole suite; absent for a part of it. */
export interface SuiteRules {
  readonly minimumCount: number;
}

/** The sum over all runs. */
export interface Verdict {
  readonly passedCount: number;
  /** One line or more each, every one counts as a failure. */
  readonly problems: readonly string[];
}

/**
 * Count the leaf tests and find everything that makes the run fail.
 *
 * @param files every test file that was given to the runners; one that registered no test is a problem
 */
export function judge(
  runs: readonly RuntimeRun[],
  options: { files: readonly string[]; rules?: SuiteRules | undefined },
): Verdict {
  const problems: string[] = [];
  let passedCount = 0;
  for (const run of runs) {
    passedCount += run.results?.filter((result) => result.outcome === "passed").length ?? 0;
    problems.push(...problemsOf(run, options));
  }
  const [first, second] = runs;
  if (options.rules !== undefined && first?.results !== undefined && second?.results !== undefined) {
    problems.push(...missingFrom(first, second), ...missingFrom(second, first));
  }
  return { passedCount, problems };
}

function problemsOf(
  { runtime, results, exitCode, remark }: RuntimeRun,
  { files, rules }: { files: readonly string[]; rules?: SuiteRules | undefined },
): string[] {
  const ended = `exit code ${exitCode}${remark === "" ? "" : `, ${remark}`}`;
  if (results === undefined) return [`${runtime}: the test runner left no report (${ended})`];
  const problems = results.filter((result) => result.outcome === "failed")
    .map((result) => `${runtime}: ${result.file}: ${result.name}\n${result.message}`);
  for (const { outcome, file, name } of results) {
    if (outcome === "skipped") problems.push(`${runtime}: ${file}: ${name}: skipped tests are not allowed`);
  }
  for (const name of repeatedNames(results)) problems.push(`${runtime}: two tests are named "${name}"`);
  const withTests = new Set(results.map((result) => result.file));
  for (const file of files) {
    if (!withTests.has(file)) problems.push(`${runtime}: ${file}: no test ran`);
  }
  if (exitCode !== 0 && problems.length === 0) {
    problems.push(`${runtime}: the test runner failed outside of any test (${ended}): see its output above`);
  }
  if (rules !== undefined && results.length < rules.minimumCount) {
    problems.push(`${runtime}: ${results.length} tests, at least ${rules.minimumCount} are expected`);
  }
  return problems;
}

function repeatedNames(results: readonly TestResult[]): string[] {
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const { name } of results) (seen.has(name) ? repeated : seen).add(name);
  return [...repeated];
}

function missingFrom(here: RuntimeRun, there: RuntimeRun): string[] {
  const names = new Set(there.results?.map((result) => result.name));
  return (here.results ?? []).filter((result) => !names.has(result.name))
    .map((result) => `${result.file}: ${result.name}: ran on ${here.runtime} but not on ${there.runtime}`);
}
