/** `walbrook generations`: what it is asked for. */
import type { Command } from "./command.ts";
import { parseFlags } from "./flags.ts";
import { LISTING_FLAGS, listingRequest } from "./listing_request.ts";
import { CONFIGURATION_USAGE, JSON_USAGE, REPLICA_USAGE } from "./usage.ts";

const USAGE = `
The generations command lists the generations of a database or a replica: from when to when each
has something to restore, and how far it lags behind the database (behind now, for a URL).

Usage:

    walbrook generations [flags] DB_PATH

    walbrook generations [flags] REPLICA_URL

Arguments:

${CONFIGURATION_USAGE}
${REPLICA_USAGE}
${JSON_USAGE}
Examples:

    # All generations of a database of the configuration file.
    $ walbrook generations /data/app.db

    # Those in a bucket.
    $ walbrook generations s3://bucket/app

`;

/** Lists the generations of replicas. */
export const generationsCommand: Command = {
  usage: USAGE,
  async run(args, output) {
    const { flags, positional } = parseFlags(args, LISTING_FLAGS);
    const request = listingRequest(flags, {
      positional,
      missing: "database path or replica URL required",
    });
    const { runGenerations } = await import("./run_generations.ts");
    return await runGenerations(request, output);
  },
};
