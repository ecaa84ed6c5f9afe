/** One segment of the shadow WAL on its way into a replica. */
import { readVerified, type VerifiedBytes, verifySegment } from "./verify_segment.ts";
import { Semaphore } from "../async.ts";
import { acquireBuffer, releaseBuffer } from "../codec/buffer_pool.ts";
import { encodeObject, encodeObjectBytes } from "../codec/object.ts";
import type { Note } from "../codec/note.ts";
import { readAhead } from "../bytes.ts";
import type { Segment } from "../database/segment.ts";
import { segmentKey } from "../storage/keys.ts";
import type { ObjectInfo } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** Segments up to this size go as one array: no stream, no multipart upload. */
const SMALL_BYTES = 1 << 20;

/** Up to this size fresh memory costs nothing; beyond it a busy database would have a mebibyte of it each second. */
const TINY_BYTES = 64 * 1024;

/** Segments of the whole process that are ready before their turn: each holds a block of 4 MiB. */
const readyPlaces = new Semaphore(2);

type Body = Uint8Array | ReadableStream<Uint8Array>;

/** What an upload takes beside the segment. */
export interface SegmentUploadOptions {
  /** That of the database. */
  readonly pageSize: number;
  readonly newestCommitAt: Date;
}

/** The upload of one segment: `put` it, or `discard` it. */
export class SegmentUpload {
  readonly segment: Segment;
  readonly #client: ReplicaClient;
  readonly #pageSize: number;
  readonly #note: Note;
  /** What goes as a stream. */
  #verified: VerifiedBytes | undefined;
  #preparing: Promise<Body> | undefined;
  #place: Disposable | undefined;

  constructor(
    client: ReplicaClient,
    segment: Segment,
    { pageSize, newestCommitAt }: SegmentUploadOptions,
  ) {
    const { generation, index, offset, previousEnd } = segment;
    this.segment = segment;
    this.#client = client;
    this.#note = { kind: "segment", generation, index, offset, newestCommitAt, previousEnd };
    this.#pageSize = pageSize;
  }

  /**
   * Read and compress it before its turn, a large one only its first block, while this process has room for that.
   * Resolves when that is done; what fails then fails `put`. Once is enough.
   */
  async prepare(): Promise<void> {
    if (this.#preparing === undefined) {
      this.#place = readyPlaces.tryAcquire();
      if (this.#place === undefined) return;
      this.#preparing = this.#encodeAhead();
    }
    await this.#preparing.catch(() => {});
  }

  async #encodeAhead(): Promise<Body> {
    const body = await this.#encode();
    return body instanceof Uint8Array ? body : await readAhead(body);
  }

  async #encode(): Promise<Body> {
    const [segment, note, pageSize] = [this.segment, this.#note, this.#pageSize];
    if (segment.length > SMALL_BYTES) {
      this.#verified = verifySegment(segment, { pageSize });
      return encodeObject(this.#verified.bytes, { note });
    }
    const buffer = segment.length <= TINY_BYTES ? new Uint8Array(segment.length) : acquireBuffer();
    const into = buffer.subarray(0, segment.length);
    await readVerified(segment, { into, pageSize });
    const body = encodeObjectBytes(into, { note });
    if (segment.length > TINY_BYTES) releaseBuffer(buffer);
    return body;
  }

  /**
   * Store the segment under its name, with its note in front.
   *
   * @throws {ContinuityLostError} when its bytes are not a sound piece of a WAL; nothing is stored then
   */
  async put({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<ObjectInfo> {
    // It is an upload like any other now.
    this.#place?.[Symbol.dispose]();
    try {
      const body = await (this.#preparing ?? this.#encode());
      return await this.#client.put(segmentKey(this.segment), body, { signal });
    } catch (error) {
      // A store may wrap what its source failed with.
      throw this.#verified?.problem() ?? error;
    }
  }

  /** Let go of what was prepared. */
  async discard(): Promise<void> {
    const body = await this.#preparing?.catch(() => undefined);
    if (body instanceof ReadableStream) await body.cancel().catch(() => {});
    this.#place?.[Symbol.dispose]();
  }
}
