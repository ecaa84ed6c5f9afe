/** `walbrook verify`: what it is asked for. */
import { UsageError } from "../errors.ts";
import { isReplicaUrl } from "../storage/replica_url.ts";
import type { Command } from "./command.ts";
import { CONFIGURATION_FLAGS, configurationRequest } from "./configuration_flags.ts";
import { parseFlags } from "./flags.ts";
import { checkParallelism, DEFAULT_PARALLELISM, MAX_PARALLELISM, parseGenerationFlag } from "./restore.ts";
import { parseTimestamp } from "./moment.ts";
import { CONFIGURATION_USAGE } from "./usage.ts";
import { checkSource, type SourceRequest } from "./source_request.ts";

/** Exit codes: the replica is proven, it is damaged, or it could not be looked at. */
export const VERIFY_EXIT = { proven: 0, damaged: 1, unseen: 2 } as const;

/** What `verify` is to do; absent means not asked for. */
export interface VerifyRequest {
  readonly source: SourceRequest;
  readonly generation?: string | undefined;
  /** Only restores to moments from here on, and up to there. */
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
  readonly isDeep: boolean;
  readonly isJson: boolean;
  /** Downloads at once, 1 to 256. */
  readonly parallelism: number;
}

const FLAGS = {
  ...CONFIGURATION_FLAGS,
  "replica": { kind: "string" },
  "generation": { kind: "value", parse: parseGenerationFlag },
  "from": { kind: "string" },
  "to": { kind: "string" },
  "deep": { kind: "boolean" },
  "json": { kind: "boolean" },
  "parallelism": { kind: "integer" },
} as const;

const USAGE = `
The verify command reads a replica, without the database, and proves that it can be restored:
every object is whole, none is missing between others, each continues the one before. It names
each bad object and the restores that it makes impossible.

Usage:

    walbrook verify [flags] DB_PATH

    walbrook verify [flags] REPLICA_URL

DB_PATH is a database of the configuration file, all of whose replicas are read, or the folder of
a replica. REPLICA_URL is a file:// or an s3:// URL.

Arguments:

${CONFIGURATION_USAGE}
    -replica NAME
        Only this replica of the database.

    -generation NAME
        Only this generation. Default: all.

    -from TIMESTAMP, -to TIMESTAMP
        Only what restores to moments from one to the other need, in ISO 8601.

    -deep
        Also restore every snapshot with its WAL into a temporary folder, compare each snapshot
        with what the one before and the WAL between make of it, page by page, and have SQLite
        check the integrity of each. Takes room for the database in $TMPDIR.

    -json
        Print one JSON document instead of text.

    -parallelism N
        How many objects are fetched at once, up to ${MAX_PARALLELISM}.
        Default: ${DEFAULT_PARALLELISM}

Exit codes:

    0  proven: every restore point that the replica shows can be restored
    1  damaged
    2  could not be looked at: nothing there, no permission, wrong keys, no connection; or
       nothing of it is damaged, but the newest generation has no snapshot, or not yet

Examples:

    $ walbrook verify /data/app.db

    $ walbrook verify -deep -from 2000-01-01T00:00:00Z s3://bucket/app

`;

/**
 * What `verify` with `args` is to do.
 *
 * @throws {UsageError} when that can't be done; {FlagError}, {HelpRequest} as `parseFlags()`
 */
export function parseVerifyArguments(args: readonly string[]): VerifyRequest {
  const { flags, positional } = parseFlags(args, FLAGS);
  const [argument, ...extra] = positional;
  if (argument === undefined || argument === "") {
    throw new UsageError("database path or replica URL required");
  }
  if (extra.length > 0) throw new UsageError("too many arguments");
  const source: SourceRequest = {
    ...configurationRequest(flags),
    argument,
    replicaName: isReplicaUrl(argument) ? undefined : flags.replica || undefined,
  };
  checkSource(source);
  const from = flags.from ? parseTimestamp(flags.from, { flag: "from" }) : undefined;
  const to = flags.to ? parseTimestamp(flags.to, { flag: "to" }) : undefined;
  if (from !== undefined && to !== undefined && from > to) throw new UsageError("-from is later than -to");
  return {
    source,
    generation: flags.generation,
    from,
    to,
    isDeep: flags.deep ?? false,
    isJson: flags.json ?? false,
    parallelism: checkParallelism(flags.parallelism),
  };
}

/** Verifies what `parseVerifyArguments()` understood. */
export const verifyCommand: Command = {
  usage: USAGE,
  failureCode: VERIFY_EXIT.unseen,
  async run(args, output) {
    const request = parseVerifyArguments(args);
    const { runVerify } = await import("./run_verify.ts");
    return await runVerify(request, output);
  },
};
