/** What every listing of a replica is asked for. */
import { CONFIGURATION_FLAGS, configurationRequest } from "./configuration_flags.ts";
import { checkSource, type SourceRequest } from "./source_request.ts";
import { UsageError } from "../errors.ts";
import { isReplicaUrl } from "../storage/replica_url.ts";

/** The flags of every listing. */
export const LISTING_FLAGS = {
  ...CONFIGURATION_FLAGS,
  "replica": { kind: "string" },
  "json": { kind: "boolean" },
} as const;

/** What is to be listed and how. */
export interface ListingRequest {
  readonly source: SourceRequest;
  /** An array of objects instead of a table. */
  readonly isJson: boolean;
}

interface ListingFlags {
  readonly config?: string;
  readonly "no-expand-env"?: boolean;
  readonly replica?: string;
  readonly json?: boolean;
}

/**
 * The request of a listing.
 *
 * @throws {UsageError} `missing` without an argument, and for what can't be listed
 */
export function listingRequest(
  flags: ListingFlags,
  { positional, missing }: { positional: readonly string[]; missing: string },
): ListingRequest {
  const [argument, ...extra] = positional;
  if (argument === undefined || argument === "") throw new UsageError(missing);
  if (extra.length > 0) throw new UsageError("too many arguments");
  const replicaName = isReplicaUrl(argument) ? undefined : flags.replica || undefined;
  const source = { ...configurationRequest(flags), argument, replicaName, needsReplica: false };
  checkSource(source);
  return { source, isJson: flags.json === true };
}
