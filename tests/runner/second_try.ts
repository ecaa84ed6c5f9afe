/**
 * A second try for the few test files that failed, alone on the machine: processes, timers and servers on a busy
 * machine fail for reasons of their own. It is always told, and what fails twice fails.
 */
import type { RuntimeRun } from "./verdict.ts";

/** More failed files than this are no accident. */
const MOST_FILES = 4;

/** Files that deserve a second try: those with a failed test, or all of a runner that left no report. */
export function filesToTryAgain(run: RuntimeRun, files: readonly string[]): readonly string[] {
  if (run.results === undefined) return files;
  const failed = new Set(run.results.filter(({ outcome }) => outcome === "failed").map(({ file }) => file));
  return failed.size <= MOST_FILES ? [...failed] : [];
}

/** The first run with what the second one found for its files. */
export function withSecondTry<Run extends RuntimeRun>(
  first: Run,
  { second, files }: { second: RuntimeRun; files: readonly string[] },
): Run {
  if (second.results === undefined) return first;
  const again = new Set(files);
  const kept = (first.results ?? []).filter(({ file }) => !again.has(file));
  return {
    ...first,
    results: [...kept, ...second.results],
    exitCode: second.exitCode,
    remark: second.remark,
  };
}
