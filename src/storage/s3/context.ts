import type { Logger } from "../../logger.ts";
import type { Metrics } from "../../metrics.ts";
import type { BufferPool } from "./buffer_pool.ts";
import type { ChecksumKind } from "./checksums.ts";
import type { Patience, S3Connection } from "./connection.ts";
import type { RetryPolicy } from "./retry.ts";

/** What the parts of a store share. */
export interface S3Context {
  readonly connection: S3Connection;
  readonly bucket: string;
  readonly buffers: BufferPool;
  readonly partSize: number;
  readonly hasEqualParts: boolean;
  readonly maxPartCount: number;
  readonly concurrency: number;
  readonly rangeSize: number;
  readonly patience: Patience;
  readonly retry: RetryPolicy;
  readonly storageClass: string | undefined;
  /** `auto`: what the server turns out to verify. */
  readonly checksum: ChecksumKind | "auto";
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What turned out about the server so far. */
  readonly learned: Learned;
  /** Uploads in parts that failed and could not be aborted yet. */
  readonly unfinished: UnfinishedUpload[];
}

/** Parts that cost money and that nobody sees. */
export interface UnfinishedUpload {
  /** Whole, in the bucket. */
  readonly key: string;
  readonly uploadId: string;
}

/** Filled while requests go back and forth. */
export interface Learned {
  /** Whether parts may be secured by CRC-32 instead of MD5, which is forty times slower on Deno. */
  takesCrc32?: boolean;
  /** The same of objects sent in one request, once that was tried; before that parts tell. */
  takesCrc32InPut?: boolean;
  /** ETags of this server aren't MD5 sums. */
  hasOpaqueEtags?: boolean;
  /** One was. Another that isn't says nothing of the server then: its object is of another kind, or damaged. */
  hasMd5Etags?: boolean;
  /** How many weren't, although one was. */
  otherEtagCount?: number;
  /** A piece took longer than silence is borne: bodies are read in chunks, which show that something comes. */
  isSlow?: boolean;
  /** The server has no DeleteObjects. */
  lacksBatchDelete?: boolean;
}

/** Where so many objects have ETags that are no MD5 sums, it is the server. */
const MANY_OTHER_ETAGS = 3;

/** An ETag is surely no MD5 sum of its object. */
export function noteOtherEtag(learned: Learned): void {
  learned.otherEtagCount = (learned.otherEtagCount ?? 0) + 1;
  learned.hasOpaqueEtags = learned.hasMd5Etags !== true || learned.otherEtagCount >= MANY_OTHER_ETAGS;
}

/** `s3://bucket/key`, for messages. */
export function describePlace(bucket: string, key: string): string {
  return key === "" ? `s3://${bucket}` : `s3://${bucket}/${key}`;
}

/** Add to the counters of Litestream's names. */
export function countOperation(
  { metrics }: S3Context,
  { operation, size }: { operation: "LIST" | "PUT" | "GET" | "DELETE"; size?: number },
): void {
  const labels = { replica_type: "s3", operation };
  metrics.count("litestream_replica_operation_total", labels);
  if (size !== undefined) metrics.count("litestream_replica_operation_bytes", labels, size);
}
