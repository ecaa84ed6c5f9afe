/** Storing an object: small ones in one request, others in parts that are sent while the next one fills. */
import { describeError, StoreError } from "../../errors.ts";
import { checksumOf, compareChecksum } from "./checksums.ts";
import { countOperation, describePlace, type S3Context, type UnfinishedUpload } from "./context.ts";
import { type Part, PartSource } from "./part_source.ts";
import { partSizeAt } from "./part_size.ts";
import {
  ABORT_LIMIT_MS,
  abortUpload,
  type BegunUpload,
  completeUpload,
  createUpload,
  sendPart,
  type SentPart,
} from "./multipart.ts";
import { creationHeaders, refusesHeader, sentChecker, timeOf } from "./sending.ts";

/** More are left to a later start. */
const MOST_UNFINISHED = 16;

/** What is known of an object that was stored. */
export interface StoredObject {
  readonly size: number;
  readonly createdAt: Date;
}

/** Up to here MD5 costs nothing worth mentioning, and every server knows it. */
const MD5_LIMIT = 1024 * 1024;

/**
 * Store `body` under `key` (whole, in the bucket).
 *
 * Takes at most one pooled buffer of the part's size more than `concurrency`.
 */
export async function upload(
  context: S3Context,
  body: Uint8Array | ReadableStream<Uint8Array>,
  { key, signal }: { key: string; signal: AbortSignal | undefined },
): Promise<StoredObject> {
  const ended = new AbortController();
  const abort = () => ended.abort(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", abort, { once: true });
  const source = new PartSource(body, { pool: context.buffers, signal: ended.signal });
  try {
    const { part, isWhole } = await source.first(context.partSize);
    if (!isWhole) return await uploadParts(context, { key, source, first: part, ended });
    try {
      return await putWhole(context, part.bytes, { key, signal: ended.signal });
    } finally {
      part[Symbol.dispose]();
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    source.release();
  }
}

async function putWhole(
  context: S3Context,
  bytes: Uint8Array,
  { key, signal }: { key: string; signal: AbortSignal },
): Promise<StoredObject> {
  const { checksum: wanted, learned } = context;
  const takesCrc32 = learned.takesCrc32InPut ?? learned.takesCrc32;
  const isLarge = bytes.length > MD5_LIMIT;
  const kind = wanted !== "auto" ? wanted : isLarge && takesCrc32 === true ? "crc32" : "md5";
  const checksum = checksumOf(bytes, { kind });
  // Sent with MD5 once: a server that passes over it, or refuses it, verifies as before.
  const probe = wanted === "auto" && isLarge && takesCrc32 === undefined
    ? checksumOf(bytes, { kind: "crc32" })
    : undefined;
  const check = sentChecker(context, checksum);
  const createdAt = await context.connection.send<Date | "without">({
    doing: `write ${describePlace(context.bucket, key)}`,
    right: "s3:PutObject",
    method: "PUT",
    key,
    headers: { ...creationHeaders(context), ...checksum.headers, ...probe?.headers },
    body: bytes,
    signal,
    async read(exchange) {
      const { headers } = exchange.response;
      check(headers);
      await exchange.text();
      if (probe !== undefined) learned.takesCrc32InPut = compareChecksum(probe, headers) === "same";
      return timeOf(headers);
    },
    onRefusal: (refused) => probe !== undefined && refusesHeader(refused) ? "without" : undefined,
  });
  if (createdAt === "without") {
    learned.takesCrc32InPut = false;
    return await putWhole(context, bytes, { key, signal });
  }
  countOperation(context, { operation: "PUT", size: bytes.length });
  return { size: bytes.length, createdAt };
}

interface PartsJob {
  readonly key: string;
  readonly source: PartSource;
  readonly first: Part;
  /** Ends the source and all parts on their way. */
  readonly ended: AbortController;
}

async function uploadParts(context: S3Context, job: PartsJob): Promise<StoredObject> {
  const { key, ended } = job;
  // The next parts fill while that is on its way.
  const beginning = createUpload(context, { key, signal: ended.signal });
  try {
    const { parts, size } = await sendParts(context, job, beginning);
    ended.signal.throwIfAborted();
    const begun = await beginning;
    await completeUpload(context, { ...begun, key, parts, size, signal: ended.signal });
    countOperation(context, { operation: "PUT", size });
    await takeBackEarlier(context, ended.signal);
    return { size, createdAt: begun.createdAt };
  } catch (error) {
    const begun = await beginning.catch(() => undefined);
    if (begun !== undefined) await takeBack(context, { key, uploadId: begun.uploadId });
    throw error;
  }
}

async function takeBack(context: S3Context, upload: UnfinishedUpload): Promise<void> {
  try {
    await abortUpload(context, upload);
  } catch (error) {
    const isKept = keepUnfinished(context, upload, error);
    const when = isKept ? "after the next one, or at a later start" : "at a later start";
    context.logger.warn(`an unfinished upload stays behind, it is cleaned up ${when}`, {
      object: describePlace(context.bucket, upload.key),
      error: describeError(error),
    });
  }
}

/** What could not be aborted while the server was away; now it answers. What fails again is tried after the next one. */
async function takeBackEarlier(context: S3Context, ended: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([ended, AbortSignal.timeout(ABORT_LIMIT_MS)]);
  await Promise.all(
    context.unfinished.splice(0).map(async (upload) => {
      try {
        await abortUpload(context, { ...upload, signal });
      } catch (error) {
        keepUnfinished(context, upload, error);
      }
    }),
  );
}

/** @returns whether it is tried again later */
function keepUnfinished({ unfinished }: S3Context, upload: UnfinishedUpload, error: unknown): boolean {
  const isDenied = error instanceof StoreError && error.isDenied;
  if (isDenied || unfinished.length >= MOST_UNFINISHED) return false;
  unfinished.push(upload);
  return true;
}

/** All parts, `concurrency` at once; when one fails the others are stopped and waited for. */
async function sendParts(
  context: S3Context,
  { key, source, first, ended }: PartsJob,
  beginning: Promise<BegunUpload>,
): Promise<{ parts: SentPart[]; size: number }> {
  const parts: SentPart[] = [];
  const running = new Set<Promise<void>>();
  let failure: { error: unknown } | undefined;
  let size = 0;
  const send = async (part: Part, partNumber: number) => {
    try {
      const { uploadId, kind } = await beginning;
      parts[partNumber - 1] = await sendPart(context, part.bytes, {
        key,
        uploadId,
        partNumber,
        kind,
        signal: ended.signal,
      });
    } catch (error) {
      failure ??= { error };
      ended.abort(error);
    } finally {
      part[Symbol.dispose]();
    }
  };
  try {
    let part: Part | undefined = first;
    for (let partNumber = 1; part !== undefined; partNumber++) {
      size += part.bytes.length;
      const sending: Promise<void> = send(part, partNumber).finally(() => running.delete(sending));
      running.add(sending);
      if (running.size >= context.concurrency) await Promise.race(running);
      ended.signal.throwIfAborted();
      part = await source.next(() => sizeOfPart(context, { key, partNumber: partNumber + 1 }));
    }
  } catch (error) {
    failure ??= { error };
    ended.abort(error);
  }
  await Promise.all(running);
  if (failure !== undefined) throw failure.error;
  return { parts, size };
}

function sizeOfPart(
  { partSize, hasEqualParts, maxPartCount, bucket }: S3Context,
  { key, partNumber }: { key: string; partNumber: number },
): number {
  if (partNumber > maxPartCount) {
    throw new Error(
      `cannot write ${describePlace(bucket, key)}: more than ${maxPartCount} parts of ${partSize} bytes; ` +
        "raise part-size",
    );
  }
  return partSizeAt(partNumber, { firstSize: partSize, areEqual: hasEqualParts });
}
