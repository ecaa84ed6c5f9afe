/** `walbrook replicate`: what it is asked for. */
import { UsageError } from "../errors.ts";
import { parseSupportedReplicaUrl, type SupportedReplicaUrl } from "../storage/replica_url.ts";
import type { Command } from "./command.ts";
import { parseFlags } from "./flags.ts";
import { CONFIGURATION_USAGE } from "./usage.ts";
import {
  CONFIGURATION_FLAGS,
  type ConfigurationRequest,
  configurationRequest,
} from "./configuration_flags.ts";

/** One destination and the name it goes by in logs. */
export interface NamedReplica {
  readonly name: string;
  readonly address: SupportedReplicaUrl;
}

/** A database that the command line names. */
export interface NamedDatabase {
  /** As typed. */
  readonly path: string;
  /** At least one, with names of their own. */
  readonly replicas: readonly NamedReplica[];
}

/** What `replicate` is to do. */
export interface ReplicateRequest extends ConfigurationRequest {
  /** Absent: the databases of the configuration file. */
  readonly database?: NamedDatabase | undefined;
  /** A program to start and end with, as typed; absent: that of the configuration file, if any. */
  readonly exec?: string | undefined;
  /** Restore each database that isn't there before anything else. */
  readonly restoresMissing: boolean;
  /** Send what there is, then end. */
  readonly isOnce: boolean;
}

const FLAGS = {
  ...CONFIGURATION_FLAGS,
  "exec": { kind: "string" },
  "once": { kind: "boolean" },
  "restore-if-db-not-exists": { kind: "boolean" },
} as const;

const USAGE = `
The replicate command watches a database and streams every committed transaction to its
replicas, until it is told to end by SIGINT or SIGTERM. What is missing is sent before it ends.

Usage:

    walbrook replicate [flags]

    walbrook replicate [flags] DB_PATH REPLICA_URL...

The first form takes databases and replicas from the configuration file. A database may come to
be later. REPLICA_URL is a folder, a file:// or an s3:// URL. Credentials for S3 come from where
AWS's own tools look: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, shared files, or the machine's
role.

Arguments:

    -exec CMD
        Start this program once the databases are followed, pass signals on to it, and end when it
        ends, with its exit code; what it committed last is sent before, however long that takes
        unless a signal came. The command is split like a shell's, but without a shell: nothing is
        expanded, and ; & | < > end it.
        Default: exec of the configuration file

    -once
        Send everything that the databases have now, then end: with 1 if any of it stayed behind.
        exec of the configuration file does not run.

    -restore-if-db-not-exists
        Before anything else, restore each database whose file isn't there from its replicas. One
        without a backup is left to its application.

${CONFIGURATION_USAGE}
Examples:

    # Everything in /etc/walbrook.yml or /etc/litestream.yml.
    $ walbrook replicate

    # To a folder.
    $ walbrook replicate /data/app.db /backup/app

    # In a container: bring the database back, run the application, end with it.
    $ walbrook replicate -restore-if-db-not-exists -exec "/app/server -port 80" \\
        /data/app.db s3://bucket/app

    # Each hour, by cron.
    $ walbrook replicate -once

    # To two folders.
    $ walbrook replicate /data/app.db /backup/app file:///mnt/other/app

`;

/**
 * What `replicate` with `args` is to do.
 *
 * @throws {UsageError} when that can't be done; {FlagError}, {HelpRequest} as `parseFlags()`
 */
export function parseReplicateArguments(args: readonly string[]): ReplicateRequest {
  const { flags, positional } = parseFlags(args, FLAGS);
  const [path, ...urls] = positional;
  const common = {
    ...configurationRequest(flags),
    exec: flags.exec || undefined,
    restoresMissing: flags["restore-if-db-not-exists"] ?? false,
    isOnce: flags.once ?? false,
  };
  if (common.isOnce && common.exec !== undefined) throw new UsageError("cannot specify -once & -exec");
  if (path === undefined) return common;
  if (path === "") throw new UsageError("database path required");
  if (urls.length === 0) throw new UsageError(`must specify at least one replica URL for ${path}`);
  if (flags.config !== undefined) throw new UsageError("cannot specify a replica URL and the -config flag");
  return { ...common, database: { path, replicas: nameReplicas(urls.map(parseSupportedReplicaUrl)) } };
}

/** Named by their type: `file`, `file-2`, `file-3`. */
function nameReplicas(addresses: readonly SupportedReplicaUrl[]): NamedReplica[] {
  const countByType = new Map<string, number>();
  return addresses.map((address) => {
    const count = (countByType.get(address.type) ?? 0) + 1;
    countByType.set(address.type, count);
    return { name: count === 1 ? address.type : `${address.type}-${count}`, address };
  });
}

/** Replicates what `parseReplicateArguments()` understood. */
export const replicateCommand: Command = {
  usage: USAGE,
  async run(args, output) {
    const request = parseReplicateArguments(args);
    // Both at once, which saves a tenth of the start where a second core is free.
    const [{ runReplicate }] = await Promise.all([
      import("./run_replicate.ts"),
      request.database ?? import("./load_configuration.ts"),
    ]);
    return await runReplicate(request, output);
  },
};
