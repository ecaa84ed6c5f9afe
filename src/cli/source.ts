/** What a command reads: a replica that is named by its place, or a database of the configuration file. */
import type { Output } from "./command.ts";
import { createLogger } from "./logger.ts";
import { checkSource, type SourceRequest } from "./source_request.ts";
import type { DatabaseConfig, ReplicaConfig } from "../config/configuration.ts";
import { replicaAtUrl } from "../config/url_replica.ts";
import { UsageError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { systemFiles } from "../runtime/files.ts";
import { expandPath } from "../runtime/process.ts";
import { isReplicaUrl, parseSupportedReplicaUrl, type SupportedReplicaUrl } from "../storage/replica_url.ts";

/** What was found. */
export interface Source {
  /** At least one, if the request needs one; a single one for a URL or a folder. */
  readonly replicas: readonly ReplicaConfig[];
  /** Absent for a URL or a folder. */
  readonly database?: DatabaseConfig | undefined;
  readonly logger: Logger;
}

/**
 * Find what `request` names. A path is a database of the configuration file, or else the folder of a replica.
 *
 * @throws {UsageError} when it is neither, and for a configuration that can't be used
 */
export async function findSource(request: SourceRequest, output: Output): Promise<Source> {
  checkSource(request);
  const { argument, configPath, takesFolder = true } = request;
  if (/^file:/i.test(argument) || isReplicaUrl(argument)) {
    return replicaSource(parseSupportedReplicaUrl(argument), output);
  }
  const path = expandPath(argument);
  const canBeFolder = configPath === undefined && takesFolder;
  const stat = systemFiles.statSync(path);
  // No database is a folder.
  if (canBeFolder && stat?.isFolder === true) return replicaSource({ type: "file", path }, output);
  if (stat?.isFolder === true && !takesFolder) {
    throw new UsageError(`${path} is a folder, no database: say with -o where to restore to`);
  }
  const { configurationVariable, findConfigurationPath, loadConfiguration } = await import(
    "./load_configuration.ts"
  );
  const foundPath = findConfigurationPath(configPath);
  // A file that a variable names and that isn't there is an error of its own.
  const isConfigured = configurationVariable() !== undefined || systemFiles.statSync(foundPath) !== undefined;
  // Where nothing is, and nothing says otherwise, a replica is meant; its store says that it isn't there.
  if (canBeFolder && stat === undefined && !isConfigured) {
    return replicaSource({ type: "file", path }, output);
  }
  if (canBeFolder && !isConfigured) {
    throw new UsageError(
      `${path} is no folder of a replica, and no configuration file ${foundPath} is there that could name it as ` +
        "a database: give a replica, or -config PATH",
    );
  }
  const { configuration, logger } = loadConfiguration(request, output);
  const database = configuration.databases.find((one) => one.path === path);
  if (database !== undefined) return databaseSource(database, { request, logger });
  throw new UsageError(`database not found in config: ${path} (the file read is ${foundPath})`);
}

function replicaSource(url: SupportedReplicaUrl, output: Output): Source {
  const replica = replicaAtUrl(url, { name: url.type, expandPath });
  return { replicas: [replica], logger: createLogger({ write: output.writeError }) };
}

function databaseSource(
  database: DatabaseConfig,
  { request: { replicaName, needsReplica = true }, logger }: { request: SourceRequest; logger: Logger },
): Source {
  const replicas = database.replicas.filter(({ name }) => replicaName === undefined || name === replicaName);
  if (replicaName !== undefined && replicas.length === 0) {
    throw new UsageError(`replica "${replicaName}" not found for database "${database.path}"`);
  }
  if (needsReplica && replicas.length === 0) {
    throw new UsageError(`database ${database.path} has no replicas in the config`);
  }
  return { replicas, database, logger };
}
