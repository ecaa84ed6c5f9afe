/** What a failed request means: again, in another way, or not at all. Pure. */
import { classifyHttpError, type HttpFailureKind } from "../../runtime/http_failure.ts";
import type { ErrorDocument } from "./answers.ts";

/** An answer that was not the one hoped for. */
export interface RefusedRequest {
  readonly status: number;
  /** As the server names it; one made from the status when the answer had no body. */
  readonly code: string;
  readonly message: string;
  /** Where the bucket is, when the server says so. */
  readonly region?: string | undefined;
  /** Where a redirect leads; of a 307, where to send this one request to. */
  readonly location?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  /** The server's clock. */
  readonly serverTime?: Date | undefined;
  readonly requestId?: string | undefined;
}

/** What to do about it. */
export type Reaction =
  | { readonly act: "retry"; readonly afterMs?: number | undefined }
  /** For others alone: with the same keys the same request would be refused again. */
  | { readonly act: "renew-credentials"; readonly mustDiffer: boolean }
  | { readonly act: "change-region"; readonly region: string }
  | { readonly act: "find-region" }
  | { readonly act: "go-to"; readonly location: string }
  | { readonly act: "fail" };

/** Codes after which the same request can succeed, whatever their status. */
const RETRIED_CODES: ReadonlySet<string> = new Set([
  ...[
    "RequestTimeout",
    "RequestTimeoutException",
    "InternalError",
    "InternalServerError",
    "ServiceUnavailable",
  ],
  ...["SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException", "TooManyRequests"],
  ...[
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "OperationAborted",
    "ServerBusy",
    "PriorRequestNotComplete",
  ],
  // The body was cut or changed on its way.
  ...[
    "BadDigest",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
    "InvalidDigest",
    // Lists of parts and of keys, which are well-formed when they leave: no checksum goes with the former.
    "MalformedXML",
  ],
  ...["ConnectionClosed", "ClientDisconnected", "ConditionalRequestConflict", "TransactionInProgress"],
]);

const RETRIED_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

/** Of those that say that the server fails, the ones that another try doesn't change: not known, full, no entry. */
const FINAL_FAILURES: ReadonlySet<number> = new Set([501, 505, 507, 508, 510, 511]);

/** Gateways have statuses of their own above 511. */
function isRetriedStatus(status: number): boolean {
  return RETRIED_STATUSES.has(status) || status >= 500 && !FINAL_FAILURES.has(status);
}

/** Codes that say that temporary keys ended. */
const ENDED_CODES: ReadonlySet<string> = new Set([
  ...["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"],
]);

/** Codes that say that keys are not good, or no longer: whoever changes them does it in the file that has them. */
const REFUSED_KEYS_CODES: ReadonlySet<string> = new Set([
  ...["InvalidAccessKeyId", "XAdminUserNotFound", "InvalidToken", "SignatureDoesNotMatch"],
]);

/** The region of these codes is the one to sign for. */
const REGION_CODES: ReadonlySet<string> = new Set([
  ...[
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "IllegalLocationConstraintException",
    "IncorrectEndpoint",
  ],
]);

/** Longer than this a server's `Retry-After` is not obeyed inside one call. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/** Codes of a 404 that mean the object: versitygw also answers 404 to an unknown access key. */
const MISSING_CODES: ReadonlySet<string> = new Set(["NoSuchKey", "NotFound", "NoSuchObject", "KeyNotFound"]);

/** Whether there is no such object, and not something else that is missing. */
export function isMissingObject({ status, code }: RefusedRequest): boolean {
  return status === 404 && MISSING_CODES.has(code);
}

/** What to do about an answer. */
export function reactTo(refused: RefusedRequest): Reaction {
  const { status, code, region, location } = refused;
  if (status === 307 && location !== undefined) return { act: "go-to", location };
  if (status === 301 || REGION_CODES.has(code)) {
    if (region !== undefined && region !== "") return { act: "change-region", region: bucketRegion(region) };
    return status === 301 ? { act: "find-region" } : { act: "fail" };
  }
  if (ENDED_CODES.has(code)) return { act: "renew-credentials", mustDiffer: false };
  if (REFUSED_KEYS_CODES.has(code)) return { act: "renew-credentials", mustDiffer: true };
  if (isRetriedStatus(status) || RETRIED_CODES.has(code)) {
    return { act: "retry", afterMs: refused.retryAfterMs };
  }
  return { act: "fail" };
}

/** What to do when there was no answer. */
export function reactToNetwork(error: unknown): Reaction & { readonly kind: HttpFailureKind } {
  const kind = classifyHttpError(error);
  // A wrong name or a certificate that isn't trusted stays so for longer than a call lasts.
  return { act: kind === "no-such-host" || kind === "untrusted" ? "fail" : "retry", kind };
}

/** The region in the answer to GetBucketLocation and in errors; old buckets in Ireland say `EU`. */
export function bucketRegion(location: string): string {
  if (location === "" || location === "US") return "us-east-1";
  return location === "EU" ? "eu-west-1" : location;
}

/** Milliseconds that `Retry-After` asks for: seconds or a date. */
export function parseRetryAfter(text: string | null, { now }: { now: number }): number | undefined {
  if (text === null || text === "") return undefined;
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : new Date(text).getTime() - now;
  return Number.isNaN(ms) ? undefined : Math.min(LONGEST_RETRY_AFTER_MS, Math.max(0, ms));
}

/** What an answer without a usable body is taken for. */
const CODES_BY_STATUS: Readonly<Record<number, string>> = {
  301: "PermanentRedirect",
  403: "AccessDenied",
  404: "NotFound",
  405: "MethodNotAllowed",
  412: "PreconditionFailed",
  416: "InvalidRange",
  501: "NotImplemented",
};

/** A failed answer in plain values. */
export function readRefusal(
  { status, headers, document }: { status: number; headers: Headers; document: ErrorDocument | undefined },
  { now }: { now: number },
): RefusedRequest {
  const time = new Date(document?.serverTime ?? headers.get("date") ?? NaN);
  return {
    status,
    code: document?.code || (CODES_BY_STATUS[status] ?? `status ${status}`),
    message: document?.message ?? "",
    region: headers.get("x-amz-bucket-region") ?? document?.region ?? undefined,
    location: headers.get("location") ?? undefined,
    retryAfterMs: parseRetryAfter(headers.get("retry-after"), { now }),
    serverTime: Number.isNaN(time.getTime()) ? undefined : time,
    requestId: headers.get("x-amz-request-id") ?? document?.requestId ?? undefined,
  };
}
