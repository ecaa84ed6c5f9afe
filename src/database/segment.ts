/** Pieces of the shadow WAL, as replicas store them. */
import { ContinuityLostError } from "./continuity.ts";
import type { Follower } from "./follower.ts";
import { viewOf } from "../bytes.ts";
import { formatPosition, frameSize, type IndexEnd, type IndexOffset, WAL_HEADER_SIZE } from "../position.ts";
import { describeError } from "../errors.ts";
import { type OpenFile, systemCode } from "../runtime/files.ts";
import { frameChecksumAt, type WalChain } from "../wal/frames.ts";

/** Bytes that are read at once. */
const READ_BYTES = 256 * 1024;

/** Up to this a segment is read without a wait. */
const SHORT_BYTES = 64 * 1024;

/**
 * Buffers of that size between two segments: whoever catches up reads one after the other, and a runtime may let
 * buffers pile up to a multiple of what is in use.
 */
const KEPT_COUNT = 2;
const kept: Uint8Array<ArrayBuffer>[] = [];

/** A range of one index of the shadow WAL. */
export interface Segment extends IndexOffset {
  readonly generation: string;
  readonly length: number;
  readonly newestCommitAt: Date;
  /** For an index's first segment: how the index before ended, where we still know. */
  readonly previousEnd: IndexEnd | undefined;
  /** The shadow file. */
  readonly path: string;
  /** What the first frame has to continue, from the file; `undefined` where the segment begins with the header. */
  chain(): WalChain | undefined;
  /** The bytes; a chunk is valid until the next one is read. */
  read(): ReadableStream<Uint8Array>;
  /** The bytes at once, into an array of their length: the quick way for a small segment. */
  readInto(into: Uint8Array): Promise<void>;
}

/**
 * The bytes that follow `position`: of its own index, or from the start of the next one.
 *
 * @returns `undefined` when there is nothing yet
 * @throws {ContinuityLostError} when the shadow WAL does not hold that position
 */
export function segmentAt(
  follower: Follower,
  position: IndexOffset,
  { maxBytes }: { maxBytes: number },
): Segment | undefined {
  const shadow = follower.shadow;
  const { index, offset } = position;
  const size = shadow.sizeOf(index);
  if (size === undefined) {
    const isNotBegun = offset === 0 && index >= shadow.index && index <= shadow.index + 1;
    if (isNotBegun) return undefined;
    throw lost(shadow.generation, position, "the shadow wal no longer has it");
  }
  if (offset > size) throw lost(shadow.generation, position, `the shadow wal ends at ${size}`);
  if (offset === size) {
    return index < shadow.index
      ? segmentAt(follower, { index: index + 1, offset: 0 }, { maxBytes })
      : undefined;
  }
  return cut(follower, { index, offset, size, maxBytes });
}

function cut(
  follower: Follower,
  { index, offset, size, maxBytes }: IndexOffset & { size: number; maxBytes: number },
): Segment {
  const shadow = follower.shadow;
  const path = shadow.path(index);
  const open = () => follower.live.files.openSync(path, { access: "read" });
  let length = size - offset;
  if (length > maxBytes) {
    using file = open();
    length = wholeFrames(maxBytes, { offset, pageSize: pageSizeOf(file) });
  }
  const end = { index, offset: offset + length };
  const seenAt = follower.times.timeOf(end);
  const copiedBy = index < shadow.index ? shadow.copiedBy(index) : undefined;
  return {
    generation: shadow.generation,
    index,
    offset,
    length,
    newestCommitAt: new Date(Math.min(seenAt, copiedBy ?? seenAt)),
    previousEnd: offset === 0 ? endBefore(follower, { index, offset }) : undefined,
    path,
    chain: () => chainBefore(open, offset),
    read: () => readRange(open(), { start: offset, end: end.offset }),
    async readInto(into) {
      using file = open();
      // What a few commits left is in the page cache; waiting for a thread takes longer than reading it.
      const count = into.length <= SHORT_BYTES ? file.readSync(into, offset) : await file.read(into, offset);
      if (count < into.length) throw becameShorter(file);
    },
  };
}

function endBefore(follower: Follower, position: IndexOffset): IndexEnd | undefined {
  const { shadow } = follower;
  try {
    return shadow.endOf(position.index - 1);
  } catch (error) {
    if (systemCode(error) !== undefined) throw error;
    const why = `the shadow wal of the index before is damaged: ${describeError(error)}`;
    throw lost(shadow.generation, position, why);
  }
}

/** The longest run of whole frames (after the header, at the start of an index) within `maxBytes`; at least one. */
function wholeFrames(maxBytes: number, { offset, pageSize }: { offset: number; pageSize: number }): number {
  const head = offset === 0 ? WAL_HEADER_SIZE : 0;
  const frame = frameSize(pageSize);
  return head + Math.max(1, Math.floor((maxBytes - head) / frame)) * frame;
}

function chainBefore(open: () => OpenFile, offset: number): WalChain | undefined {
  if (offset === 0) return undefined;
  using file = open();
  const bytes = new Uint8Array(WAL_HEADER_SIZE);
  file.readSync(bytes, 0);
  // Read leniently: what is broken in the header shows in the frames.
  const view = viewOf(bytes);
  const [pageSize, bigEndian] = [view.getUint32(8), (view.getUint32(0) & 1) === 1];
  const salts = [view.getUint32(16), view.getUint32(20)] as const;
  if (offset === WAL_HEADER_SIZE) return { pageSize, bigEndian, salts, checksum: frameChecksumAt(view, 8) };
  file.readSync(bytes, offset - frameSize(pageSize));
  return { pageSize, bigEndian, salts, checksum: frameChecksumAt(view, 0) };
}

function pageSizeOf(file: OpenFile): number {
  const header = new Uint8Array(WAL_HEADER_SIZE);
  file.readSync(header, 0);
  return viewOf(header).getUint32(8);
}

function readRange(
  file: OpenFile,
  { start, end }: { start: number; end: number },
): ReadableStream<Uint8Array> {
  const size = Math.min(READ_BYTES, end - start);
  const buffer = (size === READ_BYTES ? kept.pop() : undefined) ?? new Uint8Array(size);
  let position = start;
  let isReading = false;
  const finish = () => {
    file.close();
    // One that a read may still write to belongs to nobody else.
    if (size === READ_BYTES && kept.length < KEPT_COUNT && !isReading) kept.push(buffer);
  };
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (position === end) {
        finish();
        return controller.close();
      }
      const chunk = buffer.subarray(0, Math.min(buffer.length, end - position));
      isReading = true;
      try {
        const count = await file.read(chunk, position);
        isReading = false;
        if (count < chunk.length) throw becameShorter(file);
      } catch (error) {
        file.close();
        throw error;
      }
      position += chunk.length;
      controller.enqueue(chunk);
    },
    cancel: finish,
  }, { highWaterMark: 0 });
}

function becameShorter({ path }: OpenFile): Error {
  return new Error(`${path} became shorter while it was read`);
}

function lost(generation: string, position: IndexOffset, why: string): ContinuityLostError {
  return new ContinuityLostError(
    `replica is at ${formatPosition({ generation, ...position })}, but ${why}`,
  );
}
