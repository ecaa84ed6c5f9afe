/** Raw bytes to one LZ4 data frame as Litestream writes it, behind a note if there is one. */
import { concatBytes, viewOf } from "../bytes.ts";
import { acquireBuffer, releaseBuffer, ROOM_AFTER, ROOM_BEFORE } from "./buffer_pool.ts";
import { ByteReader } from "./byte_reader.ts";
import { FRAME_HEADER, STORED_BIT } from "./lz4_format.ts";
import { BLOCK_LIMIT, compressBlock, XxHash32 } from "./lz4_kernel.ts";

/** Raw bytes up to here are gathered in a small buffer of the stream's own. */
const SMALL_LIMIT = 64 * 1024;
const EMPTY = new Uint8Array(0);

/** One block in front of whose size word `ahead` stands and behind which, if it is the last, the frame ends. */
interface BlockParts {
  /** Holds `rawSize` raw bytes from ROOM_BEFORE on and room before and after; is overwritten. */
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly rawSize: number;
  readonly ahead: Uint8Array;
  readonly isLast: boolean;
  readonly hash: XxHash32;
}

/** Turn the raw bytes in the buffer into the bytes that are sent, in place. */
function encodeBlock({ buffer, rawSize, ahead, isLast, hash }: BlockParts): Uint8Array<ArrayBuffer> {
  const view = viewOf(buffer);
  let start = ROOM_BEFORE;
  let end = ROOM_BEFORE;
  if (rawSize > 0) {
    const compressed = compressBlock(buffer.subarray(ROOM_BEFORE, ROOM_BEFORE + rawSize), { hash });
    if (compressed !== undefined) buffer.set(compressed, ROOM_BEFORE);
    end += compressed?.length ?? rawSize;
    start -= 4;
    view.setUint32(start, compressed?.length ?? (rawSize | STORED_BIT) >>> 0, true);
  }
  start -= ahead.length;
  buffer.set(ahead, start);
  if (isLast) {
    view.setUint32(end, 0, true);
    view.setUint32(end + 4, hash.digest(), true);
    end += ROOM_AFTER;
  }
  return buffer.subarray(start, end);
}

/** The state of one frame that is being written to a stream. */
class FrameEncoder {
  readonly #reader: ByteReader;
  readonly #hash = new XxHash32();
  #ahead: Uint8Array;
  #buffer: Uint8Array<ArrayBuffer> | undefined;
  #isPooled = false;
  #isDone = false;

  constructor(raw: ReadableStream<Uint8Array>, prefix: Uint8Array) {
    this.#reader = new ByteReader(raw);
    this.#ahead = concatBytes([prefix, Uint8Array.from(FRAME_HEADER)]);
  }

  /** Gather a block; most objects are small, so the large buffer is taken only when it is needed. */
  async #fill(): Promise<{ buffer: Uint8Array<ArrayBuffer>; rawSize: number; isLast: boolean }> {
    let filled = 0;
    if (!this.#isPooled) {
      const small = new Uint8Array(ROOM_BEFORE + SMALL_LIMIT + ROOM_AFTER);
      filled = await this.#reader.fill(small.subarray(ROOM_BEFORE, ROOM_BEFORE + SMALL_LIMIT));
      if (await this.#reader.isAtEnd()) return { buffer: small, rawSize: filled, isLast: true };
      this.#buffer = acquireBuffer();
      this.#isPooled = true;
      this.#buffer.set(small.subarray(ROOM_BEFORE, ROOM_BEFORE + filled), ROOM_BEFORE);
    }
    const buffer = this.#buffer!;
    const block = buffer.subarray(ROOM_BEFORE, ROOM_BEFORE + BLOCK_LIMIT);
    filled += await this.#reader.fill(block.subarray(filled));
    return { buffer, rawSize: filled, isLast: filled < BLOCK_LIMIT };
  }

  /** The next chunk, which holds until the next call; absent at the end. */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#isDone) return undefined;
    const { buffer, rawSize, isLast } = await this.#fill();
    const chunk = encodeBlock({ buffer, rawSize, isLast, ahead: this.#ahead, hash: this.#hash });
    this.#ahead = EMPTY;
    this.#isDone = isLast;
    return chunk;
  }

  /** Give the buffer back; the last chunk no longer holds. */
  release(): void {
    if (this.#buffer !== undefined) releaseBuffer(this.#buffer);
    this.#buffer = undefined;
  }

  /** Stop early. */
  async cancel(reason: unknown): Promise<void> {
    this.release();
    await this.#reader.cancel(reason);
  }
}

/** `prefix`, then `raw` as one data frame. A chunk holds until the next one is read or the stream is cancelled. */
export function encodeFrameStream(
  raw: ReadableStream<Uint8Array>,
  prefix: Uint8Array = EMPTY,
): ReadableStream<Uint8Array> {
  const encoder = new FrameEncoder(raw, prefix);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const chunk = await encoder.next();
        if (chunk !== undefined) return controller.enqueue(chunk);
      } catch (error) {
        await encoder.cancel(error);
        throw error;
      }
      encoder.release();
      controller.close();
    },
    cancel: (reason) => encoder.cancel(reason),
  }, { highWaterMark: 0 });
}

/** `prefix`, then `raw` as one data frame, in memory of its own. */
export function encodeFrameBytes(raw: Uint8Array, prefix: Uint8Array = EMPTY): Uint8Array<ArrayBuffer> {
  const hash = new XxHash32();
  const parts: Uint8Array[] = [prefix, Uint8Array.from(FRAME_HEADER)];
  for (let at = 0; at < raw.length; at += BLOCK_LIMIT) {
    const block = raw.subarray(at, at + BLOCK_LIMIT);
    const isLast = at + BLOCK_LIMIT >= raw.length;
    const compressed = compressBlock(block, { hash });
    const size = compressed?.length ?? (block.length | STORED_BIT) >>> 0;
    // A copy but of the last: what the kernel returns holds only until its next call.
    parts.push(wordBytes(size), (isLast ? compressed : compressed?.slice()) ?? block);
  }
  parts.push(new Uint8Array(ROOM_AFTER));
  const frame = concatBytes(parts);
  viewOf(frame).setUint32(frame.length - 4, hash.digest(), true);
  return frame;
}

function wordBytes(word: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, word, true);
  return bytes;
}
