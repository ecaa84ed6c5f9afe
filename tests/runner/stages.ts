/** Which test files run at the same time; pure. */

/** Files that measure time: each has the machine for itself. */
export const ALONE: readonly string[] = [
  "tests/cli/lag_test.ts",
  "tests/database/fast_writer_test.ts",
  "tests/ship/executable_test.ts",
];

/**
 * Files that keep all cores busy and measure nothing: no other file runs beside them. All that are in neither list
 * mostly wait, for processes, timers and servers.
 */
export const HEAVY: readonly string[] = ["tests/database/hostile_test.ts"];

/** Some files of a run, one after the other. */
export interface Stage {
  readonly name: "side by side" | "with servers" | "heavy" | "alone";
  readonly files: readonly string[];
  /** Whether all runtimes run them at once. */
  readonly isSideBySide: boolean;
}

/**
 * Split the files of a run: first what needs nothing, while the servers are installed; then what needs those; then
 * what would slow down others; last, when nothing else runs any more, what has to be alone.
 *
 * @param needsServers whether a file uses `tests/servers/`
 */
export function planStages(files: readonly string[], needsServers: (file: string) => boolean): Stage[] {
  const shared = files.filter((file) => !ALONE.includes(file) && !HEAVY.includes(file));
  const stages: Stage[] = [
    { name: "side by side", files: shared.filter((file) => !needsServers(file)), isSideBySide: true },
    { name: "with servers", files: shared.filter(needsServers), isSideBySide: true },
    { name: "heavy", files: files.filter((file) => HEAVY.includes(file)), isSideBySide: true },
    { name: "alone", files: files.filter((file) => ALONE.includes(file)), isSideBySide: false },
  ];
  return stages.filter((stage) => stage.files.length > 0);
}
