import { UsageError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import type { Metrics } from "../../metrics.ts";
import type { HttpClient } from "../../runtime/http.ts";
import type { BufferPool } from "./buffer_pool.ts";
import type { ChecksumKind } from "./checksums.ts";
import type { Patience } from "./connection.ts";
import type { CredentialsProvider } from "./credentials/credentials.ts";
import { MAX_PART_SIZE, MIN_PART_SIZE } from "./part_size.ts";
import type { RetryOptions } from "./retry.ts";

/** How a bucket is used as a store. Sizes are bytes. */
export interface S3StoreOptions {
  readonly bucket: string;
  readonly credentials: CredentialsProvider;
  /** Folder in the bucket; slashes at its ends don't matter. Default: the bucket itself. */
  readonly path?: string | undefined;
  /** Default: what the endpoint's host says, else `us-east-1`; with AWS what it answers. */
  readonly region?: string | undefined;
  /** URL of the server, `https://` when it has no scheme. Default: AWS. */
  readonly endpoint?: string | undefined;
  /** The bucket in the path instead of in the host. Default: with an endpoint, but one of Tigris. */
  readonly forcePathStyle?: boolean | undefined;
  /** Trust any certificate. Default false. */
  readonly skipVerify?: boolean | undefined;
  /** PEM text of certificate authorities to trust besides the runtime's and the system's. */
  readonly caCert?: string | undefined;
  /** Of the first parts of an upload; they grow so that any length fits. Default 8 MiB, at least 5 MiB. */
  readonly partSize?: number | undefined;
  /** All parts but the last as large as the first. Default: what the
   * endpoint's provider wants (Cloudflare R2 insists on it). */
  readonly hasEqualParts?: boolean | undefined;
  /** Parts of one object on their way at once, or ranges, of which no more than 16. Default 4. */
  readonly concurrency?: number | undefined;
  /** Of the ranges that a large object is read in. Default 4 MiB. */
  readonly rangeSize?: number | undefined;
  /** `STANDARD_IA`, `GLACIER_IR`… Default: the bucket's. */
  readonly storageClass?: string | undefined;
  /** What the server is to verify. Default `auto`: MD5, and CRC-32 for parts where the server knows it. */
  readonly checksum?: ChecksumKind | "auto" | undefined;
  /** The server has DeleteObjects. Default: what is known of the
   * provider, else tried, and remembered when it hasn't. */
  readonly hasBatchDelete?: boolean | undefined;
  /** Unfinished uploads older than this are stale. Default an hour, in milliseconds. */
  readonly staleUploadMs?: number | undefined;
  readonly patience?: Partial<Patience> | undefined;
  readonly retry?: RetryOptions | undefined;
  /** Default: the one of the process. */
  readonly buffers?: BufferPool | undefined;
  /** Default: a client of the store's own. */
  readonly http?: HttpClient | undefined;
  readonly logger?: Logger | undefined;
  readonly metrics?: Metrics | undefined;
}

const MIB = 1024 * 1024;

/** What is used where the options say nothing. */
export const S3_STORE_DEFAULTS = {
  partSize: 8 * MIB,
  concurrency: 4,
  rangeSize: 4 * MIB,
  staleUploadMs: 3_600_000,
  patience: {
    answerMs: 30_000,
    stallMs: 30_000,
    slowestUpload: 64 * 1024,
    completionMs: 120_000,
    slowestCopy: 10 * MIB,
  },
} as const;

/** @throws {UsageError} when a number is out of its range */
export function checkS3Options({ partSize, concurrency, rangeSize }: S3StoreOptions): void {
  if (partSize !== undefined && !(partSize >= MIN_PART_SIZE && partSize <= MAX_PART_SIZE)) {
    throw new UsageError(`part-size must be from 5 MiB to 5 GiB, not ${partSize} bytes`);
  }
  if (
    concurrency !== undefined && !(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= 1000)
  ) {
    throw new UsageError(`concurrency must be from 1 to 1000, not ${concurrency}`);
  }
  if (rangeSize !== undefined && !(Number.isInteger(rangeSize) && rangeSize >= 1)) {
    throw new UsageError(`range size must be positive, not ${rangeSize}`);
  }
}
