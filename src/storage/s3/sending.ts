import { type BodyChecksum, compareChecksum } from "./checksums.ts";
import { noteOtherEtag, type S3Context } from "./context.ts";
import type { RefusedRequest } from "./failure.ts";

/**
 * Headers of what makes an object, in one request or at the start of an upload in parts. Object lock, encryption
 * keys and tags will be headers here.
 */
export function creationHeaders({ storageClass }: S3Context): Record<string, string> {
  return {
    "content-type": "application/octet-stream",
    ...(storageClass === undefined ? {} : { "x-amz-storage-class": storageClass }),
  };
}

const HEADER_CODES: ReadonlySet<string> = new Set(["InvalidArgument", "InvalidRequest", "NotImplemented"]);

/** Whether a server may have refused a header that it doesn't know, instead of passing over it. */
export function refusesHeader({ status, code }: RefusedRequest): boolean {
  return status === 501 || (status === 400 && HEADER_CODES.has(code));
}

/**
 * Checks the answers to one body that may be sent more than once: throws when the server got other bytes.
 *
 * An MD5 that differs twice in a row is none: the server has verified Content-MD5 both times and makes its ETags
 * in another way, which is remembered.
 */
export function sentChecker(
  { learned, logger }: S3Context,
  checksum: BodyChecksum,
): (headers: Headers) => void {
  let hasDiffered = false;
  return (headers) => {
    const isMd5 = checksum.kind === "md5";
    if (isMd5 && learned.hasOpaqueEtags) return;
    const compared = compareChecksum(checksum, headers);
    if (isMd5 && compared === "same") learned.hasMd5Etags = true;
    if (compared !== "other") return;
    if (isMd5 && hasDiffered) {
      noteOtherEtag(learned);
      if (!learned.hasOpaqueEtags) return;
      logger.warn("the server's ETags are no MD5 sums, relying on Content-MD5 alone", {});
      return;
    }
    hasDiffered = true;
    throw new Error("the server answers with the checksum of other bytes");
  };
}

/** The server's clock, as a listing will show it. */
export function timeOf(headers: Headers): Date {
  const time = new Date(headers.get("date") ?? NaN);
  return Number.isNaN(time.getTime()) ? new Date() : time;
}
