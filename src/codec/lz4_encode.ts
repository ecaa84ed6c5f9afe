/** Raw bytes to one LZ4 data frame as Litestream writes it, behind a note if there is one. */
import { concatBytes, viewOf } from "../bytes.ts";
import { acquireBuffer, releaseBuffer, ROOM_AFTER, ROOM_BEFORE } from "./buffer_pool.ts";
import { ByteReader } from "./byte_reader.ts";
import { FRAME_HEADER, STORED_BIT } from "./lz4_format.ts";
import { BLOCK_LIMIT, compressBlock, XxHash32 } from "./lz4_kernel.ts";

/** Raw bytes up to here are gathered in a small buffer of the stream's own. */
const SMALL_LIMIT = 64 * 1024;
const EMPTY = new Uint8Array(0);

/** Blocks after which a stream is a long one: a tenth of a second of compression is worth a thread. */
const LONG_FROM = 8;

/** Blocks of a long stream that are begun before the first of them is sent: the compressor's, and one of our own. */
const BLOCKS_AHEAD = 3;

/** A block in memory that is given away with it. */
export interface BlockInMemory {
  /** All of an `ArrayBuffer`. */
  readonly buffer: Uint8Array<ArrayBuffer>;
  /** Where in it the block begins. */
  readonly from: number;
  /** At most `BLOCK_LIMIT`. */
  readonly length: number;
}

/** What became of it. */
export interface CompressedBlock {
  /** The same memory, in another array. */
  readonly buffer: Uint8Array<ArrayBuffer>;
  /** Compressed bytes, in the place of the raw ones; 0 when the block would not shrink, and is as it was. */
  readonly size: number;
}

/** Compresses blocks beside us, as `compressBlock()` does. */
export interface Compressor extends Disposable {
  /** Whether it takes a block now, and not more than it can do soon. */
  readonly hasRoom: boolean;
  /** Compress a block, which there has to be room for; its `buffer` is of no use here from now on. */
  compress(block: BlockInMemory): Promise<CompressedBlock>;
}

/** A block on its way: from ROOM_BEFORE on, with room before and after. */
interface Block {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly rawSize: number;
  /** Compressed bytes; 0: the raw ones are sent as they are. */
  readonly size: number;
  readonly isLast: boolean;
}

/** How a stream is encoded. */
export interface FrameOptions {
  /** Called for a long stream, of which it compresses a part. Default: none. */
  readonly openCompressor?: (() => Compressor) | undefined;
}

/** The state of one frame that is being written to a stream. */
class FrameEncoder {
  readonly #reader: ByteReader;
  readonly #openCompressor: FrameOptions["openCompressor"];
  readonly #hash = new XxHash32();
  #ahead: Uint8Array;
  readonly #begun: Promise<Block>[] = [];
  #blockCount = 0;
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  /** The last chunk is in it. */
  #shown: Uint8Array<ArrayBuffer> | undefined;
  #compressor: Compressor | undefined;
  #isRead = false;

  constructor(raw: ReadableStream<Uint8Array>, prefix: Uint8Array, { openCompressor }: FrameOptions) {
    this.#reader = new ByteReader(raw);
    this.#openCompressor = openCompressor;
    this.#ahead = concatBytes([prefix, Uint8Array.from(FRAME_HEADER)]);
  }

  /** Gather a block; most objects are small, so a large buffer is taken only when it is needed. */
  async #fill(): Promise<Omit<Block, "size">> {
    let filled = 0;
    let small: Uint8Array<ArrayBuffer> | undefined;
    if (this.#blockCount === 0) {
      small = new Uint8Array(ROOM_BEFORE + SMALL_LIMIT + ROOM_AFTER);
      filled = await this.#reader.fill(small.subarray(ROOM_BEFORE, ROOM_BEFORE + SMALL_LIMIT));
      if (await this.#reader.isAtEnd()) return { buffer: small, rawSize: filled, isLast: true };
    }
    const buffer = this.#spare.pop() ?? acquireBuffer();
    if (small !== undefined) buffer.set(small.subarray(ROOM_BEFORE, ROOM_BEFORE + filled), ROOM_BEFORE);
    const block = buffer.subarray(ROOM_BEFORE, ROOM_BEFORE + BLOCK_LIMIT);
    filled += await this.#reader.fill(block.subarray(filled));
    return { buffer, rawSize: filled, isLast: filled < BLOCK_LIMIT };
  }

  /** Gather the next block, and compress it or have it compressed. */
  async #begin(): Promise<void> {
    const { buffer, rawSize, isLast } = await this.#fill();
    this.#isRead = isLast;
    this.#blockCount++;
    const raw = buffer.subarray(ROOM_BEFORE, ROOM_BEFORE + rawSize);
    if (this.#compressor?.hasRoom === true && !isLast) {
      this.#hash.update(raw);
      const compressed = this.#compressor.compress({ buffer, from: ROOM_BEFORE, length: rawSize });
      const block = compressed.then(({ buffer, size }) => ({ buffer, rawSize, size, isLast }));
      // Told when its turn comes.
      block.catch(() => {});
      this.#begun.push(block);
      return;
    }
    const compressed = rawSize === 0 ? undefined : compressBlock(raw, { hash: this.#hash });
    if (compressed !== undefined) buffer.set(compressed, ROOM_BEFORE);
    this.#begun.push(Promise.resolve({ buffer, rawSize, size: compressed?.length ?? 0, isLast }));
  }

  /** The next chunk, which holds until the next call; absent at the end. */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#shown !== undefined) this.#giveBack(this.#shown);
    this.#shown = undefined;
    const isLong = this.#blockCount >= LONG_FROM && !this.#isRead;
    if (isLong) this.#compressor ??= this.#openCompressor?.();
    const count = this.#compressor === undefined ? 1 : BLOCKS_AHEAD;
    while (!this.#isRead && this.#begun.length < count) await this.#begin();
    const block = await this.#begun.shift();
    if (block === undefined) return undefined;
    this.#shown = block.buffer;
    return this.#finish(block);
  }

  #giveBack(buffer: Uint8Array<ArrayBuffer>): void {
    // A consumer that transferred our chunk to another thread has left a buffer of no bytes.
    if (buffer.length >= BLOCK_LIMIT) this.#spare.push(buffer);
  }

  /** What is sent of a block, with its size in front, behind what goes ahead of the first and before the end mark. */
  #finish({ buffer, rawSize, size, isLast }: Block): Uint8Array<ArrayBuffer> {
    const view = viewOf(buffer);
    let start = ROOM_BEFORE;
    let end = ROOM_BEFORE;
    if (rawSize > 0) {
      end += size || rawSize;
      start -= 4;
      view.setUint32(start, size || (rawSize | STORED_BIT) >>> 0, true);
    }
    start -= this.#ahead.length;
    buffer.set(this.#ahead, start);
    this.#ahead = EMPTY;
    if (isLast) {
      view.setUint32(end, 0, true);
      view.setUint32(end + 4, this.#hash.digest(), true);
      end += ROOM_AFTER;
    }
    return buffer.subarray(start, end);
  }

  /** Give the buffers back; the last chunk no longer holds. */
  release(): void {
    if (this.#shown !== undefined) this.#giveBack(this.#shown);
    this.#shown = undefined;
    for (const buffer of this.#spare.splice(0)) releaseBuffer(buffer);
    this.#compressor?.[Symbol.dispose]();
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
  options: FrameOptions = {},
): ReadableStream<Uint8Array> {
  const encoder = new FrameEncoder(raw, prefix, options);
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
