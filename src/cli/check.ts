/** `walbrook check`. */
import { UsageError } from "../errors.ts";
import type { Command } from "./command.ts";
import {
  CONFIGURATION_FLAGS,
  type ConfigurationRequest,
  configurationRequest,
} from "./configuration_flags.ts";
import { parseFlags } from "./flags.ts";
import { CONFIGURATION_USAGE, JSON_USAGE } from "./usage.ts";

/** What `check` is to do. */
export interface CheckRequest extends ConfigurationRequest {
  /** An array of objects instead of a table. */
  readonly isJson: boolean;
}

/** How one thing fares. */
export type CheckResult = "ok" | "warning" | "failed";

/** One line of the table. */
export interface CheckRow {
  readonly result: CheckResult;
  readonly what: "configuration" | "database" | "replica";
  /** The file, the path of the database, or that and the name of the replica. */
  readonly name: string;
  /** What was found and, where something is to be done, what. */
  readonly found: string;
}

const FLAGS = { ...CONFIGURATION_FLAGS, "json": { kind: "boolean" } } as const;

const USAGE = `
The check command tries everything that replicate will need, and says what to do about what it
finds: the configuration file, where it is as strict as with "strict: true"; each database, which
it only looks at, so it can run beside replicate; each replica, where it lists, writes, reads and
deletes one small object, "walbrook-check". Credentials that may not delete are a warning.

Exit code 0: replicate will work. 1: something failed.

Usage:

    walbrook check [-config PATH] [-no-expand-env] [-json]

Arguments:

${CONFIGURATION_USAGE}
${JSON_USAGE}
Examples:

    # Before the service is started again with a new configuration.
    $ walbrook check -config /etc/walbrook.yml && systemctl restart walbrook

`;

/** Tries what the configuration file describes. */
export const checkCommand: Command = {
  usage: USAGE,
  async run(args, output) {
    const { flags, positional } = parseFlags(args, FLAGS);
    if (positional.length > 0) throw new UsageError("too many arguments");
    const { runCheck } = await import("./run_check.ts");
    return await runCheck({ ...configurationRequest(flags), isJson: flags.json ?? false }, output);
  },
};
