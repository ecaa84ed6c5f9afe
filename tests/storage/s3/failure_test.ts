import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import {
  classifyHttpError,
  type HttpFailureKind,
  isCertificateRefusal,
  isNetworkError,
} from "../../../src/runtime/http_failure.ts";
import {
  bucketRegion,
  parseRetryAfter,
  reactTo,
  reactToNetwork,
  readRefusal,
} from "../../../src/storage/s3/failure.ts";
import { networkError, refusalError } from "../../../src/storage/s3/messages.ts";
import { RETRY_DEFAULTS, waitBefore } from "../../../src/storage/s3/retry.ts";

const REACTIONS: [number, string, string][] = [
  [500, "InternalError", "retry"],
  [502, "status 502", "retry"],
  [503, "SlowDown", "retry"],
  [503, "ServiceUnavailable", "retry"],
  [504, "status 504", "retry"],
  [408, "RequestTimeout", "retry"],
  [429, "TooManyRequests", "retry"],
  [425, "status 425", "retry"],
  [509, "BandwidthLimitExceeded", "retry"],
  [400, "RequestTimeout", "retry"],
  [400, "RequestTimeoutException", "retry"],
  [400, "InternalServerError", "retry"],
  [400, "SlowDownRead", "retry"],
  [400, "SlowDownWrite", "retry"],
  [400, "Throttling", "retry"],
  [400, "ThrottlingException", "retry"],
  [400, "RequestLimitExceeded", "retry"],
  [400, "ServerBusy", "retry"],
  [400, "PriorRequestNotComplete", "retry"],
  [400, "InvalidDigest", "retry"],
  [400, "XAmzContentChecksumMismatch", "retry"],
  [400, "ConnectionClosed", "retry"],
  [400, "ClientDisconnected", "retry"],
  [409, "ConditionalRequestConflict", "retry"],
  [409, "TransactionInProgress", "retry"],
  [400, "BadDigest", "retry"],
  [400, "IncompleteBody", "retry"],
  [400, "MalformedXML", "retry"],
  [400, "XAmzContentSHA256Mismatch", "retry"],
  [409, "OperationAborted", "retry"],
  [200, "InternalError", "retry"],
  [400, "ExpiredToken", "renew-credentials"],
  [403, "ExpiredToken", "renew-credentials"],
  [400, "ExpiredTokenException", "renew-credentials"],
  [400, "TokenRefreshRequired", "renew-credentials"],
  [403, "RequestExpired", "renew-credentials"],
  [301, "PermanentRedirect", "find-region"],
  [400, "AuthorizationHeaderMalformed", "fail"],
  [400, "InvalidArgument", "fail"],
  [403, "AccessDenied", "fail"],
  [403, "InvalidAccessKeyId", "renew-credentials"],
  [403, "XAdminUserNotFound", "renew-credentials"],
  [400, "InvalidToken", "renew-credentials"],
  [403, "SignatureDoesNotMatch", "renew-credentials"],
  [403, "RequestTimeTooSkewed", "fail"],
  [404, "NoSuchBucket", "fail"],
  [404, "NoSuchKey", "fail"],
  [411, "MissingContentLength", "fail"],
  [412, "PreconditionFailed", "fail"],
  [501, "NotImplemented", "fail"],
  [507, "XMinioStorageFull", "fail"],
  ...[509, 520, 522, 524, 530, 544].map((
    status,
  ): [number, string, string] => [status, `status ${status}`, "retry"]),
];
for (const [status, code, act] of REACTIONS) {
  test(`reactTo() answers ${status} ${code} with ${act}`, () => {
    assert.equal(reactTo({ status, code, message: "" }).act, act);
  });
}

test("reactTo() goes where a redirect or an error says", () => {
  const base = { code: "PermanentRedirect", message: "", status: 301 };
  assert.deepEqual(reactTo({ ...base, region: "eu-central-1" }), {
    act: "change-region",
    region: "eu-central-1",
  });
  assert.deepEqual(reactTo({ ...base, region: "EU" }), { act: "change-region", region: "eu-west-1" });
  assert.deepEqual(reactTo({ ...base, status: 400, code: "AuthorizationHeaderMalformed", region: "r" }), {
    act: "change-region",
    region: "r",
  });
  const moved = {
    status: 307,
    code: "TemporaryRedirect",
    message: "",
    location: "https://b.s3-x.amazonaws.com/k",
  };
  assert.deepEqual(reactTo(moved), { act: "go-to", location: moved.location });
  assert.deepEqual(reactTo({ status: 503, code: "SlowDown", message: "", retryAfterMs: 3000 }), {
    act: "retry",
    afterMs: 3000,
  });
});

test("bucketRegion() maps what old buckets say", () => {
  assert.deepEqual(["", "US", "EU", "ap-south-1"].map(bucketRegion), [
    "us-east-1",
    "us-east-1",
    "eu-west-1",
    "ap-south-1",
  ]);
});

test("parseRetryAfter() reads seconds and dates and keeps within a minute", () => {
  const now = Date.UTC(2024, 0, 1);
  const cases: [string | null, number | undefined][] = [
    ["3", 3000],
    ["0", 0],
    ["86400", 60_000],
    [new Date(now + 5000).toUTCString(), 5000],
    [new Date(now - 5000).toUTCString(), 0],
    ["soon", undefined],
    ["", undefined],
    [null, undefined],
  ];
  for (const [text, ms] of cases) assert.equal(parseRetryAfter(text, { now }), ms, String(text));
});

test("waitBefore() draws from a bound that doubles, and adds what the server asked for", () => {
  const policy = { ...RETRY_DEFAULTS, firstWaitMs: 100, longestWaitMs: 1000, random: () => 1 };
  assert.deepEqual([1, 2, 3, 4, 5, 6].map((attempt) => waitBefore(attempt, { policy })), [
    100,
    200,
    400,
    800,
    1000,
    1000,
  ]);
  assert.equal(waitBefore(9, { policy: { ...policy, random: () => 0 } }), 0);
  assert.equal(waitBefore(1, { policy: { ...policy, random: () => 0.5 }, askedMs: 2000 }), 2050);
});

/** Texts as the two runtimes gave them. */
const NETWORK: [string, string, string | undefined, string, string][] = [
  [
    "Deno's unknown host",
    "client error (Connect): dns error: failed to lookup address information: Name or service not known",
    undefined,
    "no-such-host",
    "fail",
  ],
  ["Bun's unknown host", "getaddrinfo ENOTFOUND nosuch.invalid", "ENOTFOUND", "no-such-host", "fail"],
  [
    "Deno without a name service",
    "client error (Connect): dns error: failed to lookup address information: Temporary failure in name resolution",
    undefined,
    "no-name-service",
    "retry",
  ],
  [
    "Bun without a name service",
    "getaddrinfo EAI_AGAIN s3.eu-west-1.amazonaws.com",
    "EAI_AGAIN",
    "no-name-service",
    "retry",
  ],
  [
    "Deno's refusal",
    "client error (Connect): tcp connect error: Connection refused (os error 111)",
    undefined,
    "refused",
    "retry",
  ],
  [
    "Bun's refusal",
    "ECONNREFUSED: Unable to connect. Is the computer able to access the url?",
    "ECONNREFUSED",
    "refused",
    "retry",
  ],
  [
    "Deno's host without a way to it",
    "client error (Connect): tcp connect error: No route to host (os error 113)",
    undefined,
    "unreachable",
    "retry",
  ],
  [
    "Deno's network without a way to it",
    "client error (Connect): tcp connect error: Network is unreachable (os error 101)",
    undefined,
    "unreachable",
    "retry",
  ],
  [
    "Bun's host without a way to it",
    "EHOSTUNREACH: Unable to connect. Is the computer able to access the url?",
    "EHOSTUNREACH",
    "unreachable",
    "retry",
  ],
  [
    "Deno's untrusted certificate",
    "client error (Connect): invalid peer certificate: UnknownIssuer",
    undefined,
    "untrusted",
    "fail",
  ],
  [
    "Bun's untrusted certificate",
    "unable to verify the first certificate",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "untrusted",
    "fail",
  ],
  [
    "Deno's reset",
    "client error (SendRequest): connection closed before message completed",
    undefined,
    "broken",
    "retry",
  ],
  [
    "Bun's reset",
    "ECONNRESET: The socket connection was closed unexpectedly.",
    "ECONNRESET",
    "broken",
    "retry",
  ],
  ["Deno's cut body", "error reading a body from connection", undefined, "broken", "retry"],
];
for (const [name, text, code, kind, act] of NETWORK) {
  test(`classifyHttpError() knows ${name}`, () => {
    const error = code === undefined
      ? new TypeError("fetch failed", { cause: new Error(text) })
      : Object.assign(new TypeError(text), { code });
    assert.equal(classifyHttpError(error), kind);
    assert.equal(isNetworkError(error), true);
    assert.equal(reactToNetwork(error).act, act);
  });
}

test("classifyHttpError() takes no word out of what was asked for", async () => {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  for (const name of ["certificates.db", "WRONG_VERSION_NUMBER", "dns%20error"]) {
    const error = await fetch(`http://127.0.0.1:${port}/${name}`).catch((error: unknown) => error);
    assert.equal(classifyHttpError(error), "refused", name);
    assert.equal(isCertificateRefusal(error), false);
    assert.equal(isNetworkError(error), true);
  }
});

test("isNetworkError() takes mistakes of our own for none", () => {
  assert.equal(isNetworkError(new TypeError("x is not a function")), false);
  assert.equal(isNetworkError(new Error("XML is damaged")), false);
});

const SUBJECT = {
  cannot: "cannot read s3://b/k",
  bucket: "b",
  server: "https://s3.example",
  region: "r1",
  right: "s3:GetObject",
};

test("refusalError() says in words how far the clock is off", () => {
  const words = (minutes: number) =>
    refusalError(SUBJECT, {
      status: 403,
      code: "RequestTimeTooSkewed",
      message: "x",
      serverTime: new Date(Date.now() + minutes * 60_000),
    }, { isTransient: false, tries: 1 }).message;
  assert.match(
    words(61),
    /this machine's clock is 61 minutes behind the server's; set this machine's clock right/,
  );
  assert.match(words(-45), /this machine's clock is 45 minutes ahead of the server's/);
});

test("refusalError() passes on which right is lacking, where that is another than the request's own", () => {
  const words = (message: string) =>
    refusalError(SUBJECT, { status: 403, code: "AccessDenied", message }, { isTransient: false, tries: 1 });
  const kms = "User: arn:aws:iam::1:user/u is not authorized to perform: kms:GenerateDataKey.";
  assert.match(
    words(kms).message,
    /on bucket "b"; the server says: User: .* kms:GenerateDataKey \(status 403/,
  );
  for (const message of ["", "Access Denied", "Access denied."]) {
    assert.match(words(message).message, /on bucket "b" \(status 403/);
  }
  assert.equal(words(kms).sameAs, words("").sameAs);
});

const MESSAGES: [string, RegExp][] = [
  [
    "NoSuchBucket",
    /^cannot read s3:\/\/b\/k: there is no bucket "b" at https:\/\/s3\.example; create it or correct/,
  ],
  [
    "AccessDenied",
    /access denied; let these credentials do s3:GetObject on bucket "b"; .*Two lines \(status 403, AccessDenied\)$/,
  ],
  ["InvalidAccessKeyId", /does not know this access key; check access-key-id/],
  ["SignatureDoesNotMatch", /the signature does not match; check secret-access-key/],
  ["AllAccessDisabled", /all access to bucket "b" is disabled at the provider/],
  ["AccountProblem", /the provider has a problem with the account/],
  ["XAdminUserNotFound", /does not know this access key; check access-key-id/],
  ["NotSignedUp", /does not know this access key; check access-key-id/],
  ["InvalidToken", /the session token is not valid; check session-token or AWS_SESSION_TOKEN/],
  ["ExpiredToken", /the temporary credentials have ended; get new ones/],
  [
    "RequestTimeTooSkewed",
    /this machine's clock differs too much from the server's; set this machine's clock right/,
  ],
  ["RequestExpired", /this machine's clock differs too much/],
  ["AuthorizationHeaderMalformed", /the server does not accept region "r1": Two lines; set region/],
  ["PermanentRedirect", /bucket "b" is not in region "r1"; set region/],
  ["InvalidStorageClass", /the server does not have this storage-class/],
  ["EntityTooLarge", /the object is larger than the server takes/],
  ["EntityTooSmall", /the server wants larger parts; raise part-size/],
  ["QuotaExceeded", /the quota of bucket "b" is used up/],
  ["XMinioStorageFull", /the disk of https:\/\/s3\.example is full/],
  ["InvalidObjectState", /the object is archived; bring it back to a storage class that can be read at once/],
  ["KMSKeyDisabled", /the key that encrypts this bucket is disabled/],
  ["Odd", /^cannot read s3:\/\/b\/k: Two lines \(status 403, Odd\)$/],
];
for (const [code, text] of MESSAGES) {
  test(`refusalError() explains ${code} in one line`, () => {
    const refused = { status: 403, code, message: "Two\nlines." };
    const error = refusalError(SUBJECT, refused, { isTransient: false, tries: 1 });
    assert.match(error.message, text);
    assert.equal(error.isOfObject, code === "InvalidObjectState");
  });
}

test("networkError() names the server and what helps", () => {
  const say = (kind: HttpFailureKind) => networkError(SUBJECT, { kind, tries: 3, cause: undefined });
  assert.equal(
    say("no-such-host").message,
    "cannot read s3://b/k: there is no host of this name: https://s3.example; check endpoint, region and the name " +
      "service (3 tries)",
  );
  assert.equal(say("no-such-host").isTransient, false);
  assert.equal(
    say("no-name-service").message,
    "cannot read s3://b/k: no name service answers for https://s3.example; check the network (3 tries)",
  );
  assert.equal(say("no-name-service").isTransient, true);
  assert.equal(say("refused").isTransient, true);
  assert.match(
    say("refused").message,
    /nothing listens at https:\/\/s3\.example; check endpoint, and whether/,
  );
  assert.match(
    say("untrusted").message,
    /is not trusted; set ca-cert to its certificate authority, or correct/,
  );
  assert.equal(say("untrusted").isTransient, false);
  assert.match(say("unreachable").message, /can't be reached; check the network \(3 tries\)$/);
  assert.match(say("broken").message, /the connection to https:\/\/s3\.example broke/);
});

test("readRefusal() makes a code of a status without a body", () => {
  const read = (status: number) =>
    readRefusal({ status, headers: new Headers(), document: undefined }, { now: 0 }).code;
  assert.deepEqual([301, 403, 404, 418].map(read), [
    "PermanentRedirect",
    "AccessDenied",
    "NotFound",
    "status 418",
  ]);
});
