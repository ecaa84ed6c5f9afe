/** `walbrook databases`. */
import { UsageError } from "../errors.ts";
import type { Command } from "./command.ts";
import { CONFIGURATION_FLAGS, configurationRequest } from "./configuration_flags.ts";
import { parseFlags } from "./flags.ts";
import { CONFIGURATION_USAGE, JSON_USAGE } from "./usage.ts";

const FLAGS = { ...CONFIGURATION_FLAGS, "json": { kind: "boolean" } } as const;

const USAGE = `
The databases command lists the databases of the configuration file, with the names of their
replicas.

Usage:

    walbrook databases [-config PATH] [-no-expand-env] [-json]

Arguments:

${CONFIGURATION_USAGE}
${JSON_USAGE}
Examples:

    # What /etc/walbrook.yml or /etc/litestream.yml has.
    $ walbrook databases

    # The paths alone, for a script.
    $ walbrook databases -json | jq -r ".[].path"

`;

/** Lists what the configuration file has. */
export const databasesCommand: Command = {
  usage: USAGE,
  async run(args, output) {
    const { flags, positional } = parseFlags(args, FLAGS);
    if (positional.length > 0) throw new UsageError("too many arguments");
    const { loadConfiguration } = await import("./load_configuration.ts");
    const { formatJson, formatTable } = await import("./table.ts");
    const toError = { ...output, writeRecord: output.writeError };
    const { databases } = loadConfiguration(configurationRequest(flags), toError).configuration;
    const found = databases.map(({ path, replicas }) => ({
      path,
      replicas: replicas.map(({ name }) => name),
    }));
    output.writeOutput(
      flags.json === true
        ? formatJson(found)
        : formatTable(["path", "replicas"], found.map(({ path, replicas }) => [path, replicas.join(",")])),
    );
    return 0;
  },
};
