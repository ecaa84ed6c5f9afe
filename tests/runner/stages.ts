/** Which test files run at the same time; pure. */

/**
 * Files that measure time, or that keep all cores busy by themselves: they have the machine for themselves. All
 * others mostly wait, for processes, timers and servers, and run on both runtimes at once.
 */
export const ALONE: readonly string[] = [
  "tests/cli/lag_test.ts",
  "tests/database/fast_writer_test.ts",
  "tests/database/hostile_test.ts",
  "tests/ship/",
];

/** Some files of a run, one after the other. */
export interface Stage {
  readonly name: "side by side" | "with servers" | "alone";
  readonly files: readonly string[];
  /** Whether all runtimes run them at once. */
  readonly isSideBySide: boolean;
}

/**
 * Split the files of a run: first what needs nothing, while the servers are installed; then what needs those; last,
 * when nothing else runs any more, what has to be alone.
 *
 * @param needsServers whether a file uses `tests/servers/`
 */
export function planStages(files: readonly string[], needsServers: (file: string) => boolean): Stage[] {
  const isAlone = (file: string) => ALONE.some((start) => file.startsWith(start));
  const shared = files.filter((file) => !isAlone(file));
  const stages: Stage[] = [
    { name: "side by side", files: shared.filter((file) => !needsServers(file)), isSideBySide: true },
    { name: "with servers", files: shared.filter(needsServers), isSideBySide: true },
    { name: "alone", files: files.filter(isAlone), isSideBySide: false },
  ];
  return stages.filter((stage) => stage.files.length > 0);
}
