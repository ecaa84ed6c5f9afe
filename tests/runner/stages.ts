/** Which test files run at the same time, and in which order; pure. */
import type { RuntimeName } from "../figures.ts";

/** Files that measure time: each has the machine for itself. */
export const ALONE: readonly string[] = [
  "tests/cli/lag_test.ts",
  "tests/database/fast_writer_test.ts",
  "tests/ship/executable_test.ts",
];

/** Files that keep all cores busy and measure nothing: no other file runs beside them, only the other runtime's. */
export const HEAVY: readonly string[] = ["tests/database/hostile_test.ts"];

/** Files of more than eight seconds, the longest first: they start first, so that none is left over at the end. */
export const LONG: readonly string[] = [
  "tests/ship/executable_suites_test.ts",
  "tests/verify/verify_damage_test.ts",
  "tests/cli/bad_input_test.ts",
  "tests/interop/s3_faults_test.ts",
  "tests/interop/side_by_side_test.ts",
  "tests/ship/install_test.ts",
  "tests/soak/soak_test.ts",
  "tests/cli/exec_test.ts",
  "tests/storage/s3/tls_test.ts",
  "tests/cli/shutdown_test.ts",
  "tests/replicate/each_call_test.ts",
  "tests/interop/log_records_test.ts",
  "tests/storage/s3/toxics_test.ts",
  "tests/storage/paced_store_test.ts",
  "tests/database/surroundings_test.ts",
  "tests/ship/container_test.ts",
  "tests/database/lock_file_test.ts",
  "tests/replicate/replica_loop_test.ts",
  "tests/storage/s3/faults_test.ts",
  "tests/interop/litestream_restores_test.ts",
  "tests/codec/age_test.ts",
  "tests/codec/object_test.ts",
  "tests/replicate/power_cut_test.ts",
];

/** What takes long in these is made by the runtime that runs them first; the other one takes them last. */
export const SHARED: readonly string[] = [
  "tests/ship/executable_suites_test.ts",
  "tests/ship/install_test.ts",
  "tests/ship/container_test.ts",
];

/** Short files that one runner takes after each other: each start of a runner costs a third of a second. */
const FILES_PER_JOB = 8;

/** One runner and its files, which it takes one after the other. */
export interface Job {
  readonly runtime: RuntimeName;
  readonly files: readonly string[];
  readonly needsServers: boolean;
}

/** Jobs that may run at once, in the order in which they start. */
export interface Stage {
  readonly name: "together" | "heavy" | "alone";
  readonly jobs: readonly Job[];
  /** How many of them at once. */
  readonly laneCount: number;
}

/** What a plan depends on besides the files. */
export interface PlanOptions {
  readonly runtimes: readonly RuntimeName[];
  /** Whether a file uses `tests/servers/`. */
  readonly needsServers: (file: string) => boolean;
  /** How many runners the machine keeps busy; most of their time they wait for processes, timers and servers. */
  readonly laneCount: number;
}

/**
 * Split the files of a run: most of them together; then what would slow down others; last, when nothing else runs
 * any more, what has to be alone.
 */
export function planStages(files: readonly string[], options: PlanOptions): Stage[] {
  const { runtimes, laneCount } = options;
  const apart = (list: readonly string[]) =>
    files.filter((file) => list.includes(file)).flatMap((file) => jobsOf([file], options));
  const stages: Stage[] = [
    { name: "together", jobs: jobsTogether(files, options), laneCount },
    { name: "heavy", jobs: apart(HEAVY), laneCount: runtimes.length },
    { name: "alone", jobs: apart(ALONE), laneCount: 1 },
  ];
  return stages.filter((stage) => stage.jobs.length > 0);
}

function jobsTogether(files: readonly string[], options: PlanOptions): Job[] {
  const listed = [...ALONE, ...HEAVY, ...LONG];
  const short = files.filter((file) => !listed.includes(file));
  const long = LONG.filter((file) => files.includes(file)).flatMap((file) => jobsOf([file], options));
  const isLate = ({ runtime, files: [file] }: Job) =>
    SHARED.includes(file!) && runtime !== options.runtimes[0];
  return [
    ...long.filter((job) => !isLate(job)),
    ...[false, true].flatMap((needs) =>
      groups(short.filter((file) => options.needsServers(file) === needs))
        .flatMap((group) => jobsOf(group, options))
    ),
    ...long.filter(isLate),
  ];
}

/** The same files on each runtime. */
function jobsOf(files: readonly string[], { runtimes, needsServers }: PlanOptions): Job[] {
  return runtimes.map((runtime) => ({ runtime, files, needsServers: files.some(needsServers) }));
}

/** Neighbours together, as many in each as in the others. */
function groups(files: readonly string[]): string[][] {
  const count = Math.ceil(files.length / FILES_PER_JOB);
  return Array.from(
    { length: count },
    (_, at) =>
      files.slice(Math.round(at * files.length / count), Math.round((at + 1) * files.length / count)),
  );
}
