/** A replica in a bucket of S3 or of a server that speaks its protocol. */
import { describeError, NotFoundError, StoreError, UsageError } from "../../errors.ts";
import { silentLogger } from "../../logger.ts";
import { silentMetrics } from "../../metrics.ts";
import { type HttpClient, openHttpClient } from "../../runtime/http.ts";
import { isObjectKey } from "../keys.ts";
import type {
  ByteRange,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  ReadOptions,
  ReadPart,
  StoreOptions,
} from "../object_store.ts";
import { bucketAddress } from "./address.ts";
import { sharedBufferPool } from "./buffer_pool.ts";
import { S3Connection } from "./connection.ts";
import { describePlace, type S3Context } from "./context.ts";
import { deleteObjects } from "./delete.ts";
import { download } from "./download.ts";
import { listPages } from "./listing.ts";
import { checkS3Options, S3_STORE_DEFAULTS, type S3StoreOptions } from "./options.ts";
import { MAX_PART_COUNT } from "./part_size.ts";
import { abortPendingUploads } from "./pending_uploads.ts";
import { cleanPrefix } from "./place.ts";
import { quirksOf } from "./providers.ts";
import { readInto } from "./read_into.ts";
import { RETRY_DEFAULTS, type RetryPolicy } from "./retry.ts";
import { upload } from "./upload.ts";

/** The store of type `s3`. */
export class S3Store implements ObjectStore {
  readonly type = "s3";
  readonly place: string;
  /** Empty, or with a slash at its end. */
  readonly #prefix: string;
  readonly #context: S3Context;
  readonly #ownHttp: HttpClient | undefined;
  readonly #staleUploadMs: number;

  /** @throws {UsageError} when an option can't be used; nothing is sent yet */
  constructor(options: S3StoreOptions) {
    checkS3Options(options);
    const path = cleanPrefix(options.path ?? "");
    this.#prefix = path === "" ? "" : `${path}/`;
    this.place = describePlace(options.bucket, path);
    this.#staleUploadMs = options.staleUploadMs ?? S3_STORE_DEFAULTS.staleUploadMs;
    const { hasBucketInHost } = quirksOf(options.endpoint);
    const forcePathStyle = options.forcePathStyle ?? (hasBucketInHost ? false : undefined);
    const address = bucketAddress({ ...options, forcePathStyle });
    if (options.http === undefined) this.#ownHttp = openHttp(options);
    this.#context = contextOf(options, { address, http: options.http ?? this.#ownHttp! });
  }

  async *list(prefix: string, { after, signal }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const whole = this.#prefix + checkPrefix(prefix);
    const begin = after === undefined ? {} : { after: this.#prefix + after };
    for await (const page of listPages(this.#context, { prefix: whole, ...begin, signal })) {
      for (const { key, size, modifiedAt } of page.objects) {
        // A name that ends in a slash is a folder that somebody made by hand, not an object of a replica.
        if (!key.startsWith(whole) || key.endsWith("/")) continue;
        yield { key: key.slice(this.#prefix.length), size, createdAt: modifiedAt };
      }
    }
  }

  async listFolders(prefix: string, { signal }: StoreOptions = {}): Promise<string[]> {
    const whole = this.#prefix + checkPrefix(prefix);
    const names = new Set<string>();
    for await (const page of listPages(this.#context, { prefix: whole, delimiter: "/", signal })) {
      for (const folder of page.prefixes) {
        if (folder.startsWith(whole)) names.add(folder.slice(whole.length, -1));
      }
    }
    names.delete("");
    return [...names];
  }

  async put(
    key: string,
    body: Uint8Array | ReadableStream<Uint8Array>,
    { signal }: StoreOptions = {},
  ): Promise<ObjectInfo> {
    try {
      return { key, ...await upload(this.#context, body, { key: this.#prefix + checkKey(key), signal }) };
    } catch (error) {
      // Tell the source that nobody will read on. Not awaited: one that hangs must not keep us from giving up.
      if (body instanceof ReadableStream && !body.locked) body.cancel(error).catch(() => {});
      throw error;
    }
  }

  async get(
    key: string,
    { range, signal }: StoreOptions & { range?: ByteRange } = {},
  ): Promise<ReadableStream<Uint8Array>> {
    return await download(this.#context, { key: this.#prefix + checkKey(key), range, signal });
  }

  async read(key: string, options: ReadOptions): Promise<ReadPart> {
    return await readInto(this.#context, { ...options, key: this.#prefix + checkKey(key) });
  }

  async delete(keys: readonly string[], { signal }: StoreOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    await deleteObjects(this.#context, { keys: keys.map((key) => this.#prefix + checkKey(key)), signal });
  }

  /**
   * Whether the bucket is there and the keys are good: one HeadBucket, and a listing of nothing when that is
   * refused, since only a listing says why.
   *
   * @throws {StoreError} in one line that says what to do
   */
  async check({ signal }: StoreOptions = {}): Promise<void> {
    const { connection, bucket } = this.#context;
    const isThere = await connection.send<boolean>({
      doing: `use ${describePlace(bucket, "")}`,
      right: "s3:ListBucket",
      method: "HEAD",
      signal,
      read: () => Promise.resolve(true),
      onRefusal: ({ status }) =>
        status === 301 ? undefined : status < 500 && status !== 429 ? false : undefined,
    });
    if (isThere) return;
    await connection.send<void>({
      doing: `use ${describePlace(bucket, "")}`,
      right: "s3:ListBucket",
      method: "GET",
      query: { "list-type": "2", "max-keys": "1", prefix: this.#prefix },
      signal,
      read: async (exchange) => void await exchange.text(),
    });
  }

  /**
   * Abort the uploads that a crash of ours left unfinished under this prefix. Meant for the start of a process;
   * a failure is logged and nothing more, since many credentials lack the right.
   *
   * @returns how many there were
   */
  async cleanUp({ signal }: StoreOptions = {}): Promise<number> {
    const { logger } = this.#context;
    try {
      const count = await abortPendingUploads(this.#context, {
        prefix: this.#prefix,
        // A bucket may hold other things under the same prefix, whose uploads are none of ours.
        isOurs: isObjectKey,
        before: new Date(Date.now() - this.#staleUploadMs),
        signal,
      });
      if (count > 0) logger.info("unfinished uploads cleaned up", { replica: this.place, count });
      return count;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof StoreError || error instanceof NotFoundError)) throw error;
      logger.debug("unfinished uploads can't be looked for", {
        replica: this.place,
        error: describeError(error),
      });
      return 0;
    }
  }

  answering({ signal }: { signal: AbortSignal }): Promise<void> {
    return this.#context.connection.answering({ signal });
  }

  /** Lets its connections go. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ownHttp?.[Symbol.dispose]();
    return Promise.resolve();
  }
}

function openHttp({ caCert, skipVerify }: S3StoreOptions): HttpClient {
  try {
    return openHttpClient({ caCert, skipVerify });
  } catch (error) {
    throw new UsageError("ca-cert holds no certificate in PEM", { cause: error });
  }
}

function contextOf(
  options: S3StoreOptions,
  { address, http }: { address: ReturnType<typeof bucketAddress>; http: HttpClient },
): S3Context {
  const { bucket, credentials, logger = silentLogger } = options;
  const quirks = quirksOf(options.endpoint);
  const region = options.region || quirks.region || (address.isAws ? undefined : "us-east-1");
  const retry: RetryPolicy = {
    tries: options.retry?.tries ?? RETRY_DEFAULTS.tries,
    firstWaitMs: options.retry?.firstWaitMs ?? RETRY_DEFAULTS.firstWaitMs,
    longestWaitMs: options.retry?.longestWaitMs ?? RETRY_DEFAULTS.longestWaitMs,
    keepTryingMs: options.retry?.keepTryingMs ?? RETRY_DEFAULTS.keepTryingMs,
    random: options.retry?.random ?? RETRY_DEFAULTS.random,
  };
  const patience = { ...S3_STORE_DEFAULTS.patience, ...options.patience };
  return {
    connection: new S3Connection({ address, bucket, region, credentials, http, patience, retry, logger }),
    bucket,
    buffers: options.buffers ?? sharedBufferPool(),
    partSize: options.partSize ?? S3_STORE_DEFAULTS.partSize,
    hasEqualParts: options.hasEqualParts ?? quirks.hasEqualParts ?? false,
    maxPartCount: MAX_PART_COUNT,
    concurrency: options.concurrency ?? S3_STORE_DEFAULTS.concurrency,
    rangeSize: options.rangeSize ?? S3_STORE_DEFAULTS.rangeSize,
    patience,
    retry,
    storageClass: options.storageClass,
    checksum: options.checksum ?? quirks.checksum ?? "auto",
    logger,
    metrics: options.metrics ?? silentMetrics,
    learned: (options.hasBatchDelete ?? quirks.hasBatchDelete) === false ? { lacksBatchDelete: true } : {},
    unfinished: [],
  };
}

/** Keys come from our layout or from a listing. */
function checkKey(key: string): string {
  const isSound = (part: string) => part !== "" && part !== "." && part !== "..";
  if (!key.split("/").every(isSound)) throw new Error(`not a key of a store: ${JSON.stringify(key)}`);
  return key;
}

function checkPrefix(prefix: string): string {
  if (prefix === "") return prefix;
  if (!prefix.endsWith("/")) throw new Error(`a prefix ends in a slash: ${JSON.stringify(prefix)}`);
  return `${checkKey(prefix.slice(0, -1))}/`;
}
