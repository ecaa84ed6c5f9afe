/** Reading an object: small ones whole and checked, others in ranges side by side. */
import { sleep } from "../../async.ts";
import { NotFoundError } from "../../errors.ts";
import { md5 } from "../../runtime/digests.ts";
import { streamOf, toHex } from "../../bytes.ts";
import type { ByteRange } from "../object_store.ts";
import { md5InEtag } from "./checksums.ts";
import { countOperation, describePlace, noteOtherEtag, type S3Context } from "./context.ts";
import { isMissingObject } from "./failure.ts";
import type { Exchange } from "./exchange.ts";
import { headObject } from "./head.ts";
import { streamRanges, streamRest } from "./range_stream.ts";
import { waitBefore } from "./retry.ts";

/** What is to be read of which object. */
interface Target {
  /** Whole, in the bucket. */
  readonly key: string;
  readonly signal: AbortSignal | undefined;
}

/** Objects up to this many bytes are read whole before anything is given out, so that damage on the way is mended. */
const WHOLE_LIMIT = 1024 * 1024;

/** Up to here an answer is taken in one step. */
export const SHORT_SIZE = 64 * 1024;

/** Ranges of one object at once: each has a buffer, which no pool bounds. */
const MOST_RANGES = 16;

/** An answer to the first request for an object. */
type Opened =
  | { readonly bytes: Uint8Array }
  | {
    readonly exchange: Exchange;
    readonly end: number;
    readonly piece: Piece | undefined;
    readonly etag?: string | undefined;
  }
  | "none"
  | "past the end";

/** A range, as the server gives it. */
export interface Piece {
  readonly start: number;
  readonly end: number;
  readonly total: number | undefined;
}

/**
 * The bytes of an object from `range.start` up to `range.end`.
 *
 * Holds `concurrency` ranges of a large object at most.
 *
 * @throws {NotFoundError} when there is no such object
 */
export async function download(
  context: S3Context,
  { key, range, signal }: Target & { range: ByteRange | undefined },
): Promise<ReadableStream<Uint8Array>> {
  const start = range?.start ?? 0;
  if (range?.end !== undefined && range.end <= start) {
    if (await headObject(context, { key, signal }) === undefined) throw missing(context, key);
    return streamOf();
  }
  const wantedEnd = range?.end ?? Infinity;
  const opened = await openFirst(context, { key, signal, start, wantedEnd });
  if (opened === "none") throw missing(context, key);
  if (opened === "past the end") return streamOf();
  if ("bytes" in opened) return streamOf(...(opened.bytes.length === 0 ? [] : [opened.bytes]));
  const { exchange, end, piece, etag } = opened;
  const request = { doing: `read ${describePlace(context.bucket, key)}`, right: "s3:GetObject" };
  const explain = (cause: unknown, tries: number) => context.connection.explain(request, { cause, tries });
  // The server doesn't know ranges: take what it gives.
  if (piece === undefined) return streamRest(exchange, { start, end, signal, explain });
  return streamRanges({
    ...context,
    concurrency: Math.min(context.concurrency, MOST_RANGES),
    start: piece.start,
    end,
    signal,
    first: { exchange, end: piece.end },
    open: (part, signal) => openRange(context, { key, signal, ...part, etag }),
    pause: (tries, signal) => sleep(waitBefore(tries, { policy: context.retry }), { signal }),
    tries: context.retry.tries,
    explain,
  });
}

async function openFirst(
  context: S3Context,
  { key, signal, start, wantedEnd }: Target & { start: number; wantedEnd: number },
): Promise<Opened> {
  const digests: string[] = [];
  const askedEnd = Math.min(wantedEnd, start + context.rangeSize);
  return await context.connection.send<Opened>({
    doing: `read ${describePlace(context.bucket, key)}`,
    right: "s3:GetObject",
    method: "GET",
    key,
    headers: { range: `bytes=${start}-${askedEnd - 1}` },
    signal,
    keepsOpen: true,
    async read(exchange) {
      const { status, headers } = exchange.response;
      const piece = status === 206 ? parseContentRange(headers.get("content-range")) : undefined;
      // A longer one would not fit into the buffer of a range, and what comes behind it would be left out.
      if (status === 206 && !(piece?.start === start && piece.end > start && piece.end <= askedEnd)) {
        throw new Error("the server gives another range than asked for");
      }
      const length = Number(headers.get("content-length") ?? NaN);
      const total = piece === undefined ? length : piece.total;
      if (total === undefined) throw new Error("the server does not say how long the object is");
      const end = Math.min(wantedEnd, Number.isNaN(total) ? Infinity : total);
      countOperation(context, { operation: "GET", size: end - start });
      const isSmall = piece !== undefined && piece.end >= end && end - start <= WHOLE_LIMIT;
      const etag = strongEtag(headers);
      if (!isSmall) return { exchange, end, piece, etag };
      const bytes = await readExactly(exchange, { size: end - start });
      if (start === 0 && end === piece.total) checkWhole(context, { bytes, headers, digests });
      exchange.finish();
      return { bytes };
    },
    onRefusal(refused) {
      if (isMissingObject(refused)) return "none";
      return refused.status === 416 ? "past the end" : undefined;
    },
  });
}

/** A part of an object whose ETag is known: another one means that it was replaced meanwhile. */
async function openRange(
  { connection, bucket }: S3Context,
  { key, start, end, etag, signal }: Target & { start: number; end: number; etag: string | undefined },
): Promise<Exchange> {
  const place = describePlace(bucket, key);
  const opened = await connection.send<Exchange | "replaced" | "gone">({
    doing: `read ${place} from byte ${start}`,
    right: "s3:GetObject",
    method: "GET",
    key,
    headers: { range: `bytes=${start}-${end - 1}`, ...(etag === undefined ? {} : { "if-match": etag }) },
    signal,
    keepsOpen: true,
    read(exchange) {
      const { status, headers } = exchange.response;
      const piece = parseContentRange(headers.get("content-range"));
      if (status !== 206 || piece?.start !== start || piece.end !== end) {
        throw new Error("the server gives another range than asked for");
      }
      if (etag !== undefined && strongEtag(headers) !== etag) {
        exchange.finish();
        return Promise.resolve("replaced");
      }
      return Promise.resolve(exchange);
    },
    onRefusal(refused) {
      if (refused.status === 412) return "replaced";
      return isMissingObject(refused) ? "gone" : undefined;
    },
  });
  if (opened === "gone") throw new NotFoundError(`${place} was deleted while it was read`);
  if (opened === "replaced") throw new Error(`${place} was replaced while it was read; read it again`);
  return opened;
}

async function readExactly(exchange: Exchange, { size }: { size: number }): Promise<Uint8Array> {
  const announced = Number(exchange.response.headers.get("content-length") ?? NaN);
  if (announced === size && size <= SHORT_SIZE) {
    const whole = await exchange.whole();
    if (whole.length !== size) throw new Error(`the body ended after ${whole.length} of ${size} bytes`);
    return whole;
  }
  const bytes = new Uint8Array(size);
  let filled = 0;
  for (;;) {
    const chunk = await exchange.read();
    if (chunk === undefined) break;
    if (filled + chunk.length > size) throw new Error("the server gives more bytes than it announced");
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled < size) throw new Error(`the body ended after ${filled} of ${size} bytes`);
  return bytes;
}

/**
 * Throws when the bytes of a whole object aren't those that the ETag names; other bytes twice alike mean that it is no
 * MD5.
 */
export function checkWhole(
  { learned }: S3Context,
  { bytes, headers, digests }: { bytes: Uint8Array; headers: Headers; digests: string[] },
): void {
  const wanted = md5InEtag(headers);
  if (wanted === undefined || learned.hasOpaqueEtags) return;
  const digest = toHex(md5(bytes));
  if (digest === wanted) {
    learned.hasMd5Etags = true;
    return;
  }
  if (digests.includes(digest)) {
    noteOtherEtag(learned);
    return;
  }
  digests.push(digest);
  throw new Error("the body is not what its ETag says: damaged on its way or in the store");
}

/** The range that an answer with status 206 says it is. */
export function parseContentRange(text: string | null): Piece | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(text ?? "");
  if (match === null) return undefined;
  const total = match[3] === "*" ? undefined : Number(match[3]);
  return { start: Number(match[1]), end: Number(match[2]) + 1, total };
}

/** Weak ETags can't be asked for with If-Match. */
export function strongEtag(headers: Headers): string | undefined {
  const etag = headers.get("etag");
  return etag === null || etag === "" || etag.startsWith("W/") ? undefined : etag;
}

/** The error for an object that isn't there. */
export function missing({ bucket }: S3Context, key: string): NotFoundError {
  return new NotFoundError(`file does not exist: ${describePlace(bucket, key)}`);
}
