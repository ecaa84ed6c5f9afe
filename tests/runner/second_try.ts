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
  // A suite that several files share is none that can be run: what failed in it stays failed.
  const isRunnable = [...failed].every((file) => files.includes(file));
  return failed.size <= MOST_FILES && isRunnable ? [...failed] : [];
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
