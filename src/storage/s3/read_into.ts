/** A piece of an object in memory: what a restore consists of. */
import { sleep } from "../../async.ts";
import { readAll } from "../../bytes.ts";
import type { ReadOptions, ReadPart } from "../object_store.ts";
import { countOperation, describePlace, type S3Context } from "./context.ts";
import { checkWhole, download, missing, parseContentRange, SHORT_SIZE, strongEtag } from "./download.ts";
import type { Exchange } from "./exchange.ts";
import { isMissingObject } from "./failure.ts";
import { StallError } from "./http_body.ts";
import { waitBefore } from "./retry.ts";

/** An answer whose body is what is wanted. */
interface Opened {
  readonly exchange: Exchange;
  /** Where in the object its body ends. */
  readonly end: number;
  /** Bytes of the whole object. */
  readonly total: number | undefined;
}

/** What to read. */
interface PieceOptions extends ReadOptions {
  /** Whole, in the bucket. */
  readonly key: string;
}

/**
 * Read `size` bytes of an object from `start` on. A body is first asked for at one go, which costs no copy of it and tells
 * nothing of what came before it broke off; after that it is read chunk by chunk and gone on with at the byte where it
 * breaks off, with If-Match. A whole object is checked against its ETag.
 *
 * @throws {NotFoundError} when there is no such object
 */
export async function readInto(context: S3Context, options: PieceOptions): Promise<ReadPart> {
  return await new PieceRead(context, options).run();
}

class PieceRead {
  readonly #context: S3Context;
  readonly #options: PieceOptions;
  readonly #start: number;
  #memory: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #filled = 0;
  /** From the first failure on. */
  #isInChunks = false;
  /** Of what is in memory. */
  #etag: string | undefined;
  readonly #digests: string[] = [];

  constructor(context: S3Context, options: PieceOptions) {
    this.#context = context;
    this.#options = options;
    this.#start = options.start ?? 0;
  }

  async run(): Promise<ReadPart> {
    const { connection, retry } = this.#context;
    const { signal } = this.#options;
    for (let tries = 1;; tries++) {
      const before = this.#filled;
      const opened = await this.#open();
      if (opened === "past the end") return this.#result(undefined);
      if (opened === "no ranges") return await this.#readStream();
      try {
        await this.#fill(opened);
        if (this.#isShort(opened)) {
          // A server may answer with less than asked for; it goes on from there, with all tries.
          this.#isInChunks = true;
          tries = 0;
          continue;
        }
        this.#check(opened);
        return this.#result(opened.total);
      } catch (error) {
        signal?.throwIfAborted();
        if (this.#filled > before) tries = 1;
        if (tries >= retry.tries) throw connection.explain(this.#words, { cause: error, tries });
        this.#isInChunks = true;
        await sleep(waitBefore(tries, { policy: retry }), { signal });
      } finally {
        opened.exchange.finish();
      }
    }
  }

  /** Whether the object goes on behind what has come of the piece; behind the end of one of unknown length comes "past the end". */
  #isShort({ total }: Opened): boolean {
    return this.#filled < Math.min(this.#options.size, (total ?? Infinity) - this.#start);
  }

  get #words() {
    const { key } = this.#options;
    return { doing: `read ${describePlace(this.#context.bucket, key)}`, right: "s3:GetObject" };
  }

  /** The request has its own tries. */
  async #open(): Promise<Opened | "past the end" | "no ranges"> {
    const { key, size, signal } = this.#options;
    const [from, end] = [this.#start + this.#filled, this.#start + size];
    const condition = this.#filled > 0 && this.#etag !== undefined ? { "if-match": this.#etag } : {};
    const opened = await this.#context.connection.send<
      Opened | "none" | "replaced" | "past the end" | "no ranges"
    >({
      ...this.#words,
      method: "GET",
      key,
      headers: { range: `bytes=${from}-${end - 1}`, ...condition },
      signal,
      keepsOpen: true,
      read: (exchange) => Promise.resolve(this.#judge(exchange, from)),
      onRefusal(refused) {
        if (isMissingObject(refused)) return "none";
        if (refused.status === 412) return "replaced";
        return refused.status === 416 ? "past the end" : undefined;
      },
    });
    if (opened === "none") throw missing(this.#context, key);
    const place = describePlace(this.#context.bucket, key);
    if (opened === "replaced") throw new Error(`${place} was replaced while it was read; read it again`);
    return opened;
  }

  /** Whether the answer is the one to the question; throws where another try may get it. */
  #judge(exchange: Exchange, from: number): Opened | "replaced" | "no ranges" {
    const { status, headers } = exchange.response;
    const piece = status === 206 ? parseContentRange(headers.get("content-range")) : undefined;
    if (status === 206 && (piece?.start !== from || piece.end <= from)) {
      throw new Error("the server gives another range than asked for");
    }
    const length = Number(headers.get("content-length") ?? NaN);
    const [end, total] = piece === undefined ? [length, length] : [piece.end, piece.total];
    if (piece === undefined && (from > 0 || !(length <= this.#options.size))) {
      exchange.finish();
      return "no ranges";
    }
    const etag = strongEtag(headers);
    if (this.#filled > 0 && etag !== this.#etag) {
      exchange.finish();
      return "replaced";
    }
    this.#etag = etag;
    countOperation(this.#context, { operation: "GET", size: end - from });
    return { exchange, end: Math.min(end, this.#start + this.#options.size), total };
  }

  async #fill({ exchange, end }: Opened): Promise<void> {
    const size = end - this.#start;
    const announced = Number(exchange.response.headers.get("content-length") ?? NaN);
    if (!this.#isInChunks && announced === size && this.#isQuick(size)) {
      const whole = await this.#takeWhole(exchange, size);
      if (whole.length !== size) throw new Error(`the body ended after ${whole.length} of ${size} bytes`);
      this.#memory = whole;
      this.#filled = size;
      return;
    }
    if (this.#memory.length < size) {
      const before = this.#memory.subarray(0, this.#filled);
      this.#memory = this.#options.acquire();
      this.#memory.set(before);
    }
    for (;;) {
      const chunk = await exchange.read();
      if (chunk === undefined) break;
      if (this.#filled + chunk.length > size) {
        throw new Error("the server gives more bytes than it announced");
      }
      this.#memory.set(chunk, this.#filled);
      this.#filled += chunk.length;
    }
    if (this.#filled < size) {
      throw new Error(`the body ended at byte ${this.#start + this.#filled} instead of ${end}`);
    }
  }

  /** Whether so many bytes can be expected in the time that silence is borne. */
  #isQuick(size: number): boolean {
    return size <= SHORT_SIZE || this.#context.learned.isSlow !== true;
  }

  async #takeWhole(exchange: Exchange, size: number): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return await exchange.whole();
    } catch (error) {
      // A slow line looks like one on which nothing comes any more: chunks tell them apart.
      if (error instanceof StallError && size > SHORT_SIZE) this.#context.learned.isSlow = true;
      throw error;
    }
  }

  #check({ exchange, total }: Opened): void {
    if (this.#start > 0 || this.#filled !== total) return;
    const bytes = this.#memory.subarray(0, this.#filled);
    try {
      checkWhole(this.#context, { bytes, headers: exchange.response.headers, digests: this.#digests });
    } catch (error) {
      this.#filled = 0;
      throw error;
    }
  }

  async #readStream(): Promise<ReadPart> {
    const { key, size, signal } = this.#options;
    const [start, end] = [this.#start, this.#start + size];
    const stream = await download(this.#context, { key, range: { start, end }, signal });
    const bytes = await readAll(stream, { limit: size });
    return { bytes, objectSize: undefined };
  }

  #result(objectSize: number | undefined): ReadPart {
    return { bytes: this.#memory.subarray(0, this.#filled), objectSize, version: this.#etag };
  }
}
