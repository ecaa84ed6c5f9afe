/** `walbrook version`. */
import type { BuildInfo } from "../build.ts";
import { UsageError } from "../errors.ts";
import { runtimeVersion } from "../runtime/process.ts";
import { VERSION } from "../version.ts";
import type { Command, Output } from "./command.ts";
import { parseFlags } from "./flags.ts";

const FLAGS = { "licenses": { kind: "boolean" }, "json": { kind: "boolean" } } as const;

const USAGE = `
The version command prints the version of walbrook on the first line, then those of the
runtime and of the SQLite inside it, and for an executable what it was built from.

Usage:

    walbrook version [-json | -licenses]

Arguments:

    -json
        Print an object instead.

    -licenses
        Print the licences of everything that is inside the executable instead.

Examples:

    # The version alone.
    $ walbrook version | head -1

    # All of it, for a script.
    $ walbrook version -json

`;

/** The first line is the version alone, for scripts that read it. */
export function versionCommand(build: BuildInfo | undefined): Command {
  return {
    usage: USAGE,
    async run(args, output) {
      const { flags, positional } = parseFlags(args, FLAGS);
      if (positional.length > 0) throw new UsageError("too many arguments");
      if (flags.licenses === true && flags.json === true) {
        throw new UsageError("-licenses is text: leave -json out");
      }
      if (flags.licenses === true) await writeNotices(build, output);
      else await writeVersions(build, { output, isJson: flags.json === true });
      return 0;
    },
  };
}

async function writeVersions(
  build: BuildInfo | undefined,
  { output, isJson }: { output: Output; isJson: boolean },
): Promise<void> {
  const { sqliteVersion } = await import("../runtime/sqlite.ts");
  const [runtime, sqlite] = [runtimeVersion(), sqliteVersion()];
  if (isJson) {
    const { commit, target } = build ?? {};
    output.writeOutput(JSON.stringify({ version: VERSION, runtime, sqlite, commit, target }, null, 2) + "\n");
    return;
  }
  output.writeOutput(`v${VERSION}\n${runtime}\nSQLite ${sqlite}\n`);
  if (build !== undefined) output.writeOutput(`commit ${build.commit ?? "unknown"}, ${build.target}\n`);
}

async function writeNotices(build: BuildInfo | undefined, output: Output): Promise<void> {
  if (build === undefined) {
    throw new UsageError(
      "-licenses: these are the sources, not an executable: read LICENSE, and those in node_modules",
    );
  }
  output.writeOutput(await build.loadNotices());
}
