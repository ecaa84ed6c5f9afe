/** Where a replica goes to, as the log says it at start: Litestream's keys, and never a secret. */
import type { ReplicaConfig, S3ReplicaConfig } from "../config/configuration.ts";
import type { LogFields } from "../logger.ts";
import { withoutCredentials } from "../storage/replica_url.ts";

/** Name, type, pace and place of a replica; what the configuration leaves open is empty. */
export async function replicaFields(config: ReplicaConfig): Promise<LogFields> {
  return {
    name: config.name,
    type: config.type,
    "sync-interval": { durationMs: config.syncIntervalMs },
    ...await placeFields(config),
  };
}

async function placeFields(config: ReplicaConfig): Promise<LogFields> {
  const { path } = config;
  switch (config.type) {
    case "file":
      return { path };
    case "s3":
      return await s3Fields(config);
    case "gcs":
      return { bucket: config.bucket, path };
    case "abs":
      return { bucket: config.bucket, path, endpoint: withoutCredentials(config.endpoint ?? "") };
    case "sftp":
      return { host: config.host, user: config.user, path };
  }
}

/** A URL's host says more than its bucket. */
async function s3Fields({ urlHost, bucket, path, ...explicit }: S3ReplicaConfig): Promise<LogFields> {
  const { locateReplica } = await import("../storage/s3/providers.ts");
  const { region, endpoint, forcePathStyle } = explicit;
  const place = urlHost === undefined
    ? { bucket: bucket ?? "", path, region, endpoint }
    : locateReplica({ host: urlHost, path }, { region, endpoint, forcePathStyle });
  return {
    bucket: place.bucket,
    path: place.path,
    region: place.region ?? "",
    endpoint: withoutCredentials(place.endpoint ?? ""),
  };
}
