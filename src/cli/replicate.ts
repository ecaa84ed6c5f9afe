/** `walbrook replicate`: what it is asked for. */
import { UsageError } from "../errors.ts";
import { parseSupportedReplicaUrl, type SupportedReplicaUrl } from "../storage/replica_url.ts";
import type { Command } from "./command.ts";
import { parseFlags } from "./flags.ts";

/** One destination and the name it goes by in logs. */
export interface NamedReplica {
  readonly name: string;
  readonly address: SupportedReplicaUrl;
}

/** What `replicate` is to do. */
export interface ReplicateRequest {
  /** As typed. */
  readonly databasePath: string;
  /** At least one, with names of their own. */
  readonly replicas: readonly NamedReplica[];
}

const FLAGS = {
  "config": { kind: "string" },
  "exec": { kind: "string" },
  "no-expand-env": { kind: "boolean" },
} as const;

const USAGE = `
The replicate command watches a database and streams every committed transaction to its
replicas, until it is told to end by SIGINT or SIGTERM. What is missing is sent before it ends.

Usage:

    walbrook replicate DB_PATH REPLICA_URL...

DB_PATH may come to be later. REPLICA_URL is a folder, a file:// or an s3:// URL. Credentials
for S3 come from where AWS's own tools look: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, shared
files, or the machine's role.

Arguments:

    -no-expand-env
        Accepted for scripts that pass it, without effect.

Examples:

    # To a folder.
    $ walbrook replicate /data/app.db /backup/app

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
  const [databasePath, ...urls] = positional;
  if (flags.exec !== undefined) throw new UsageError("-exec: not supported yet: start the program by itself");
  if (databasePath === undefined || databasePath === "") {
    throw new UsageError(
      "database path required: configuration files are not supported yet: give DB_PATH and REPLICA_URL",
    );
  }
  if (urls.length === 0) throw new UsageError(`must specify at least one replica URL for ${databasePath}`);
  if (flags.config !== undefined) throw new UsageError("cannot specify a replica URL and the -config flag");
  return { databasePath, replicas: nameReplicas(urls.map(parseSupportedReplicaUrl)) };
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
    const { runReplicate } = await import("./run_replicate.ts");
    return await runReplicate(request, output);
  },
};
