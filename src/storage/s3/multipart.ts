/** The requests of an upload in parts. */
import { sleep } from "../../async.ts";
import { isAway } from "../../errors.ts";
import { parseCompletion, parseUploadId } from "./answers.ts";
import { CHECKSUM_ELEMENTS, type ChecksumKind, checksumOf } from "./checksums.ts";
import { RefusalInAnswer } from "./connection.ts";
import { describePlace, type S3Context } from "./context.ts";
import { isMissingObject } from "./failure.ts";
import { headObject } from "./head.ts";
import { waitBefore } from "./retry.ts";
import { creationHeaders, refusesHeader, sentChecker, timeOf } from "./sending.ts";
import { escapeXml } from "./xml.ts";

/** An upload that takes parts. */
export interface BegunUpload {
  readonly uploadId: string;
  /** What its parts are secured by. */
  readonly kind: ChecksumKind;
  /** The time that listings will show: that of the beginning. */
  readonly createdAt: Date;
}

/** A part that the server has. */
export interface SentPart {
  readonly partNumber: number;
  readonly etag: string;
  readonly kind: ChecksumKind;
  readonly checksum: string;
}

/** How long an upload that failed is tried to be taken back. */
export const ABORT_LIMIT_MS = 15_000;

/** Begin an upload, and find out whether the server verifies CRC-32. */
export async function createUpload(
  context: S3Context,
  { key, signal }: { key: string; signal: AbortSignal },
): Promise<BegunUpload> {
  const { checksum: wanted, learned } = context;
  const asked = wanted !== "auto" ? wanted : learned.takesCrc32 === false ? "md5" : "crc32";
  const headers = asked === "md5" ? {} : { "x-amz-checksum-algorithm": asked.toUpperCase() };
  const begun = await context.connection.send<BegunUpload | "without">({
    doing: `write ${describePlace(context.bucket, key)}`,
    right: "s3:PutObject",
    method: "POST",
    key,
    query: { uploads: "" },
    headers: { ...creationHeaders(context), ...headers },
    signal,
    async read(exchange) {
      const uploadId = parseUploadId(await exchange.text());
      const answer = exchange.response.headers;
      const isEchoed = answer.get("x-amz-checksum-algorithm")?.toLowerCase() === asked;
      if (wanted === "auto") learned.takesCrc32 = isEchoed;
      const kind = wanted === "auto" && !isEchoed ? "md5" : asked;
      return { uploadId, kind, createdAt: timeOf(answer) };
    },
    // Some servers refuse the header that others pass over.
    onRefusal: (refused) =>
      wanted === "auto" && asked !== "md5" && refusesHeader(refused) ? "without" : undefined,
  });
  if (begun !== "without") return begun;
  learned.takesCrc32 = false;
  return await createUpload(context, { key, signal });
}

/** Send one part. */
export async function sendPart(
  context: S3Context,
  bytes: Uint8Array,
  { key, uploadId, partNumber, kind, signal }: {
    key: string;
    uploadId: string;
    partNumber: number;
    kind: ChecksumKind;
    signal: AbortSignal;
  },
): Promise<SentPart> {
  const checksum = checksumOf(bytes, { kind });
  const check = sentChecker(context, checksum);
  return await context.connection.send({
    doing: `write part ${partNumber} of ${describePlace(context.bucket, key)}`,
    right: "s3:PutObject",
    method: "PUT",
    key,
    query: { partNumber: String(partNumber), uploadId },
    headers: checksum.headers,
    body: bytes,
    signal,
    async read(exchange) {
      const { headers } = exchange.response;
      check(headers);
      await exchange.text();
      const etag = headers.get("etag");
      if (etag === null || etag === "") throw new Error("the server gives a part no ETag");
      return { partNumber, etag, kind, checksum: checksum.value };
    },
  });
}

/** An upload of which all parts are there. */
interface FullUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly parts: readonly SentPart[];
  readonly size: number;
  readonly createdAt: Date;
  readonly signal: AbortSignal;
}

/**
 * Make an object of the parts.
 *
 * After a try without an answer no answer to a later one is believed: while a server still does what it was asked
 * first, some say that it is done, some that there is no such upload, some that they can't. The object is looked at then.
 */
export async function completeUpload(context: S3Context, upload: FullUpload): Promise<void> {
  const { completionMs, slowestCopy } = context.patience;
  const limitMs = completionMs + upload.size / slowestCopy * 1000;
  let isInDoubt = false;
  const answer = await sendCompletion(context, upload, {
    answerByMs: performance.now() + limitMs,
    onLost: () => isInDoubt = true,
  }).catch((error: unknown) => {
    if (!isInDoubt || isAway(error)) throw error;
    return { error };
  });
  if (answer === "done" && !isInDoubt) return;
  // From now on: the last try may be the one that is carried out.
  if (await isStored(context, upload, { waitMs: isInDoubt ? limitMs : 0 })) return;
  if (typeof answer === "object") throw answer.error;
  const why = answer === "gone"
    ? "the server has lost the upload; something else may abort unfinished uploads in this bucket"
    : "an answer to the end of the upload was lost, the next one says that all is well, but after " +
      `${Math.ceil(limitMs / 1000)} s the object is not there`;
  throw new Error(`cannot write ${describePlace(context.bucket, upload.key)}: ${why}`);
}

async function sendCompletion(
  context: S3Context,
  { key, uploadId, parts, signal }: FullUpload,
  waiting: { answerByMs: number; onLost: () => void },
): Promise<"done" | "gone"> {
  return await context.connection.send<"done" | "gone">({
    ...waiting,
    doing: `write ${describePlace(context.bucket, key)}`,
    right: "s3:PutObject",
    method: "POST",
    key,
    query: { uploadId },
    headers: { "content-type": "application/xml" },
    body: new TextEncoder().encode(completionBody(parts)),
    signal,
    async read(exchange) {
      const { error } = parseCompletion(await exchange.text());
      if (error !== undefined) throw new RefusalInAnswer(error);
      return "done";
    },
    onRefusal: ({ code }) => code === "NoSuchUpload" ? "gone" : undefined,
  });
}

/** Whether the object is there, of this size and not older; looked for at least once, and until `waitMs` are over. */
async function isStored(
  context: S3Context,
  { key, size, createdAt, signal }: FullUpload,
  { waitMs }: { waitMs: number },
): Promise<boolean> {
  const endsAtMs = performance.now() + waitMs;
  for (let looks = 1;; looks++) {
    const found = await headObject(context, { key, signal });
    if (found?.size === size && found.modifiedAt.getTime() >= createdAt.getTime() - 1000) return true;
    const leftMs = endsAtMs - performance.now();
    if (leftMs <= 0) return false;
    await sleep(Math.min(leftMs, waitBefore(looks, { policy: context.retry })), { signal });
  }
}

/** Give an upload up; one that is gone already is fine. Doesn't hang on the signal that ended the upload. */
export async function abortUpload(
  context: S3Context,
  { key, uploadId, signal = AbortSignal.timeout(ABORT_LIMIT_MS) }: {
    key: string;
    uploadId: string;
    signal?: AbortSignal;
  },
): Promise<void> {
  await context.connection.send<void | null>({
    doing: `abort the upload of ${describePlace(context.bucket, key)}`,
    right: "s3:AbortMultipartUpload",
    method: "DELETE",
    key,
    query: { uploadId },
    signal,
    read: () => Promise.resolve(),
    onRefusal: (refused) => refused.code === "NoSuchUpload" || isMissingObject(refused) ? null : undefined,
  });
}

function completionBody(parts: readonly SentPart[]): string {
  const elements = parts.map(({ partNumber, etag, kind, checksum }) => {
    const name = CHECKSUM_ELEMENTS[kind];
    const sum = name === undefined ? "" : `<${name}>${checksum}</${name}>`;
    return `<Part><PartNumber>${partNumber}</PartNumber><ETag>${escapeXml(etag)}</ETag>${sum}</Part>`;
  });
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${
    elements.join("")
  }</CompleteMultipartUpload>`;
}
