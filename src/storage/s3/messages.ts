/** Failures in words: what could not be done, on which thing, why, and what helps. */
import { describeError, StoreError } from "../../errors.ts";
import type { HttpFailureKind } from "../../runtime/http_failure.ts";
import type { RefusedRequest } from "./failure.ts";

/** What a message is about. */
export interface RequestSubject {
  /** `cannot read s3://bucket/app/…`. */
  readonly cannot: string;
  readonly bucket: string;
  /** Scheme, host and port. */
  readonly server: string;
  readonly region: string;
  /** The right that the request needs: `s3:GetObject`. */
  readonly right: string;
}

/** Why, and what helps, by the server's code. */
const REASONS: Readonly<Record<string, (subject: RequestSubject, refused: RefusedRequest) => string>> = {
  NoSuchBucket: ({ bucket, server }) =>
    `there is no bucket "${bucket}" at ${server}; create it or correct its name`,
  AccessDenied: ({ right, bucket }, { message }) =>
    `access denied; let these credentials do ${right} on bucket "${bucket}"${deniedInWords(message)}`,
  AllAccessDisabled: ({ bucket }) => `all access to bucket "${bucket}" is disabled at the provider`,
  AccountProblem: () => "the provider has a problem with the account",
  InvalidAccessKeyId: () => "the server does not know this access key; check access-key-id",
  XAdminUserNotFound: () => "the server does not know this access key; check access-key-id",
  NotSignedUp: () => "the server does not know this access key; check access-key-id",
  SignatureDoesNotMatch: () => "the signature does not match; check secret-access-key",
  InvalidToken: () => "the session token is not valid; check session-token or AWS_SESSION_TOKEN",
  ExpiredToken: () => "the temporary credentials have ended; get new ones",
  RequestTimeTooSkewed: (_, refused) => skewInWords(refused),
  RequestExpired: (_, refused) => skewInWords(refused),
  AuthorizationHeaderMalformed: ({ region }, { message }) =>
    `the server does not accept region "${region}": ${withoutPeriod(message)}; set region`,
  // Said after the region was followed already: a host that is fixed stays the wrong one.
  PermanentRedirect: ({ bucket, region, server }, { region: named }) =>
    named === undefined || named === ""
      ? `bucket "${bucket}" is not in region "${region}"; set region`
      : `bucket "${bucket}" is not at ${server} but in region "${named}"; correct endpoint and region`,
  InvalidStorageClass: () => "the server does not have this storage-class",
  EntityTooLarge: () => "the object is larger than the server takes",
  EntityTooSmall: () => "the server wants larger parts; raise part-size",
  QuotaExceeded: ({ bucket }) => `the quota of bucket "${bucket}" is used up`,
  XMinioStorageFull: ({ server }) => `the disk of ${server} is full`,
  InvalidObjectState: () =>
    "the object is archived; bring it back to a storage class that can be read at once",
  KMSKeyDisabled: () => "the key that encrypts this bucket is disabled",
};

const DENIED_CODES: ReadonlySet<string> = new Set(["AccessDenied", "Forbidden", "AllAccessDisabled"]);

/** The error for an answer that is not to be retried, or was retried to the end. */
export function refusalError(
  subject: RequestSubject,
  refused: RefusedRequest,
  { isTransient, tries }: { isTransient: boolean; tries: number },
): StoreError {
  const reason = redirectInWords(subject, refused) ?? REASONS[refused.code]?.(subject, refused) ??
    (refused.message === "" ? "the server refuses it" : withoutPeriod(refused.message));
  const facts = [
    refused.code.startsWith("status") ? refused.code : `status ${refused.status}, ${refused.code}`,
    refused.requestId === undefined ? "" : `request ${refused.requestId}`,
    tries > 1 ? `${tries} tries` : "",
  ].filter((fact) => fact !== "").join(", ");
  return new StoreError(oneLine(`${subject.cannot}: ${reason} (${facts})`), {
    isTransient,
    // Reasons hold times, and servers put them and ids into their own words; the code says what it is.
    sameAs: `${subject.cannot}: ${refused.status} ${refused.code}`,
    isDenied: DENIED_CODES.has(refused.code),
    isOfObject: refused.code === "InvalidObjectState",
  });
}

const NETWORK_REASONS: Readonly<Record<HttpFailureKind, (server: string) => string>> = {
  "no-such-host": (server) =>
    `there is no host of this name: ${server}; check endpoint, region and the name service`,
  "no-name-service": (server) => `no name service answers for ${server}; check the network`,
  "untrusted": (server) =>
    `the certificate of ${server} is not trusted; set ca-cert to its certificate authority, or correct endpoint`,
  "refused": (server) => `nothing listens at ${server}; check endpoint, and whether the server runs`,
  "unreachable": (server) => `${server} can't be reached; check the network`,
  "broken": (server) => `the connection to ${server} broke`,
};

/** Nobody got the request. A name that isn't known is what a machine without a network sees first. */
export const AWAY_KINDS: ReadonlySet<HttpFailureKind> = new Set([
  ...["no-such-host", "no-name-service", "refused", "unreachable"] as const,
]);

/** The error for a request without an answer. */
export function networkError(
  subject: RequestSubject,
  { kind, tries, cause }: { kind: HttpFailureKind; tries: number; cause: unknown },
): StoreError {
  const reason = NETWORK_REASONS[kind](subject.server);
  const sameAs = `${subject.cannot}: ${reason}`;
  const count = tries > 1 ? ` (${tries} tries)` : "";
  const isFinal = kind === "no-such-host" || kind === "untrusted";
  const isAway = AWAY_KINDS.has(kind);
  // Of the cause the text names the port that the connection had here.
  return new StoreError(sameAs + count, { isTransient: !isFinal, isAway, sameAs, cause });
}

/** The error for an answer that came but can't be used: cut, stalled, or not what it should be. */
export function answerError(
  subject: RequestSubject,
  { tries, cause }: { tries: number; cause: unknown },
): StoreError {
  const count = tries > 1 ? ` (${tries} tries)` : "";
  return new StoreError(oneLine(`${subject.cannot}: ${describeError(cause)}${count}`), {
    isTransient: true,
    sameAs: `${subject.cannot}: ${cause instanceof Error ? cause.message : cause}`,
  });
}

/** S3 names a region with a redirect; something on the way that has every request come by HTTPS, say, does not. */
function redirectInWords({ server }: RequestSubject, refused: RefusedRequest): string | undefined {
  const { status, location = "", region = "" } = refused;
  if (status < 300 || status > 399 || location === "" || region !== "") return undefined;
  if (!URL.canParse(location, server)) return undefined;
  const { protocol, host, pathname } = new URL(location, server);
  const origin = `${protocol}//${host}`;
  // Without its query, which may hold a secret.
  return `${server} redirects to ${origin === server ? origin + pathname : origin}; correct endpoint`;
}

function skewInWords({ serverTime, message }: RefusedRequest): string {
  const ours = "set this machine's clock right";
  if (serverTime === undefined) return `this machine's clock differs too much from the server's; ${ours}`;
  const minutes = Math.round((Date.now() - serverTime.getTime()) / 60_000);
  if (minutes === 0) return `${withoutPeriod(message)}; ${ours}`;
  const way = minutes > 0 ? "ahead of" : "behind";
  return `this machine's clock is ${Math.abs(minutes)} minutes ${way} the server's; ${ours}`;
}

/** What the server says beside the bare fact, such as that it is another right that is lacking: that of a key. */
function deniedInWords(message: string): string {
  const text = withoutPeriod(message);
  return text === "" || /^access denied$/i.test(text) ? "" : `; the server says: ${text}`;
}

function withoutPeriod(text: string): string {
  return text.trim().replace(/\.$/, "");
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, " ");
}
