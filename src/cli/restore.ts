/** `walbrook restore`: what it is asked for. */
import { UsageError } from "../errors.ts";
import { expandPath } from "../runtime/process.ts";
import type { IntegrityCheck } from "../runtime/sqlite.ts";
import { isGeneration, MAX_INDEX } from "../position.ts";
import { isReplicaUrl } from "../storage/replica_url.ts";
import type { Command } from "./command.ts";
import { CONFIGURATION_FLAGS, configurationRequest } from "./configuration_flags.ts";
import { parseFlags } from "./flags.ts";
import { parseMoment } from "./moment.ts";
import { CONFIGURATION_USAGE } from "./usage.ts";
import { checkSource, type SourceRequest } from "./source_request.ts";

/** Requests at once unless told otherwise, and at most. */
export const DEFAULT_PARALLELISM = 8;
export const MAX_PARALLELISM = 256;

/** The output that is none of the file system. */
export const STANDARD_OUTPUT = Symbol("standard output");

/** Who a restored file is given to. */
export interface OwnerRequest {
  readonly uid: number;
  /** Absent: the group stays. */
  readonly gid?: number | undefined;
}

/** What `restore` is to do; absent means not asked for. */
export interface RestoreRequest {
  /** From where. */
  readonly source: SourceRequest;
  /** As typed; absent: the path of the database in the configuration. */
  readonly outputPath?: string | typeof STANDARD_OUTPUT | undefined;
  readonly generation?: string | undefined;
  readonly index?: number | undefined;
  /** Restore the state at this moment. */
  readonly timestamp?: Date | undefined;
  /** Downloads at once, 1 to 256. */
  readonly parallelism: number;
  /** An output that exists is no error but nothing to do. */
  readonly ifDatabaseNotExists: boolean;
  /** A replica without backups is no error but nothing to do. */
  readonly ifReplicaExists: boolean;
  /** Permission bits of the restored file; default 0o600. */
  readonly mode?: number | undefined;
  readonly owner?: OwnerRequest | undefined;
  /** Have SQLite check the database before it gets its name. */
  readonly integrityCheck?: IntegrityCheck | undefined;
  /** Only tell what would be done. */
  readonly isDryRun: boolean;
  /** Tell what was done as an object on standard output. */
  readonly isJson: boolean;
}

const FLAGS = {
  ...CONFIGURATION_FLAGS,
  "o": { kind: "string" },
  "replica": { kind: "string" },
  "generation": { kind: "value", parse: parseGenerationFlag },
  "index": { kind: "value", parse: parseIndexFlag },
  "timestamp": { kind: "string" },
  "parallelism": { kind: "integer" },
  "if-db-not-exists": { kind: "boolean" },
  "if-replica-exists": { kind: "boolean" },
  "mode": { kind: "value", parse: parseModeFlag },
  "owner": { kind: "value", parse: parseOwnerFlag },
  "integrity-check": { kind: "value", parse: parseIntegrityFlag },
  "dry-run": { kind: "boolean" },
  "json": { kind: "boolean" },
  // Old help texts listed it, and old scripts pass it.
  "v": { kind: "boolean" },
} as const;

const USAGE = `
The restore command brings a database back from a replica: the newest state that the replica
has, or the one at a WAL index or a moment.

Usage:

    walbrook restore [flags] DB_PATH

    walbrook restore [flags] -o PATH REPLICA_URL

The first form takes a database of the configuration file, and its replicas. REPLICA_URL is a
folder, a file:// or an s3:// URL. Credentials for S3 come from where AWS's own tools look:
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, shared files, or the machine's role.

Arguments:

    -o PATH
        Where the database is written. It must not exist; missing folders are made.
        "-" is standard output; $TMPDIR then needs room for the database.
        Default: DB_PATH

    -replica NAME
        Restore from this replica of the database.
        Default: the one with the newest data.

${CONFIGURATION_USAGE}
    -generation NAME
        Restore from this generation.
        Default: the one with the newest data.

    -index HEX
        Restore up to and with this WAL index, in hex.
        Default: the newest one.

    -timestamp TIMESTAMP
        Restore the state at this moment, in ISO 8601: 2000-01-01T00:00:00Z. Also "10m ago",
        "1h30m ago", "2d ago" or "now".
        Default: the newest state.

    -parallelism N
        How many WAL objects are fetched at once, up to ${MAX_PARALLELISM}.
        Default: ${DEFAULT_PARALLELISM}

    -if-db-not-exists
        Do nothing and succeed when the output exists.

    -if-replica-exists
        Do nothing and succeed when the replica has no backups.

    -mode OCTAL
        Permissions of the restored file. Default: 0600

    -owner UID[:GID]
        Owner of the restored file, in numbers. Default: who runs the command.

    -integrity-check quick|full
        Have SQLite check the database before it gets its name, and keep nothing when that fails.
        "quick" leaves out whether indexes hold what their tables do.

    -dry-run
        Only print what would be restored: generation, snapshot, indexes, segments, bytes to fetch,
        and the moment it would reach.

    -json
        Print what was restored, or would be, as an object on standard output.

    -v
        Accepted for scripts that pass it, without effect.

Examples:

    # A database of the configuration file, to where it was.
    $ walbrook restore /data/app.db

    # The newest state of a replica in a folder.
    $ walbrook restore -o /data/app.db /backup/app

    # The state at a moment.
    $ walbrook restore -o /tmp/app.db -timestamp 2000-01-01T00:00:00Z file:///backup/app

    # What the state of ten minutes ago comes from, without fetching it.
    $ walbrook restore -dry-run -timestamp "10m ago" -o /tmp/app.db /backup/app

    # At the start of a container: only when there is no database yet, but there is a backup.
    $ walbrook restore -if-db-not-exists -if-replica-exists -o /data/app.db /backup/app

`;

/**
 * What `restore` with `args` is to do.
 *
 * @throws {UsageError} when that can't be done; {FlagError}, {HelpRequest} as `parseFlags()`
 */
export function parseRestoreArguments(args: readonly string[]): RestoreRequest {
  const { flags, positional } = parseFlags(args, FLAGS);
  const [argument, ...extra] = positional;
  if (argument === undefined || argument === "") {
    throw new UsageError("database path or replica URL required");
  }
  if (extra.length > 0) throw new UsageError("too many arguments");
  const isUrl = isReplicaUrl(argument);
  const outputPath = flags.o === "-" ? STANDARD_OUTPUT : flags.o || undefined;
  const source: SourceRequest = {
    ...configurationRequest(flags),
    argument,
    // A URL is one replica by itself.
    replicaName: isUrl ? undefined : flags.replica || undefined,
    takesFolder: isElsewhere(outputPath, argument),
  };
  checkSource(source);
  if (isUrl && outputPath === undefined) throw new UsageError("output path required");
  const timestamp = flags.timestamp === undefined || flags.timestamp === ""
    ? undefined
    : parseMoment(flags.timestamp);
  if (flags.index !== undefined && timestamp !== undefined) {
    throw new UsageError("cannot specify index & timestamp to restore");
  }
  const isJson = flags.json ?? false;
  const isDryRun = flags["dry-run"] ?? false;
  if (outputPath === STANDARD_OUTPUT && !isDryRun) {
    if (isJson) throw new UsageError("-json and -o - would both write to standard output");
    if (flags.mode !== undefined || flags.owner !== undefined) {
      throw new UsageError("-mode and -owner are for a file, not for standard output");
    }
  }
  return {
    source,
    outputPath,
    generation: flags.generation,
    index: flags.index,
    timestamp,
    parallelism: checkParallelism(flags.parallelism),
    ifDatabaseNotExists: flags["if-db-not-exists"] ?? false,
    ifReplicaExists: flags["if-replica-exists"] ?? false,
    mode: flags.mode,
    owner: flags.owner,
    integrityCheck: flags["integrity-check"],
    isDryRun,
    isJson,
  };
}

/** Whether the output is another file than the argument: what is to be restored to itself is a database, no replica. */
function isElsewhere(outputPath: RestoreRequest["outputPath"], argument: string): boolean {
  if (outputPath === undefined) return false;
  return outputPath === STANDARD_OUTPUT || expandPath(outputPath) !== expandPath(argument);
}

/** @throws {UsageError} for more than is good */
export function checkParallelism(parallelism: number = DEFAULT_PARALLELISM): number {
  if (parallelism > MAX_PARALLELISM) {
    throw new UsageError(`invalid -parallelism ${parallelism}, at most ${MAX_PARALLELISM}`);
  }
  // Zero and less always meant one at a time.
  return Math.max(1, parallelism);
}

/** A generation, or empty for none. */
export function parseGenerationFlag(text: string): string | undefined {
  if (text === "") return undefined;
  if (!isGeneration(text)) throw new Error("a generation is 16 lowercase hex digits");
  return text;
}

/** The largest index always stood for "not given". */
function parseIndexFlag(text: string): number | undefined {
  const index = /^\+?[0-9a-fA-F]+$/.test(text) ? Number.parseInt(text, 16) : Number.NaN;
  if (!(index <= MAX_INDEX)) throw new Error("invalid hexadecimal format");
  return index === MAX_INDEX ? undefined : index;
}

function parseIntegrityFlag(text: string): IntegrityCheck | undefined {
  if (text === "") return undefined;
  if (text !== "quick" && text !== "full") throw new Error("quick or full is expected");
  return text;
}

function parseModeFlag(text: string): number {
  if (!/^(0o?)?[0-7]{3}$/.test(text)) throw new Error("three octal digits are expected, such as 0640");
  return Number.parseInt(text.slice(-3), 8);
}

function parseOwnerFlag(text: string): OwnerRequest {
  const match = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text);
  const uid = Number(match?.[1]);
  const gid = match?.[2] === undefined ? undefined : Number(match[2]);
  // All ones means "leave it" to the system.
  if (match === null || uid >= 0xffffffff || (gid ?? 0) >= 0xffffffff) {
    throw new Error("a number is expected, or two such as 1000:1000");
  }
  return { uid, gid };
}

/** Restores what `parseRestoreArguments()` understood. */
export const restoreCommand: Command = {
  usage: USAGE,
  async run(args, output) {
    const request = parseRestoreArguments(args);
    const { runRestore } = await import("./run_restore.ts");
    return await runRestore(request, output);
  },
};
