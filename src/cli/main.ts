/** From the words on the command line to a command and an exit code. */
import type { BuildInfo } from "../build.ts";
import { describeError } from "../errors.ts";
import { exitProcess, programArguments, writeError, writeOutput, writeRecord } from "../runtime/process.ts";
import type { Command, Output } from "./command.ts";
import { FlagError, HelpRequest } from "./flags.ts";
import { withStatusLine } from "./progress.ts";

interface CommandEntry {
  readonly summary: string;
  /** A literal `import()` in each, or a bundler would not find the module. */
  readonly load: (build: BuildInfo | undefined) => Promise<Command>;
}

const COMMANDS: ReadonlyMap<string, CommandEntry> = new Map<string, CommandEntry>([
  ["check", {
    summary: "try everything that replicate will need",
    load: async () => (await import("./check.ts")).checkCommand,
  }],
  ["databases", {
    summary: "list the databases of the configuration file",
    load: async () => (await import("./databases.ts")).databasesCommand,
  }],
  ["generations", {
    summary: "list the generations of a database or a replica",
    load: async () => (await import("./generations.ts")).generationsCommand,
  }],
  ["replicate", {
    summary: "stream a database to its replicas as it changes",
    load: async () => (await import("./replicate.ts")).replicateCommand,
  }],
  ["restore", {
    summary: "bring a database back from a replica",
    load: async () => (await import("./restore.ts")).restoreCommand,
  }],
  ["snapshots", {
    summary: "list the snapshots of a database or a replica",
    load: async () => (await import("./snapshots.ts")).snapshotsCommand,
  }],
  ["verify", {
    summary: "prove that a replica can be restored, without the database",
    load: async () => (await import("./verify.ts")).verifyCommand,
  }],
  ["version", {
    summary: "print the versions of walbrook, its runtime and SQLite",
    load: async (build) => (await import("./version.ts")).versionCommand(build),
  }],
  ["wal", {
    summary: "list the WAL segments of a database or a replica",
    load: async () => (await import("./wal.ts")).walCommand,
  }],
]);

function generalUsage(): string {
  const width = Math.max(...[...COMMANDS.keys()].map((name) => name.length)) + 2;
  const lines = [...COMMANDS].map(([name, { summary }]) => `    ${name.padEnd(width)}${summary}`);
  return [
    "walbrook streams every committed transaction of live SQLite databases to storage you control.",
    "",
    "Usage:",
    "",
    "    walbrook <command> [flags] [arguments]",
    "",
    "The commands are:",
    "",
    ...lines,
    "",
    'Flags come before arguments. "walbrook <command> -h" tells about one command.',
    "",
  ].join("\n");
}

const systemOutput: Output = withStatusLine({ writeOutput, writeError, writeRecord });

/** Around the words of the command line. */
export interface MainOptions {
  /** Default: those of the process. */
  readonly output?: Output;
  /** Absent when the sources run as they are. */
  readonly build?: BuildInfo | undefined;
}

/**
 * Carry out what `args` ask for.
 *
 * @returns the exit code: 0 when it was done or help was asked for, 1 otherwise, unless the command says more
 */
export async function main(args: readonly string[], options: MainOptions = {}): Promise<number> {
  const { output = systemOutput, build } = options;
  const [name, ...rest] = args;
  if (name === undefined) return showGeneralUsage(output, 1);
  if (name === "help" && rest[0] !== undefined) return await runCommand(rest[0], ["-h"], { output, build });
  if (["help", "-h", "--h", "-help", "--help"].includes(name)) return showGeneralUsage(output, 0);
  if (name.startsWith("-")) return showGeneralUsage(output, 1);
  return await runCommand(name, rest, { output, build });
}

function showGeneralUsage(output: Output, exitCode: number): number {
  output.writeOutput(generalUsage());
  return exitCode;
}

async function runCommand(
  name: string,
  args: readonly string[],
  { output, build }: { output: Output; build: BuildInfo | undefined },
): Promise<number> {
  const entry = COMMANDS.get(name);
  if (entry === undefined) {
    output.writeError(`walbrook ${name}: unknown command\n`);
    return 1;
  }
  const command = await entry.load(build);
  try {
    return await command.run(args, output);
  } catch (error) {
    if (error instanceof HelpRequest) {
      output.writeOutput(command.usage);
      return 0;
    }
    output.writeError(`walbrook ${name}: ${describeError(error)}\n`);
    if (error instanceof FlagError) output.writeOutput(command.usage);
    return command.failureCode ?? 1;
  }
}

/** The whole program: ends the process with the exit code. An executable says what it was built from. */
export async function runProgram(build?: BuildInfo): Promise<void> {
  let exitCode = 1;
  try {
    exitCode = await main(programArguments(), { build });
  } catch (error) {
    writeError(`walbrook: ${describeError(error)}\n`);
  }
  // A worker or a handle that somebody left must not keep a finished program alive.
  exitProcess(exitCode);
}
