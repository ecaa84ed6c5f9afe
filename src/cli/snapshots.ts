/** `walbrook snapshots`. */
import type { Command } from "./command.ts";
import { parseFlags } from "./flags.ts";
import { LISTING_FLAGS, listingRequest } from "./listing_request.ts";
import { CONFIGURATION_USAGE, JSON_USAGE, REPLICA_USAGE } from "./usage.ts";

const USAGE = `
The snapshots command lists the snapshots of a database or a replica. Indexes are decimal here, as
scripts for Litestream expect; "restore -index" takes hex.

Usage:

    walbrook snapshots [flags] DB_PATH

    walbrook snapshots [flags] REPLICA_URL

Arguments:

${CONFIGURATION_USAGE}
${REPLICA_USAGE}
${JSON_USAGE}
Examples:

    # All snapshots of a database of the configuration file.
    $ walbrook snapshots /data/app.db

    # Those of one of its replicas.
    $ walbrook snapshots -replica s3 /data/app.db

    # Those in a bucket.
    $ walbrook snapshots s3://bucket/app

`;

/** Lists the snapshots of replicas. */
export const snapshotsCommand: Command = {
  usage: USAGE,
  async run(args, output) {
    const { flags, positional } = parseFlags(args, LISTING_FLAGS);
    const request = listingRequest(flags, { positional, missing: "database path required" });
    const { runSnapshots } = await import("./run_snapshots.ts");
    return await runSnapshots(request, output);
  },
};
