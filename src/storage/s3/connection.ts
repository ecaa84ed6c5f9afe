import { firstOf, sleep } from "../../async.ts";
import { describeError } from "../../errors.ts";
import type { LogFields, Logger } from "../../logger.ts";
import type { HttpClient } from "../../runtime/http.ts";
import { type HttpFailureKind, isNetworkError } from "../../runtime/http_failure.ts";
import { Absence } from "./absence.ts";
import type { BucketAddress } from "./address.ts";
import type { ErrorDocument } from "./answers.ts";
import { areSameKeys, type Credentials, type CredentialsProvider } from "./credentials/credentials.ts";
import { Exchange } from "./exchange.ts";
import { type Reaction, reactTo, reactToNetwork, type RefusedRequest } from "./failure.ts";
import { StallError } from "./http_body.ts";
import { answerError, AWAY_KINDS, networkError, refusalError, type RequestSubject } from "./messages.ts";
import { LostRefusalError, receiveRefusal, refusalOf } from "./refusal.ts";
import { type RetryPolicy, waitBefore } from "./retry.ts";
import { RequestSigner } from "./signing.ts";
import { Uplink } from "./uplink.ts";

/** A request in messages. */
export interface RequestWords {
  /** `read s3://bucket/key`. */
  readonly doing: string;
  /** `s3:GetObject`. */
  readonly right: string;
}

/** One request of the S3 protocol. */
export interface S3Request<T> extends RequestWords {
  readonly method: "GET" | "PUT" | "POST" | "DELETE" | "HEAD";
  /** Key in the bucket; absent: the bucket itself. */
  readonly key?: string | undefined;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Up to here, by `performance.now()`, an answer is waited for in any case. */
  readonly answerByMs?: number;
  /**
   * Called when a try ended without an answer of the server, which may carry it out all the same, or later. The runtime
   * makes no tries of its own then.
   */
  readonly onLost?: () => void;
  /**
   * Makes something of the answer. What it throws counts as a damaged answer and the request is sent again, but
   * for a `RefusalInAnswer`.
   */
  read(exchange: Exchange): Promise<T>;
  /** A refusal that is a result: `undefined` for those that are not. */
  readonly onRefusal?: (refused: RefusedRequest) => T | undefined;
  /** The exchange goes on after `read`, whoever has it finishes it. Default false. */
  readonly keepsOpen?: boolean;
}

/** An error inside of an answer that said 200. */
export class RefusalInAnswer extends Error {
  constructor(readonly document: ErrorDocument) {
    super(document.code);
  }
}

/** How long a server is waited for. */
export interface Patience {
  /** For the head of an answer, without the time that the body needs. */
  readonly answerMs: number;
  /** Without a single byte of the body of an answer. */
  readonly stallMs: number;
  /** Bytes per second that an upload must reach, since nothing is seen of its progress. */
  readonly slowestUpload: number;
  /** For the answer that ends an upload in parts, without the time that the server takes to copy their bytes. */
  readonly completionMs: number;
  /** Bytes per second that a server copies parts with, at worst: those that keep files copy all before they answer. */
  readonly slowestCopy: number;
}

/** What a connection is made of. */
export interface ConnectionOptions {
  readonly address: BucketAddress;
  readonly bucket: string;
  /** Absent: found out from the first answer of AWS. */
  readonly region: string | undefined;
  readonly credentials: CredentialsProvider;
  readonly http: HttpClient;
  readonly patience: Patience;
  readonly retry: RetryPolicy;
  readonly logger: Logger;
}

type Outcome<T> = { readonly result: T } | { readonly refused: RefusedRequest } | { readonly error: unknown };

/** Then the status alone is believed: a proxy on the way may cut off every refusal. */
const LOST_REFUSALS = 4;

/** The longest wait for a server that isn't there, and at which no look finds anybody. */
const AWAY_WAIT_MS = 2000;

/** What was done already for one request, so that it isn't done twice. */
interface Detours {
  location?: string;
  hasChangedRegion: boolean;
  hasRenewed: boolean;
  /** Refusals of which only the status came. */
  lostCount: number;
}

/** Signs requests for one bucket, sends them, and sends them again. */
export class S3Connection {
  readonly #options: ConnectionOptions;
  readonly #signer = new RequestSigner({ service: "s3" });
  readonly #uplink: Uplink;
  #region: string;
  /** With what was asked for: then it is the right server. */
  #hasAnswered = false;
  /** When it was last said that the server fails. */
  #toldAtMs = -Infinity;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#region = options.region ?? "us-east-1";
    this.#uplink = new Uplink(options.address.server(this.#region));
  }

  /** The region that requests are signed for. */
  get region(): string {
    return this.#region;
  }

  /**
   * Send `request` until it succeeds, is refused for good, or the tries are used up.
   *
   * @throws {StoreError} in one line; or the signal's reason
   */
  async send<T>(request: S3Request<T>): Promise<T> {
    const detours: Detours = { hasChangedRegion: false, hasRenewed: false, lostCount: 0 };
    let failedAtMs: number | undefined;
    for (let tries = 1;; tries++) {
      request.signal?.throwIfAborted();
      const { outcome, credentials, region } = await this.#tryInTurn(request, detours);
      if ("error" in outcome && outcome.error instanceof LostRefusalError) detours.lostCount++;
      if ("result" in outcome) return outcome.result;
      if (isLost(outcome)) request.onLost?.();
      const reaction = "refused" in outcome ? reactTo(outcome.refused) : this.#reactToError(outcome.error);
      if (await this.#takeDetour(reaction, { request, detours, credentials, signedFor: region })) continue;
      failedAtMs ??= performance.now();
      const isOver = tries >= this.#options.retry.tries;
      if (reaction.act !== "retry" || isOver && !this.#keepsTrying(failedAtMs)) {
        throw this.#failure(request, outcome, { isTransient: reaction.act === "retry", tries });
      }
      const policy = this.#policyFor(reaction);
      const waitMs = waitBefore(tries, { policy, askedMs: reaction.afterMs });
      this.#tellRetry({
        request: request.doing,
        error: "refused" in outcome ? outcome.refused.code : describeError(outcome.error),
        waitMs: Math.round(waitMs),
      }, { isLoud: isOver });
      await this.#waitFor(reaction, { waitMs, signal: request.signal });
    }
  }

  /** Resolves once something answers at the server where nothing did; rejects with the signal's reason. */
  async answering({ signal }: { signal: AbortSignal }): Promise<void> {
    // Where requests go: the bucket may have a host of its own.
    const server = new URL(this.#options.address.url({ region: this.#region })).origin;
    const look = async (signal: AbortSignal) => {
      const request = { method: "HEAD", url: `${server}/`, headers: {}, signal };
      const { body } = await this.#options.http.send(request);
      await body?.cancel();
      return true;
    };
    await Absence.of(server).over({ look, signal });
  }

  async #waitFor(reaction: Reaction & { kind?: HttpFailureKind }, { waitMs, signal }: {
    waitMs: number;
    signal: AbortSignal | undefined;
  }): Promise<void> {
    const pause = (signal?: AbortSignal) => sleep(waitMs, { signal });
    if (!isAway(reaction)) return await pause(signal);
    await firstOf([pause, (signal) => this.answering({ signal })], { signal });
  }

  /** Signed when its turn has come: that may take longer than a signature holds. */
  async #tryInTurn<T>(
    request: S3Request<T>,
    detours: Detours,
  ): Promise<{ outcome: Outcome<T>; credentials: Credentials; region: string }> {
    const { body, signal } = request;
    using _turn = await this.#uplink.turn(body?.length ?? 0, { signal });
    const credentials = await this.#options.credentials.get({ signal });
    const region = this.#region;
    return { outcome: await this.#try(request, { credentials, ...detours }), credentials, region };
  }

  #keepsTrying(failedAtMs: number): boolean {
    return this.#hasAnswered && performance.now() - failedAtMs < this.#options.retry.keepTryingMs;
  }

  /** Loud now and then, for all requests that fail together: somebody waits, and should know for what. */
  #tellRetry(fields: LogFields, { isLoud }: { isLoud: boolean }): void {
    const { logger, retry } = this.#options;
    const nowMs = performance.now();
    if (!isLoud || nowMs - this.#toldAtMs < retry.keepTryingMs) {
      return logger.debug("S3 request failed, trying again", fields);
    }
    this.#toldAtMs = nowMs;
    const seconds = Math.round(retry.keepTryingMs / 1000);
    logger.warn(`S3 requests fail, they are tried for up to ${seconds} s`, fields);
  }

  async #try<T>(
    request: S3Request<T>,
    { credentials, location, lostCount }: {
      credentials: Credentials;
      location?: string | undefined;
      lostCount: number;
    },
  ): Promise<Outcome<T>> {
    const { patience, http, address } = this.#options;
    const { method, key, query, body, signal } = request;
    const isSentOnce = request.onLost !== undefined;
    const size = body?.length ?? 0;
    const url = location ?? address.url({
      region: this.#region,
      ...(key === undefined ? {} : { key }),
      ...(query === undefined ? {} : { query }),
    });
    const signed = await this.#signer.sign({ method, url, headers: request.headers ?? {} }, {
      credentials,
      region: this.#region,
    });
    // Not signed: proxies on the way change it. Without it the runtimes would ask for compressed answers.
    const headers = { ...signed, "accept-encoding": "identity" };
    const exchange = new Exchange(signal, { stallMs: patience.stallMs });
    const limitMs = this.#answerLimit(request);
    let isOpen = false;
    try {
      const beganMs = performance.now();
      await exchange.begin((signal) => http.send({ method, url, headers, body, signal, isSentOnce }), {
        limitMs,
      });
      const { status } = exchange.response;
      if (status < 200 || status >= 300) {
        const [mayBeLost, isKnown] = [lostCount >= LOST_REFUSALS, this.#hasAnswered];
        const isDeletion = method === "DELETE" && query === undefined;
        const refused = await receiveRefusal(exchange, { method, isDeletion, mayBeLost, isKnown });
        const result = request.onRefusal?.(refused);
        return result === undefined ? { refused } : { result };
      }
      this.#uplink.noteSent({ size, tookMs: performance.now() - beganMs, limitMs });
      const result = await request.read(exchange);
      this.#hasAnswered = true;
      isOpen = request.keepsOpen === true;
      return { result };
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error instanceof StallError) this.#uplink.noteStalled(size);
      if (error instanceof RefusalInAnswer) {
        return { refused: refusalOf(exchange, error.document) };
      }
      return { error };
    } finally {
      if (!isOpen) exchange.finish();
    }
  }

  /** Milliseconds for the head of an answer from now on. */
  #answerLimit({ body, answerByMs = 0 }: { body?: Uint8Array | undefined; answerByMs?: number }): number {
    const { answerMs, slowestUpload } = this.#options.patience;
    return Math.max(
      answerMs + (body?.length ?? 0) / slowestUpload * 1000,
      answerByMs - performance.now(),
    );
  }

  /** A server that isn't there is not spared by waiting long. */
  #policyFor(reaction: Reaction & { kind?: HttpFailureKind }): RetryPolicy {
    const { retry } = this.#options;
    return isAway(reaction)
      ? { ...retry, longestWaitMs: Math.min(retry.longestWaitMs, AWAY_WAIT_MS) }
      : retry;
  }

  #reactToError(error: unknown): Reaction & { kind?: HttpFailureKind } {
    // Neither cut nor stalled: the answer was not what it should be, so a part of it may be missing.
    if (isDamagedAnswer(error)) return { act: "retry" };
    const reaction = reactToNetwork(error);
    // A name that was known before is not a wrong one: this machine's line is away.
    const isKnown = this.#hasAnswered && this.#options.retry.keepTryingMs > 0;
    return reaction.kind === "no-such-host" && isKnown ? { ...reaction, act: "retry" } : reaction;
  }

  /** Whether something was changed that makes it worth while to send the request at once again. */
  async #takeDetour(
    reaction: Reaction,
    { request: { signal }, detours, credentials, signedFor }: {
      request: { readonly signal?: AbortSignal | undefined };
      detours: Detours;
      credentials: Credentials;
      signedFor: string;
    },
  ): Promise<boolean> {
    const { logger, region: configured } = this.#options;
    if (reaction.act === "renew-credentials" && !detours.hasRenewed) {
      detours.hasRenewed = true;
      this.#options.credentials.discard(credentials);
      return !reaction.mustDiffer || await this.#hasOtherKeys(credentials, signal);
    }
    if (reaction.act === "go-to" && detours.location === undefined && this.#mayGoTo(reaction.location)) {
      detours.location = reaction.location;
      return true;
    }
    if (detours.hasChangedRegion || (reaction.act !== "change-region" && reaction.act !== "find-region")) {
      return false;
    }
    detours.hasChangedRegion = true;
    const region = reaction.act === "change-region"
      ? reaction.region
      : await this.#findRegion(credentials, signal);
    if (region === undefined) return false;
    // Another request may have found it meanwhile.
    if (region === this.#region) return region !== signedFor;
    this.#region = region;
    if (configured === undefined) logger.debug("bucket found", { region });
    else logger.warn("bucket is in another region than configured, using that", { configured, region });
    return true;
  }

  /** Where there are none for now, the server's refusal is what is to be told. */
  async #hasOtherKeys(credentials: Credentials, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      return !areSameKeys(await this.#options.credentials.get({ signal }), credentials);
    } catch {
      signal?.throwIfAborted();
      return false;
    }
  }

  async #findRegion(
    credentials: Credentials,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    let found: string | undefined;
    const note = (headers: Headers) => found = headers.get("x-amz-bucket-region") ?? undefined;
    const outcome = await this.#try<true>({
      doing: "find the region",
      right: "s3:ListBucket",
      method: "HEAD",
      signal,
      read: ({ response }) => Promise.resolve((note(response.headers), true as const)),
      onRefusal: ({ region }) => ((found = region), true),
    }, { credentials, lostCount: LOST_REFUSALS });
    return "result" in outcome ? found : undefined;
  }

  /** AWS sends requests for new buckets elsewhere for a while; nobody else is to get our objects. */
  #mayGoTo(location: string): boolean {
    if (!URL.canParse(location)) return false;
    const target = new URL(location);
    const own = new URL(this.#options.address.server(this.#region));
    const isAws = this.#options.address.isAws && /\.amazonaws\.com(\.cn)?$/.test(target.hostname);
    return target.protocol === own.protocol && (isAws || target.host.endsWith(`.${own.host}`));
  }

  /** The error to end with when the answer to `request` could not be read, `tries` times. */
  explain(request: RequestWords, { cause, tries }: { cause: unknown; tries: number }): Error {
    const subject = this.#subject(request);
    if (isDamagedAnswer(cause)) return answerError(subject, { tries, cause });
    return networkError(subject, { kind: reactToNetwork(cause).kind, tries, cause });
  }

  #failure(
    request: RequestWords,
    outcome: { readonly refused: RefusedRequest } | { readonly error: unknown },
    { isTransient, tries }: { isTransient: boolean; tries: number },
  ): Error {
    if (!("refused" in outcome)) return this.explain(request, { cause: outcome.error, tries });
    return refusalError(this.#subject(request), outcome.refused, { isTransient, tries });
  }

  #subject({ doing, right }: RequestWords): RequestSubject {
    const { bucket, address } = this.#options;
    const region = this.#region;
    return { cannot: `cannot ${doing}`, bucket, right, region, server: address.server(region) };
  }
}

/** Whether nobody got the request. */
function isAway({ kind }: { readonly kind?: HttpFailureKind }): boolean {
  return kind !== undefined && AWAY_KINDS.has(kind);
}

/** A gateway got no answer, or none whole; those above 511 are Cloudflare's and Supabase's own. */
const LOST_STATUSES: ReadonlySet<number> = new Set([502, 504, 520, 521, 522, 523, 524, 544]);

/** Whether no answer of the server came, or not whole: a gateway's that it got none is no better. */
function isLost<T>(outcome: Outcome<T>): boolean {
  return "error" in outcome || "refused" in outcome && LOST_STATUSES.has(outcome.refused.status);
}

/** Whether an answer came that is cut, stalled, or not what it should be. */
function isDamagedAnswer(error: unknown): boolean {
  return error instanceof StallError || error instanceof LostRefusalError || !isNetworkError(error);
}
