import { UsageError } from "../../errors.ts";
import { type Logger, silentLogger } from "../../logger.ts";
import type { Metrics } from "../../metrics.ts";
import { type Files, systemFiles } from "../../runtime/files.ts";
import { defaultCredentials } from "./credentials/default_chain.ts";
import type { Environment } from "./credentials/keys.ts";
import { locateReplica } from "./providers.ts";
import { S3Store } from "./s3_store.ts";

/** A replica in S3 as it is configured: by the host of its URL or by its bucket. */
export interface S3ReplicaSettings {
  /** Host of the URL as written, with its port. */
  readonly urlHost?: string | undefined;
  readonly bucket?: string | undefined;
  readonly path: string;
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly forcePathStyle?: boolean | undefined;
  readonly skipVerify?: boolean | undefined;
  /** A file of certificates in PEM. */
  readonly caCertPath?: string | undefined;
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  readonly sessionToken?: string | undefined;
  readonly profile?: string | undefined;
  readonly partSize?: number | undefined;
  readonly concurrency?: number | undefined;
  readonly storageClass?: string | undefined;
}

/**
 * The store of a configured replica, with the usual places of credentials. Nothing is sent yet.
 *
 * @throws {UsageError} when a setting can't be used
 */
export function openS3Store(
  settings: S3ReplicaSettings,
  { env, files = systemFiles, logger = silentLogger, metrics, keepTryingMs }: {
    /** The variables of the process. */
    env: Environment;
    files?: Files;
    logger?: Logger;
    metrics?: Metrics | undefined;
    /** See `RetryOptions`. */
    keepTryingMs?: number | undefined;
  },
): S3Store {
  const { urlHost, bucket, path, caCertPath, profile } = settings;
  const { region, endpoint, forcePathStyle } = settings;
  const place = urlHost === undefined
    ? { bucket: bucket ?? "", path, region, endpoint, forcePathStyle }
    : locateReplica({ host: urlHost, path }, { region, endpoint, forcePathStyle });
  const { accessKeyId, secretAccessKey, sessionToken } = settings;
  return new S3Store({
    ...place,
    credentials: defaultCredentials({
      env,
      configured: [{ accessKeyId, secretAccessKey, sessionToken }],
      profile,
      files,
      logger,
    }),
    skipVerify: settings.skipVerify,
    caCert: caCertPath === undefined ? undefined : readCertificates(files, caCertPath),
    partSize: settings.partSize,
    concurrency: settings.concurrency,
    storageClass: settings.storageClass,
    retry: { keepTryingMs },
    logger,
    metrics,
  });
}

function readCertificates(files: Files, path: string): string {
  const stat = files.statSync(path);
  if (stat?.isFile !== true) throw new UsageError(`ca-cert: there is no file ${path}`);
  using file = files.openSync(path, { access: "read" });
  const bytes = new Uint8Array(stat.size);
  return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes, 0)));
}
