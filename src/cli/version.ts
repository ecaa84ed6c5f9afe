/** `walbrook version`. */
import { UsageError } from "../errors.ts";
import { runtimeVersion } from "../runtime/process.ts";
import { VERSION } from "../version.ts";
import type { Command } from "./command.ts";
import { parseFlags } from "./flags.ts";

const USAGE = `
The version command prints the version of walbrook on the first line, then those of the
runtime and of the SQLite inside it.

Usage:

    walbrook version

`;

/** The first line is the version alone, for scripts that read it. */
export const versionCommand: Command = {
  usage: USAGE,
  async run(args, output) {
    if (parseFlags(args, {}).positional.length > 0) throw new UsageError("too many arguments");
    const { sqliteVersion } = await import("../runtime/sqlite.ts");
    output.writeOutput(`v${VERSION}\n${runtimeVersion()}\nSQLite ${sqliteVersion()}\n`);
    return 0;
  },
};
