/**
 * A second try for the few test files that failed, alone on the machine: processes, timers and servers on a busy
 * machine fail for reasons of their own. It is always told, and what fails twice fails.
 */
import type { RuntimeRun } from "./verdict.ts";

/** More failed files of a runtime than this are no accident; a runner without a report is one. */
const MOST_FILES = 8;

/** A run and the files that it was given. */
export interface GivenRun<Run extends RuntimeRun = RuntimeRun> {
  readonly run: Run;
  readonly files: readonly string[];
}

/**
 * Files that deserve a second try: those with a failed test, or all of a runner that left no report.
 *
 * @param given all runs of one runtime
 * @returns for each of them what of its files is to be run again
 */
export function filesToTryAgain(given: readonly GivenRun[]): readonly (readonly string[])[] {
  const wanted = given.map(({ run, files }) => {
    if (run.results === undefined) return files;
    const failed = new Set(run.results.filter(({ outcome }) => outcome === "failed").map(({ file }) => file));
    // A suite that several files share is none that can be run: what failed in it stays failed.
    return [...failed].every((file) => files.includes(file)) ? [...failed] : [];
  });
  const count = wanted.reduce(
    (sum, { length }, at) => sum + (given[at]!.run.results === undefined ? 1 : length),
    0,
  );
  return count <= MOST_FILES ? wanted : given.map(() => []);
}

/** The first run with what the second one found for its files. */
export function withSecondTry<Run extends RuntimeRun>(
  first: Run,
  { second, files }: { second: RuntimeRun; files: readonly string[] },
): Run {
  if (second.results === undefined) return first;
  const again = new Set(files);
  const key = ({ file, name }: { file: string; name: string }) => JSON.stringify([file, name]);
  // A suite that several files run is reported under its own name.
  const triedAgain = new Set(second.results.map(key));
  const kept = (first.results ?? []).filter((result) =>
    !again.has(result.file) && !triedAgain.has(key(result))
  );
  return {
    ...first,
    results: [...kept, ...second.results],
    exitCode: second.exitCode,
    remark: second.remark,
  };
}
