/** The argument that names a database or a replica, with what goes with it. */
import type { ConfigurationRequest } from "./configuration_flags.ts";
import { UsageError } from "../errors.ts";
import { isReplicaUrl, parseSupportedReplicaUrl } from "../storage/replica_url.ts";

/** The argument DB_PATH or REPLICA_URL with the flags that go with it. */
export interface SourceRequest extends ConfigurationRequest {
  /** As typed; not empty. */
  readonly argument: string;
  /** `-replica`: only this one of a database's replicas. */
  readonly replicaName?: string | undefined;
  /** Whether a path that no configuration speaks of can be a replica's folder. Default true. */
  readonly takesFolder?: boolean | undefined;
  /** Whether a database without replicas is an error. Default true. */
  readonly needsReplica?: boolean | undefined;
}

/**
 * Refuse what can be refused before anything is looked at.
 *
 * @throws {UsageError} for a URL that can't be used or stands beside `-config`
 */
export function checkSource({ argument, configPath }: SourceRequest): void {
  if (!isReplicaUrl(argument)) return;
  if (configPath !== undefined) throw new UsageError("cannot specify a replica URL and the -config flag");
  parseSupportedReplicaUrl(argument);
}
