/** Checksums of a database page by page: enough to compare two states without having both at one time. */
import { type Crc64, crc64, Crc64Joiner, EMPTY_CRC64 } from "../crc64.ts";
import type { Segment } from "../database/segment.ts";
import type { SnapshotSource } from "../database/snapshot.ts";
import { FRAME_HEADER_SIZE, WAL_HEADER_SIZE } from "../position.ts";
import { type Files, type OpenFile } from "../runtime/files.ts";
import { yieldToEvents } from "../runtime/clock.ts";
import { viewOf } from "../bytes.ts";
import { lockPageOf } from "../wal/lock_page.ts";

/** Bytes that are read at once. */
const READ_BYTES = 1 << 20;

/**
 * The pages of one state of a database: 8 bytes of memory for each. The lock page counts as zeros, whatever a file holds
 * there: SQLite never writes it, so that it may differ between a database and its sound copy.
 */
export class PageChecksums {
  readonly pageSize: number;
  #pageCount = 0;
  #high = new Uint32Array(64);
  #low = new Uint32Array(64);
  readonly #lockPage: number;
  readonly #zeros: Crc64;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
    this.#lockPage = lockPageOf(pageSize);
    this.#zeros = crc64(new Uint8Array(pageSize));
  }

  get pageCount(): number {
    return this.#pageCount;
  }

  /** Make it longer, by pages without a checksum yet, or shorter. */
  resize(pageCount: number): void {
    if (pageCount > this.#high.length) {
      const length = Math.max(pageCount, 2 * this.#high.length);
      this.#high = grown(this.#high, length);
      this.#low = grown(this.#low, length);
    }
    this.#high.fill(0, Math.min(pageCount, this.#pageCount), this.#pageCount);
    this.#low.fill(0, Math.min(pageCount, this.#pageCount), this.#pageCount);
    this.#pageCount = pageCount;
  }

  /** Page numbers count from 1. */
  set(pageNumber: number, [high, low]: Crc64): void {
    if (pageNumber > this.#pageCount) this.resize(pageNumber);
    this.#high[pageNumber - 1] = high;
    this.#low[pageNumber - 1] = low;
  }

  /** The checksum of page `pageNumber`. */
  at(pageNumber: number): Crc64 {
    if (pageNumber === this.#lockPage) return this.#zeros;
    return [this.#high[pageNumber - 1] ?? 0, this.#low[pageNumber - 1] ?? 0];
  }

  /** The checksum of the whole file; that of its bytes where the lock page holds none but zeros. */
  total(): Crc64 {
    const joiner = new Crc64Joiner(this.pageSize);
    let joined: Crc64 = EMPTY_CRC64;
    for (let page = 1; page <= this.#pageCount; page++) joined = joiner.join(joined, this.at(page));
    return joined;
  }

  /** The pages that differ, or that only one has: how many, and the first. */
  compare(other: PageChecksums): { readonly count: number; readonly firstPage: number | undefined } {
    let count = 0;
    let firstPage: number | undefined;
    const both = Math.min(this.#pageCount, other.#pageCount);
    for (let page = 1; page <= Math.max(this.#pageCount, other.#pageCount); page++) {
      const [left, right] = [this.at(page), other.at(page)];
      if (page <= both && left[0] === right[0] && left[1] === right[1]) continue;
      count++;
      firstPage ??= page;
    }
    return { count, firstPage };
  }
}

function grown(words: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const copy = new Uint32Array(length);
  copy.set(words);
  return copy;
}

/** Cuts a stream of any chunks into pages. */
class PageCutter {
  #crc: Crc64 = EMPTY_CRC64;
  #filled = 0;
  constructor(readonly pageSize: number) {}

  /** Take bytes up to the end of a page; returns how many, and the checksum when the page is whole. */
  take(bytes: Uint8Array, start: number): { readonly count: number; readonly whole: Crc64 | undefined } {
    const count = Math.min(this.pageSize - this.#filled, bytes.length - start);
    this.#crc = crc64(bytes.subarray(start, start + count), this.#crc);
    this.#filled += count;
    if (this.#filled < this.pageSize) return { count, whole: undefined };
    const whole = this.#crc;
    this.#crc = EMPTY_CRC64;
    this.#filled = 0;
    return { count, whole };
  }
}

/**
 * The state of a live database at the offset that `source` states: its main file, and over it the frames up to there.
 *
 * @param wal the shadow WAL of the snapshot's index from 0 up to that offset; absent where there is none
 */
export async function checksumSource(
  source: SnapshotSource,
  { wal, signal }: { wal: Segment | undefined; signal: AbortSignal },
): Promise<PageChecksums> {
  const sums = new PageChecksums(source.pageSize);
  const cutter = new PageCutter(source.pageSize);
  let page = 1;
  for await (const chunk of source.read()) {
    signal.throwIfAborted();
    for (let at = 0; at < chunk.length;) {
      const { count, whole } = cutter.take(chunk, at);
      at += count;
      if (whole !== undefined) sums.set(page++, whole);
    }
  }
  if (wal !== undefined) await overlay(sums, wal, signal);
  return sums;
}

async function overlay(sums: PageChecksums, wal: Segment, signal: AbortSignal): Promise<void> {
  const cutter = new PageCutter(sums.pageSize);
  const header = new Uint8Array(FRAME_HEADER_SIZE);
  const view = viewOf(header);
  let toSkip = WAL_HEADER_SIZE;
  let headed = 0;
  let pageCount: number | undefined;
  for await (const chunk of wal.read()) {
    signal.throwIfAborted();
    await yieldToEvents();
    for (let at = 0; at < chunk.length;) {
      if (toSkip > 0) {
        const count = Math.min(toSkip, chunk.length - at);
        toSkip -= count;
        at += count;
      } else if (headed < FRAME_HEADER_SIZE) {
        const part = chunk.subarray(at, at + FRAME_HEADER_SIZE - headed);
        header.set(part, headed);
        headed += part.length;
        at += part.length;
      } else {
        const { count, whole } = cutter.take(chunk, at);
        at += count;
        if (whole === undefined) continue;
        sums.set(view.getUint32(0), whole);
        pageCount = view.getUint32(4) || pageCount;
        headed = 0;
      }
    }
  }
  // The last frame is a commit's, and says how large the database is then.
  if (pageCount !== undefined) sums.resize(pageCount);
}

/** The pages of a database file that nobody has open. */
export async function checksumFile(
  path: string,
  { pageSize, files, signal }: { pageSize: number; files: Files; signal: AbortSignal },
): Promise<PageChecksums> {
  const sums = new PageChecksums(pageSize);
  const cutter = new PageCutter(pageSize);
  using file: OpenFile = await files.open(path, { access: "read" });
  const buffer = new Uint8Array(READ_BYTES);
  let page = 1;
  for (let position = 0;;) {
    signal.throwIfAborted();
    const read = await file.read(buffer, position);
    if (read === 0) return sums;
    position += read;
    const chunk = buffer.subarray(0, read);
    for (let at = 0; at < read;) {
      const { count, whole } = cutter.take(chunk, at);
      at += count;
      if (whole !== undefined) sums.set(page++, whole);
    }
  }
}
