/** `walbrook wal`. */
import type { Command } from "./command.ts";
import { parseFlags } from "./flags.ts";
import { LISTING_FLAGS, listingRequest } from "./listing_request.ts";
import { CONFIGURATION_USAGE, JSON_USAGE, REPLICA_USAGE } from "./usage.ts";

const FLAGS = { ...LISTING_FLAGS, "generation": { kind: "string" } } as const;

const USAGE = `
The wal command lists the WAL segments of a database or a replica. Indexes are decimal here, as
scripts for Litestream expect; "restore -index" takes hex.

Usage:

    walbrook wal [flags] DB_PATH

    walbrook wal [flags] REPLICA_URL

Arguments:

${CONFIGURATION_USAGE}
${REPLICA_USAGE}
    -generation NAME
        Only this generation.
        Default: all of them.

${JSON_USAGE}
Examples:

    # All WAL segments of a database of the configuration file.
    $ walbrook wal /data/app.db

    # Those of one generation in a bucket.
    $ walbrook wal -generation 0123456701234567 s3://bucket/app

`;

/** Lists the WAL segments of replicas. */
export const walCommand: Command = {
  usage: USAGE,
  async run(args, output) {
    const { flags, positional } = parseFlags(args, FLAGS);
    const request = listingRequest(flags, { positional, missing: "database path required" });
    const { runWal } = await import("./run_wal.ts");
    return await runWal({ ...request, generation: flags.generation || undefined }, output);
  },
};
