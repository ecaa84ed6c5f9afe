import { orAbort } from "../../../async.ts";
import { describeError, StoreError } from "../../../errors.ts";
import { type Logger, silentLogger } from "../../../logger.ts";
import { type Clock, systemClock } from "../../../runtime/clock.ts";
import type { StoreOptions } from "../../object_store.ts";
import type { Credentials, CredentialsProvider, CredentialsSource } from "./credentials.ts";

/** Temporary keys are renewed this long before they end: a long upload is signed part by part, each anew. */
const RENEW_BEFORE_MS = 5 * 60_000;

/** After a failed renewal the old keys are used on, and this long goes by before the next try. */
const RENEW_AGAIN_MS = 30_000;

/**
 * Asks its sources in order and stays with the first that has keys; renews temporary ones before they end, once
 * for all who ask.
 */
export class CredentialsChain implements CredentialsProvider {
  readonly #sources: readonly CredentialsSource[];
  readonly #clock: Clock;
  readonly #logger: Logger;
  #source: CredentialsSource | undefined;
  #current: Credentials | undefined;
  #renewAt = Infinity;
  #loading: Promise<Credentials> | undefined;

  constructor(
    sources: readonly CredentialsSource[],
    { clock = systemClock, logger = silentLogger }: { clock?: Clock; logger?: Logger } = {},
  ) {
    this.#sources = sources;
    this.#clock = clock;
    this.#logger = logger;
  }

  async get({ signal }: StoreOptions = {}): Promise<Credentials> {
    signal?.throwIfAborted();
    const current = this.#current;
    if (current !== undefined && this.#clock.now() < this.#renewAt) return current;
    // A renewal is waited for by one; while it lasts the others go on with the old keys, to their end.
    if (current !== undefined && this.#loading !== undefined && this.#holds(current)) return current;
    // Shared by all who wait, so it doesn't end with the signal of the one who began it.
    this.#loading ??= this.#load().finally(() => this.#loading = undefined);
    try {
      return await (signal === undefined ? this.#loading : orAbort(this.#loading, signal));
    } catch (error) {
      signal?.throwIfAborted();
      if (current === undefined || this.#current !== current || !this.#holds(current)) throw error;
      this.#renewAt = Math.min(endOf(current), this.#clock.now() + RENEW_AGAIN_MS);
      this.#logger.warn("cannot renew the S3 credentials, the old ones still hold", {
        until: current.expiresAt,
        error: describeError(error),
      });
      return current;
    }
  }

  discard(credentials: Credentials): void {
    if (this.#current === credentials) this.#current = undefined;
  }

  async #load(): Promise<Credentials> {
    for (const source of this.#source === undefined ? this.#sources : [this.#source]) {
      const credentials = await source.load();
      if (credentials === undefined) continue;
      this.#source = source;
      this.#current = credentials;
      this.#renewAt = this.#renewalTime(endOf(credentials));
      this.#logger.debug("S3 credentials found", { source: source.name, until: credentials.expiresAt });
      return credentials;
    }
    const places = this.#sources.map(({ name }) => name).join(", ");
    const passedOver = this.#sources.flatMap((source) => source.passedOver?.() ?? []);
    throw new StoreError(
      `no S3 credentials found: set access-key-id and secret-access-key, or LITESTREAM_ACCESS_KEY_ID and ` +
        `LITESTREAM_SECRET_ACCESS_KEY (looked in: ${[places, ...passedOver].join("; ")})`,
    );
  }

  /** Keys that are given out for minutes only are renewed at half their time, not at every request. */
  #renewalTime(endsAt: number): number {
    const now = this.#clock.now();
    return Math.max(endsAt - RENEW_BEFORE_MS, now + (endsAt - now) / 2);
  }
  #holds(credentials: Credentials): boolean {
    return this.#clock.now() < endOf(credentials);
  }
}

function endOf({ expiresAt }: Credentials): number {
  return expiresAt?.getTime() ?? Infinity;
}
