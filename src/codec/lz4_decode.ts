/** Skippable frames and one LZ4 data frame to raw bytes, as a machine that is fed exact numbers of bytes. */
import { toHex, viewOf } from "../bytes.ts";
import { assert, ChecksumMismatchError } from "../errors.ts";
import { FRAME_MAGIC, isSkippableMagic, STORED_BIT } from "./lz4_format.ts";
import {
  decompressBlock,
  HISTORY_LIMIT,
  type Kernel,
  takeStoredBlock,
  XxHash32,
  xxHash32,
} from "./lz4_kernel.ts";
import { decodeNote, NOTE_MAGIC, NOTE_SIZE_LIMIT } from "./note.ts";
import type { Note } from "./note.ts";
import { noIdentity } from "./sealed.ts";

/** What the header of a data frame announces. */
interface FrameHeader {
  readonly blockLimit: number;
  readonly isLinked: boolean;
  readonly hasBlockChecksums: boolean;
  readonly hasContentChecksum: boolean;
  readonly hasContentSize: boolean;
}

/** What the next bytes are, in the words of an error message. */
type Place =
  | "frame magic"
  | "skippable frame"
  | "frame header"
  | "block size"
  | "block"
  | "content checksum"
  | "end";

/** How every file of age begins, `age-`, in hex. */
const AGE_START = "6167652d";

/**
 * Decodes one object. Until `isComplete`: pass over `passOver` bytes, then `take()` exactly `wanted` bytes.
 *
 * What `take()` returns is raw bytes, in kernel memory or in the memory it was given: copy them before the next
 * call into the codec, or, with a kernel of your own, before the next one that is given that. They are proven only
 * when all has been taken.
 */
export class FrameDecoder {
  /** The note in front of the data frame, if one of ours was there and whole. */
  note: Note | undefined;
  /** What is wrong with a note of ours. */
  noteDamage: string | undefined;

  #place: Place = "frame magic";
  #wanted = 4;
  #passOver = 0;
  #step: (bytes: Uint8Array) => Uint8Array | undefined = this.#takeMagic;
  #hasNote = false;
  #header: FrameHeader | undefined;
  #contentSize: bigint | undefined;
  #decodedSize = 0;
  #blockNumber = 0;
  #isStored = false;
  #history: Uint8Array<ArrayBuffer> | undefined;
  #historySize = 0;
  #kernel: Kernel | undefined;
  readonly #hash = new XxHash32();

  /** How many bytes the next `take()` has to be given. */
  get wanted(): number {
    return this.#wanted;
  }

  /** How many bytes to pass over before that. */
  get passOver(): number {
    return this.#passOver;
  }

  /** Whether the data frame has begun: what notes there are have been read. */
  get isInDataFrame(): boolean {
    return this.#place !== "frame magic" && this.#place !== "skippable frame";
  }

  /** Whether the data frame is whole and verified; nothing may follow it. */
  get isComplete(): boolean {
    return this.#place === "end";
  }

  /**
   * Take exactly `wanted` bytes, which may be kept only during the call.
   *
   * @param kernel whose memory the raw bytes of a block are then in; default: the shared one's, or `bytes` themselves
   */
  take(bytes: Uint8Array, kernel?: Kernel): Uint8Array | undefined {
    assert(bytes.length === this.#wanted, "the decoder was fed another number of bytes than it wants");
    this.#kernel = kernel;
    this.#passOver = 0;
    return this.#step.call(this, bytes);
  }

  /** The error for a source that ended where more is wanted. */
  truncated(): Error {
    if (this.#place === "frame magic") {
      return new Error("no LZ4 frame: the object is empty or ends before it");
    }
    const which = this.#place === "block" || this.#place === "block size" ? ` ${this.#blockNumber}` : "";
    return new Error(`truncated LZ4 frame: it ends within ${this.#place}${which}`);
  }

  #want(place: Place, wanted: number, step: (bytes: Uint8Array) => Uint8Array | undefined): undefined {
    this.#place = place;
    this.#wanted = wanted;
    this.#step = step;
  }

  #takeMagic(bytes: Uint8Array): undefined {
    const magic = viewOf(bytes).getUint32(0, true);
    if (magic === FRAME_MAGIC) return this.#want("frame header", 3, this.#takeHeaderStart);
    if (!isSkippableMagic(magic)) {
      const found = toHex(bytes);
      throw found === AGE_START ? noIdentity() : new Error(`not an LZ4 frame: bad magic number ${found}`);
    }
    this.#want("skippable frame", 4, (size) => this.#takeSkippableSize(size, magic));
  }

  #takeSkippableSize(bytes: Uint8Array, magic: number): undefined {
    const size = viewOf(bytes).getUint32(0, true);
    // Only the first note counts.
    if (magic === NOTE_MAGIC && size > 0 && size <= NOTE_SIZE_LIMIT && !this.#hasNote) {
      return this.#want("skippable frame", size, this.#takeNote);
    }
    this.#want("frame magic", 4, this.#takeMagic);
    this.#passOver = size;
  }

  #takeNote(payload: Uint8Array): undefined {
    const { note, damage } = decodeNote(payload);
    this.note = note;
    this.noteDamage = damage;
    this.#hasNote = note !== undefined || damage !== undefined;
    this.#want("frame magic", 4, this.#takeMagic);
  }

  /** FLG, BD and the byte after them, which is the header checksum when nothing optional is announced. */
  #takeHeaderStart(bytes: Uint8Array): undefined {
    const [flags = 0, sizes = 0] = bytes;
    if (flags >>> 6 !== 1) throw new Error(`LZ4 frame of version ${flags >>> 6}, which is not known`);
    if ((flags & 0x02) !== 0 || (sizes & 0x8f) !== 0) {
      throw new Error("LZ4 frame header with reserved bits set");
    }
    const sizeCode = sizes >>> 4;
    if (sizeCode < 4) throw new Error(`LZ4 frame with block size code ${sizeCode}, which is not known`);
    this.#header = {
      blockLimit: 1 << (8 + 2 * sizeCode),
      isLinked: (flags & 0x20) === 0,
      hasBlockChecksums: (flags & 0x10) !== 0,
      hasContentSize: (flags & 0x08) !== 0,
      hasContentChecksum: (flags & 0x04) !== 0,
    };
    const hasDictionary = (flags & 0x01) !== 0;
    const start = bytes.slice();
    const rest = (this.#header.hasContentSize ? 8 : 0) + (hasDictionary ? 4 : 0);
    if (rest === 0) return this.#finishHeader(start);
    this.#want("frame header", rest, (more) => {
      const header = new Uint8Array(start.length + more.length);
      header.set(start);
      header.set(more, start.length);
      this.#finishHeader(header);
      if (hasDictionary) throw new Error("LZ4 frame that needs a dictionary, which is not supported");
      return undefined;
    });
  }

  #finishHeader(header: Uint8Array): undefined {
    const summed = header.length - 1;
    if (((xxHash32(header.subarray(0, summed)) >>> 8) & 0xff) !== header[summed]) {
      throw new ChecksumMismatchError("LZ4 frame header does not match its checksum");
    }
    if (this.#header?.hasContentSize) this.#contentSize = viewOf(header).getBigUint64(2, true);
    this.#want("block size", 4, this.#takeBlockSize);
  }

  #takeBlockSize(bytes: Uint8Array): undefined {
    const { blockLimit, hasBlockChecksums, hasContentChecksum } = this.#frameHeader();
    const word = viewOf(bytes).getUint32(0, true);
    if (word === 0) {
      this.#checkContentSize({ isEnd: true });
      if (!hasContentChecksum) return this.#want("end", 0, () => undefined);
      return this.#want("content checksum", 4, this.#takeContentChecksum);
    }
    const size = word & 0x7fffffff;
    if (size > blockLimit) {
      throw new Error(`LZ4 block ${this.#blockNumber} of ${size} bytes where ${blockLimit} is the most`);
    }
    this.#isStored = (word & STORED_BIT) !== 0;
    const wanted = size + (hasBlockChecksums ? 4 : 0);
    if (wanted > 0) return this.#want("block", wanted, this.#takeBlock);
    this.#blockNumber++;
  }

  #takeBlock(bytes: Uint8Array): Uint8Array {
    const { blockLimit, hasBlockChecksums, isLinked } = this.#frameHeader();
    const block = hasBlockChecksums ? bytes.subarray(0, bytes.length - 4) : bytes;
    if (hasBlockChecksums && xxHash32(block) !== viewOf(bytes).getUint32(block.length, true)) {
      throw new ChecksumMismatchError(`LZ4 block ${this.#blockNumber} does not match its checksum`);
    }
    const hash = this.#frameHeader().hasContentChecksum ? this.#hash : undefined;
    let raw = block;
    if (!this.#isStored) raw = this.#decompress(block, { limit: blockLimit, hash });
    else if (this.#kernel !== undefined) raw = takeStoredBlock(block, { kernel: this.#kernel, hash });
    else hash?.update(block);
    this.#decodedSize += raw.length;
    this.#checkContentSize({ isEnd: false });
    if (isLinked) this.#remember(raw);
    this.#blockNumber++;
    this.#want("block size", 4, this.#takeBlockSize);
    return raw;
  }

  #decompress(block: Uint8Array, options: { limit: number; hash: XxHash32 | undefined }): Uint8Array {
    const history = this.#history?.subarray(HISTORY_LIMIT - this.#historySize);
    try {
      return decompressBlock(block, { ...options, history, kernel: this.#kernel });
    } catch (cause) {
      throw new Error(`cannot decode LZ4 block ${this.#blockNumber}`, { cause });
    }
  }

  /** Keep the last 64 KiB of raw bytes, against the end of the buffer, for the next linked block. */
  #remember(raw: Uint8Array): void {
    this.#history ??= new Uint8Array(HISTORY_LIMIT);
    const newest = raw.subarray(Math.max(0, raw.length - HISTORY_LIMIT));
    this.#history.copyWithin(0, newest.length);
    this.#history.set(newest, HISTORY_LIMIT - newest.length);
    this.#historySize = Math.min(HISTORY_LIMIT, this.#historySize + newest.length);
  }

  #takeContentChecksum(bytes: Uint8Array): undefined {
    if (viewOf(bytes).getUint32(0, true) !== this.#hash.digest()) {
      throw new ChecksumMismatchError("LZ4 frame content does not match its checksum");
    }
    this.#want("end", 0, () => undefined);
  }

  #checkContentSize({ isEnd }: { isEnd: boolean }): void {
    const announced = this.#contentSize;
    if (announced === undefined) return;
    const decoded = BigInt(this.#decodedSize);
    if (decoded > announced || (isEnd && decoded < announced)) {
      const amount = isEnd ? `${decoded}` : `more than that`;
      throw new Error(`LZ4 frame announces ${announced} bytes of content and holds ${amount}`);
    }
  }

  #frameHeader(): FrameHeader {
    assert(this.#header !== undefined, "a block before the frame header");
    return this.#header;
  }
}
