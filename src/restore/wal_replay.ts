/**
 * The segments of a restore as one checked run of frames: each index begins with a sound header, each frame continues
 * the one before, no segment leaves a gap before it, each index continues the one before.
 */
import type { Note, SegmentNote } from "../codec/note.ts";
import { DamagedObjectError } from "../errors.ts";
import { formatIndex, frameSize, type IndexEnd, type IndexOffset, WAL_HEADER_SIZE } from "../position.ts";
import { viewOf } from "../bytes.ts";
import { segmentKey } from "../storage/keys.ts";
import type { SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import { chainOf, frameHeaderAt, scanFrames, type WalChain } from "../wal/frames.ts";
import { parseWalHeader, type WalHeader } from "../wal/header.ts";
import { checkSuccession } from "./succession.ts";

/** Takes the frames that were checked. */
export interface FrameSink {
  /** Whether `makeRoom()` has to be called before the next `put()`. */
  readonly isFull: boolean;
  makeRoom(): Promise<void>;
  put(pageNumber: number, bytes: Uint8Array, at: number): void;
  /** The transaction that ends at `end` has `pageCount` pages. */
  commit(pageCount: number, end: IndexOffset): void;
}

/** What the replay needs to know before it begins. */
export interface ReplayOptions {
  /** 0 while nobody knows: an empty snapshot without a note. */
  readonly pageSize: number;
  /** Called once the page size is known. */
  readonly sinkFor: (pageSize: number) => FrameSink;
  /** Frames from here on are checked but not passed on. Default: none. */
  readonly stopAt?: IndexOffset | undefined;
}

/** Checks segment after segment and passes frames on. */
export class WalReplay {
  readonly #options: ReplayOptions;
  #pageSize: number;
  #sink: FrameSink | undefined;
  #segment: SegmentInfo | undefined;
  #segmentNote: SegmentNote | undefined;
  #header: WalHeader | undefined;
  #chain: WalChain | undefined;
  /** Decoded bytes of the index so far. */
  #length = 0;
  /** Bytes at the start of the segment that the one before it had already. */
  #repeated = 0;
  /** Bytes of the segment so far. */
  #received = 0;
  #carry: Uint8Array<ArrayBuffer> = new Uint8Array(WAL_HEADER_SIZE);
  #carried = 0;
  #isInTransaction = false;
  #previousEnd: IndexEnd | undefined;
  #lastCommit: IndexOffset | undefined;
  /** The newest snapshot that was met, and its note. */
  #snapshot: { readonly object: SnapshotInfo; readonly note: Note | undefined } | undefined;
  /** The segment that began the index. */
  #first: SegmentInfo | undefined;
  /** The first segment of each pair of salts: a WAL never has those of an earlier one. */
  readonly #firstBySalts = new Map<bigint, SegmentInfo>();
  /**
   * Segments that begin before the one before them ends, as Litestream 0.3.13 writes them now and then when the WAL
   * grows during an upload. What they repeat is passed over; what follows has to continue the checksums as ever.
   */
  overlapCount = 0;
  /** Indexes whose step from the one before nothing proves. */
  readonly unproven: number[] = [];
  /** Steps from one index to the next that a note proves. */
  provenCount = 0;
  /** Steps that only the salts speak for: the first grew by one. */
  evidentCount = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#pageSize = options.pageSize;
    if (this.#pageSize !== 0) this.#sink = options.sinkFor(this.#pageSize);
  }

  /** The position after the newest commit; absent before the first. */
  get lastCommit(): IndexOffset | undefined {
    return this.#lastCommit;
  }

  /** 0 while nobody knows. */
  get pageSize(): number {
    return this.#pageSize;
  }

  /** Decoded bytes of the index so far. */
  get length(): number {
    return this.#length;
  }

  /** Take a snapshot into account, that of the index which comes next: it says how the one before ended. */
  meet(object: SnapshotInfo, note: Note | undefined): void {
    if (this.#segment !== undefined) this.#endBefore(this.#segment, { object, note });
    this.#snapshot = { object, note };
  }

  /** Go on with `segment`, whose index and offset the plan has put in order. */
  begin(segment: SegmentInfo, note: Note | undefined): void {
    checkNote(segment, note);
    const before = this.#segment;
    if (before === undefined || before.index !== segment.index) {
      if (before !== undefined) this.#endIndex(before, segment);
      this.#length = 0;
      this.#header = undefined;
      this.#chain = undefined;
    } else if (segment.offset > this.#length) throw this.#gapBefore(segment);
    else if (segment.offset < this.#length) this.overlapCount++;
    this.#repeated = this.#length - (before?.index === segment.index ? segment.offset : 0);
    this.#received = 0;
    this.#segment = segment;
    this.#segmentNote = note?.kind === "segment" ? note : undefined;
  }

  /** The next bytes of the segment; they may be overwritten afterwards. */
  async accept(bytes: Uint8Array): Promise<void> {
    this.#received += bytes.length;
    const passedOver = Math.min(this.#repeated, bytes.length);
    this.#repeated -= passedOver;
    let rest = bytes.subarray(passedOver);
    if (this.#header === undefined) rest = this.#takeHeader(rest);
    if (this.#chain === undefined || rest.length === 0) return;
    const size = frameSize(this.#chain.pageSize);
    if (this.#carried > 0) {
      rest = this.#fillCarry(rest, size);
      if (this.#carried < size) return;
      this.#carried = 0;
      await this.#takeFrames(this.#carry.subarray(0, size));
    }
    const whole = rest.length - rest.length % size;
    if (whole > 0) await this.#takeFrames(rest.subarray(0, whole));
    this.#fillCarry(rest.subarray(whole), size);
  }

  /** The segment has no more bytes. */
  end(): void {
    const segment = this.#segment!;
    if (this.#header === undefined) {
      throw new DamagedObjectError(segment.key, "it ends within the wal header");
    }
    if (this.#carried > 0) {
      throw new DamagedObjectError(segment.key, `it ends within a frame at ${this.#place()}`);
    }
    if (this.#received === 0) throw new DamagedObjectError(segment.key, "it holds no bytes");
  }

  /**
   * Judge how the history ends.
   *
   * @param next what is stored behind the last segment and not restored, with its note: a segment, or a snapshot of
   * the next index
   */
  finish(next?: { object: SegmentInfo | SnapshotInfo; note: Note | undefined }): void {
    const last = this.#segment;
    if (last !== undefined && next !== undefined) this.#endBefore(last, next);
    if (this.#snapshot !== undefined && (last?.index ?? 0) <= this.#snapshot.object.index) {
      this.#checkReached();
    }
  }

  /** A snapshot of the middle of an index can be wrong before the offset that it states. */
  #checkReached(): void {
    const { object, note } = this.#snapshot!;
    const { index } = object;
    const offset = note?.offset ?? 0;
    const reached = this.#lastCommit?.index === index ? this.#lastCommit.offset : 0;
    // A header brings nothing.
    if (offset <= Math.max(reached, WAL_HEADER_SIZE)) return;
    throw new DamagedObjectError(
      segmentKey({ ...object, offset: this.#segment?.index === index ? this.#length : 0 }),
      `missing or cut short: ${object.key} is right only from offset ${offset} of index ` +
        `${formatIndex(index)} on, and the stored commits end at ${reached}`,
    );
  }

  #endBefore(
    last: SegmentInfo,
    { object, note }: { object: SegmentInfo | SnapshotInfo; note: Note | undefined },
  ): void {
    if (object.index === last.index + 1) {
      this.#endIndex(last, object);
      if (note?.previousEnd !== undefined) {
        checkSuccession(this.#previousEnd!, { stated: note.previousEnd, by: object });
      }
    } else if ("offset" in object && object.index === last.index && object.offset > this.#length) {
      throw this.#gapBefore(object);
    }
  }

  /** How the index that is being read stands now. */
  #endNow(index: number): IndexEnd {
    const { checksum, salts } = this.#chain!;
    return { index, length: this.#length, checksum, salts };
  }

  #endIndex(last: SegmentInfo, next: SegmentInfo | SnapshotInfo): void {
    this.#previousEnd = this.#endNow(last.index);
    if (this.#snapshot?.object.index === last.index) this.#checkReached();
    if (!this.#isInTransaction) return;
    throw new DamagedObjectError(
      last.key,
      `it ends within a transaction, yet index ${formatIndex(next.index)} follows: it is cut short, or ` +
        `${segmentKey({ ...last, offset: this.#length })} is missing`,
    );
  }

  #gapBefore(segment: SegmentInfo): DamagedObjectError {
    return new DamagedObjectError(
      segmentKey({ ...segment, offset: this.#length }),
      `missing or cut short: the wal before ends at offset ${this.#length}, the next segment is ${segment.key}`,
    );
  }

  #takeHeader(bytes: Uint8Array): Uint8Array {
    const rest = this.#fillCarry(bytes, WAL_HEADER_SIZE);
    if (this.#carried < WAL_HEADER_SIZE) return rest;
    this.#carried = 0;
    const segment = this.#segment!;
    let header: WalHeader;
    try {
      header = parseWalHeader(this.#carry.subarray(0, WAL_HEADER_SIZE));
    } catch (cause) {
      throw new DamagedObjectError(segment.key, "it does not begin with a sound wal header", { cause });
    }
    if (this.#pageSize !== 0 && header.pageSize !== this.#pageSize) {
      throw new DamagedObjectError(
        segment.key,
        `its page size is ${header.pageSize}, that of the database ${this.#pageSize}`,
      );
    }
    this.#checkStep(segment, header);
    this.#header = header;
    this.#pageSize = header.pageSize;
    this.#chain = chainOf(header);
    this.#length = WAL_HEADER_SIZE;
    this.#sink ??= this.#options.sinkFor(header.pageSize);
    return rest;
  }

  /** Whether this index continues the one before: its note proves it, salts are evidence. */
  #checkStep(segment: SegmentInfo, header: WalHeader): void {
    const stated = this.#segmentNote?.previousEnd;
    const before = this.#previousEnd;
    this.#refuseRepeated(segment, header);
    if (before === undefined) {
      // The first index: what comes before is in the snapshot, which may say the same.
      const known = this.#snapshot?.note?.previousEnd;
      if (stated !== undefined && known !== undefined) checkSuccession(known, { stated, by: segment });
      return;
    }
    if (stated !== undefined) checkSuccession(before, { stated, by: segment });
    if (stated !== undefined) this.provenCount++;
    else if (header.salts[0] === ((before.salts[0] + 1) >>> 0)) this.evidentCount++;
    else this.unproven.push(segment.index);
  }

  #refuseRepeated(segment: SegmentInfo, { salts }: WalHeader): void {
    const pair = (BigInt(salts[0]) << 32n) | BigInt(salts[1]);
    const before = this.#firstBySalts.get(pair);
    if (before !== undefined) {
      throw new DamagedObjectError(segment.key, `it repeats the wal that begins with ${before.key}`);
    }
    this.#firstBySalts.set(pair, segment);
    this.#first = segment;
  }

  /** Keep bytes until there are `wanted`; returns those that are left over. */
  #fillCarry(bytes: Uint8Array, wanted: number): Uint8Array {
    if (this.#carry.length < wanted) this.#carry = new Uint8Array(wanted);
    const taken = bytes.subarray(0, wanted - this.#carried);
    this.#carry.set(taken, this.#carried);
    this.#carried += taken.length;
    return bytes.subarray(taken.length);
  }

  /** Check whole frames and pass them on. */
  async #takeFrames(bytes: Uint8Array): Promise<void> {
    const chain = this.#chain!;
    const size = frameSize(chain.pageSize);
    const scan = scanFrames(bytes, chain);
    if (scan.frameCount * size !== bytes.length) {
      const at = this.#length + scan.frameCount * size;
      const what = scan.stop === "salt"
        ? `has the salts of another wal than ${this.#first?.key}`
        : scan.stop === "checksum"
        ? "does not continue the checksums before it"
        : "has page number 0";
      const index = formatIndex(this.#segment!.index);
      throw new DamagedObjectError(this.#segment!.key, `the frame at ${index}:${at} ${what}`);
    }
    await this.#passOn(bytes, size);
    this.#chain = { ...chain, checksum: scan.checksum };
  }

  async #passOn(bytes: Uint8Array, size: number): Promise<void> {
    const sink = this.#sink!;
    const view = viewOf(bytes);
    const { index } = this.#segment!;
    const stop = this.#options.stopAt;
    for (let at = 0; at < bytes.length; at += size) {
      const { pageNumber, pageCount } = frameHeaderAt(view, at);
      const isWanted = stop === undefined || index < stop.index ||
        (index === stop.index && this.#length < stop.offset);
      this.#length += size;
      this.#isInTransaction = pageCount === 0;
      if (!isWanted) continue;
      if (sink.isFull) await sink.makeRoom();
      sink.put(pageNumber, bytes, at + size - this.#pageSize);
      if (pageCount === 0) continue;
      this.#lastCommit = { index, offset: this.#length };
      sink.commit(pageCount, this.#lastCommit);
    }
  }

  #place(): string {
    return `${formatIndex(this.#segment!.index)}:${this.#length}`;
  }
}

/** A note has to be the one of the object that it stands in front of. */
export function checkNote(object: SegmentInfo | SnapshotInfo, note: Note | undefined): void {
  if (note === undefined) return;
  const kind = "offset" in object ? "segment" : "snapshot";
  const isRight = note.kind === kind && note.generation === object.generation &&
    note.index === object.index && (!("offset" in object) || note.offset === object.offset);
  if (isRight) return;
  const at = note.kind === "segment" ? `, offset ${note.offset}` : "";
  throw new DamagedObjectError(
    object.key,
    `its note says that it is the ${note.kind} of generation ${note.generation}, index ` +
      `${formatIndex(note.index)}${at}: another object was stored in its place`,
  );
}
