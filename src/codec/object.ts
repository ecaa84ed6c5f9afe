/**
 * Stored objects: raw bytes, a note in front, one LZ4 frame; in an encrypted replica all of that inside one age file.
 *
 * Whoever writes gets plain objects here and stores them through `ReplicaClient.put()`, which alone encrypts.
 *
 * @see docs/FORMAT.md, "Object"
 */
import { concatBytes } from "../bytes.ts";
import type { Cipher } from "../cipher.ts";
import { acquireBuffer, releaseBuffer } from "./buffer_pool.ts";
import { ByteReader } from "./byte_reader.ts";
import { FrameDecoder } from "./lz4_decode.ts";
import { type Compressor, encodeFrameBytes, encodeFrameStream } from "./lz4_encode.ts";
import type { Kernel } from "./lz4_kernel.ts";
import { encodeNote } from "./note.ts";
import type { Note } from "./note.ts";
import { unseal } from "./sealed.ts";

/** How an object is encoded. */
export interface EncodeOptions {
  /** What stands in front; default none. */
  readonly note?: Note | undefined;
  /** Called for a long stream, of which it compresses a part: four blocks of 4 MiB are then on their way. Default: none. */
  readonly openCompressor?: (() => Compressor) | undefined;
}

/** How an object is read. */
export interface DecodeOptions {
  /** The replica's; default none, and an encrypted object fails. */
  readonly cipher?: Cipher | undefined;
  /**
   * Instances of `acquireKernel()` that blocks are decoded in, in turn; they stay the caller's. With n of them a chunk,
   * which is the memory of one, holds until n more have been read, also at the end. Default: chunks are copies out of
   * the shared instance in a buffer of the pool.
   */
  readonly kernels?: readonly Kernel[] | undefined;
}

/** What stands in front of an object. */
export interface ObjectNote {
  /** Absent when there is none of ours, it is newer than this program, or it is damaged. */
  readonly note: Note | undefined;
  /** What is wrong with a note of ours; the content is judged by its own checksum all the same. */
  readonly noteDamage: string | undefined;
}

/** An object while it is read. */
export interface DecodedStream extends ObjectNote {
  /** The raw bytes. They are proven only when the stream has ended without an error. */
  readonly raw: ReadableStream<Uint8Array>;
}

/** A whole object. */
export interface DecodedBytes extends ObjectNote {
  readonly raw: Uint8Array<ArrayBuffer>;
}

const TRAILING_DATA = "there is data after the end of the LZ4 frame";

/** Blocks up to this size get memory of their own; larger ones share a buffer from the pool. */
const SMALL_LIMIT = 64 * 1024;

/**
 * The bytes of `raw` to store. Memory stays flat whatever the size.
 *
 * An error of the source becomes the stream's, a cancel is passed on to the source. A chunk holds until the next
 * one is read or the stream is cancelled.
 */
export function encodeObject(
  raw: ReadableStream<Uint8Array>,
  { note, openCompressor }: EncodeOptions = {},
): ReadableStream<Uint8Array> {
  return encodeFrameStream(raw, note && encodeNote(note), { openCompressor });
}

/** The bytes of `raw` to store, in memory of their own; for objects that are small. */
export function encodeObjectBytes(
  raw: Uint8Array,
  { note }: Pick<EncodeOptions, "note"> = {},
): Uint8Array<ArrayBuffer> {
  return encodeFrameBytes(raw, note && encodeNote(note));
}

/** An object that is being read from a stream. */
class ObjectReader {
  readonly decoder = new FrameDecoder();
  readonly #reader: ByteReader;
  readonly #kernels: readonly Kernel[];
  #blockCount = 0;
  #buffer: Uint8Array<ArrayBuffer> | undefined;

  constructor(stored: ReadableStream<Uint8Array>, { kernels = [] }: Pick<DecodeOptions, "kernels"> = {}) {
    this.#reader = new ByteReader(stored);
    this.#kernels = kernels;
  }

  /** Whose turn it is; absent: the shared one's. */
  get #kernel(): Kernel | undefined {
    return this.#kernels[this.#blockCount % this.#kernels.length];
  }

  /** The buffer serves the gathering of a block and then its raw bytes: the first is over before the second. */
  #bufferFor(size: number): Uint8Array<ArrayBuffer> {
    if (size <= SMALL_LIMIT) return new Uint8Array(size);
    if (this.#kernel !== undefined) return this.#kernel.input;
    this.#buffer ??= acquireBuffer();
    return this.#buffer;
  }

  /** Feed the decoder once; what it returns holds until the next call. */
  async #feed(): Promise<Uint8Array | undefined> {
    const { decoder } = this;
    const kernel = this.#kernel;
    if (await this.#reader.skip(decoder.passOver) < decoder.passOver) throw decoder.truncated();
    const bytes = await this.#reader.take(decoder.wanted, (size) => this.#bufferFor(size));
    if (bytes.length < decoder.wanted) throw decoder.truncated();
    const raw = decoder.take(bytes, kernel);
    if (raw === undefined || raw.length === 0) return undefined;
    this.#blockCount++;
    if (kernel !== undefined) return raw;
    // Without a wait in between: another stream's call would overwrite the kernel's memory.
    const chunk = this.#bufferFor(raw.length).subarray(0, raw.length);
    chunk.set(raw);
    return chunk;
  }

  /** Read up to the data frame, or only as far as `isEnough` says. */
  async readNotes(isEnough: () => boolean = () => false): Promise<void> {
    while (!this.decoder.isInDataFrame && !isEnough()) await this.#feed();
  }

  /** The next raw bytes; absent at the verified end. */
  async next(): Promise<Uint8Array | undefined> {
    while (!this.decoder.isComplete) {
      const raw = await this.#feed();
      if (raw !== undefined) return raw;
    }
    if (!await this.#reader.isAtEnd()) throw new Error(TRAILING_DATA);
    return undefined;
  }

  /** Give the buffer back; the last chunk no longer holds. */
  release(): void {
    if (this.#buffer !== undefined) releaseBuffer(this.#buffer);
    this.#buffer = undefined;
  }

  /** Stop early. */
  async cancel(reason?: unknown): Promise<void> {
    this.release();
    await this.#reader.cancel(reason);
  }
}

/**
 * Read an object: its note first, its content as a stream.
 *
 * @returns once the note and the start of the data frame have been read; `raw` holds the source until it has
 * ended or is cancelled
 * @throws {EncryptionError} when the keys don't fit; {ChecksumMismatchError} or an Error when the object isn't
 * whole; so does `raw`
 */
export async function decodeObject(
  stored: ReadableStream<Uint8Array>,
  { cipher, kernels }: DecodeOptions = {},
): Promise<DecodedStream> {
  const object = new ObjectReader(unseal(stored, cipher), { kernels });
  try {
    await object.readNotes();
  } catch (error) {
    await object.cancel(error);
    throw error;
  }
  const raw = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const chunk = await object.next();
        if (chunk !== undefined) return controller.enqueue(chunk);
      } catch (error) {
        await object.cancel(error);
        throw error;
      }
      object.release();
      controller.close();
    },
    cancel: (reason) => object.cancel(reason),
  }, { highWaterMark: 0 });
  return { note: object.decoder.note, noteDamage: object.decoder.noteDamage, raw };
}

/**
 * Read a whole object at once: the quick way for thousands of small ones. It takes what `unsealBytes()` returns.
 *
 * @param limit the most raw bytes it may decode to; default 1 GiB
 * @throws {ChecksumMismatchError} or an Error when the object isn't whole or decodes to more than the limit
 */
export function decodeObjectBytes(
  stored: Uint8Array,
  { limit = 1024 ** 3 }: { limit?: number } = {},
): DecodedBytes {
  const decoder = new FrameDecoder();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  let at = 0;
  while (!decoder.isComplete) {
    const from = at + decoder.passOver;
    at = from + decoder.wanted;
    if (at > stored.length) throw decoder.truncated();
    const raw = decoder.take(stored.subarray(from, at));
    if (raw === undefined || raw.length === 0) continue;
    size += raw.length;
    if (size > limit) throw new Error(`object decodes to more than ${limit} bytes`);
    // The copy: what the decoder returns holds only until its next call.
    parts.push(raw.slice() as Uint8Array<ArrayBuffer>);
  }
  if (at < stored.length) throw new Error(TRAILING_DATA);
  const [only] = parts;
  const raw = parts.length === 1 && only !== undefined ? only : concatBytes(parts);
  return { note: decoder.note, noteDamage: decoder.noteDamage, raw };
}

/** Read only the note of an object; the rest of the source is cancelled. */
export async function readNote(
  stored: ReadableStream<Uint8Array>,
  { cipher }: Pick<DecodeOptions, "cipher"> = {},
): Promise<ObjectNote> {
  const object = new ObjectReader(unseal(stored, cipher));
  const { decoder } = object;
  try {
    await object.readNotes(() => decoder.note !== undefined || decoder.noteDamage !== undefined);
  } finally {
    await object.cancel();
  }
  return { note: decoder.note, noteDamage: decoder.noteDamage };
}
