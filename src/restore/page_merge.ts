/**
 * The newest committed image of each page, gathered in a bounded arena and written in page order.
 *
 * Pages of the open transaction stay apart until it commits. One that outgrows the arena is written before it has:
 * if it then turns out that it never commits, the file is spoiled and `isSpoiled` says so. Only the very last
 * transaction of a history can end like that, so the restore is then done again up to the last commit, which costs
 * no memory and no second file in all other cases.
 */
import { assert } from "../errors.ts";
import type { OpenFile } from "../runtime/files.ts";
import { yieldToEvents } from "../runtime/clock.ts";
import { lockPageOf } from "../wal/lock_page.ts";
import { PageSet } from "./page_set.ts";

/** Bytes of page images that are held before they are written. */
const ARENA_SIZE = 24 * 1024 * 1024;

/** Neighbouring pages are written together, up to so many bytes. */
const WRITE_SIZE = 1024 * 1024;

/** The arena for one database file. */
export class PageMerge {
  readonly #file: OpenFile;
  readonly #pageSize: number;
  readonly #arena: Uint8Array<ArrayBuffer>;
  readonly #freeSlots: Int32Array;
  #freeCount: number;
  #committed = new Map<number, number>();
  #pending = new Map<number, number>();
  #openFrameCount = 0;
  #isWrittenAhead = false;
  /** Pages up to here are the snapshot's or were all written since. */
  #solidCount: number;
  /** The pages beyond those that frames have written. */
  readonly #beyond = new PageSet();
  #pageCount: number | undefined;
  readonly #batch: Uint8Array<ArrayBuffer>;

  /**
   * @param file holds the snapshot of `pageCount` pages
   * @param arenaSize default 24 MiB; a test makes it small
   */
  constructor(file: OpenFile, { pageSize, pageCount, arenaSize = ARENA_SIZE }: {
    pageSize: number;
    pageCount: number;
    arenaSize?: number | undefined;
  }) {
    this.#file = file;
    this.#pageSize = pageSize;
    this.#solidCount = pageCount;
    const slotCount = Math.max(1, Math.floor(arenaSize / pageSize));
    this.#arena = new Uint8Array(slotCount * pageSize);
    this.#freeSlots = new Int32Array(slotCount);
    for (let nth = 0; nth < slotCount; nth++) this.#freeSlots[nth] = slotCount - 1 - nth;
    this.#freeCount = slotCount;
    this.#batch = new Uint8Array(Math.min(WRITE_SIZE, this.#arena.length));
  }

  /** Database size after the newest commit; absent before the first. */
  get pageCount(): number | undefined {
    return this.#pageCount;
  }

  /** Whether `makeRoom()` has to be called before the next `put()`. */
  get isFull(): boolean {
    return this.#freeCount === 0;
  }

  /** Whether a transaction is open. */
  get isInTransaction(): boolean {
    return this.#openFrameCount > 0;
  }

  /** Whether pages of the open transaction are in the file already. */
  get isSpoiled(): boolean {
    return this.isInTransaction && this.#isWrittenAhead;
  }

  /** Take one page of the open transaction: the page size's bytes of `bytes` from `at` on are copied. */
  put(pageNumber: number, bytes: Uint8Array, at: number): void {
    this.#openFrameCount++;
    let slot = this.#pending.get(pageNumber);
    if (slot === undefined) {
      assert(this.#freeCount > 0, "a page for a full arena");
      slot = this.#freeSlots[--this.#freeCount]!;
      this.#pending.set(pageNumber, slot);
    }
    this.#arena.set(bytes.subarray(at, at + this.#pageSize), slot * this.#pageSize);
  }

  /** The open transaction has committed; the database now has `pageCount` pages. */
  commit(pageCount: number): void {
    for (const [pageNumber, slot] of this.#pending) {
      if (pageNumber > pageCount) {
        this.#free(slot);
        continue;
      }
      const before = this.#committed.get(pageNumber);
      if (before !== undefined) this.#free(before);
      this.#committed.set(pageNumber, slot);
    }
    this.#pending.clear();
    this.#openFrameCount = 0;
    this.#isWrittenAhead = false;
    // Also what was written ahead and then rolled back to a savepoint.
    this.#beyond.deleteAfter(pageCount);
    if (pageCount < (this.#pageCount ?? Infinity)) this.#shrink(pageCount);
    this.#pageCount = pageCount;
  }

  /** Pages beyond `pageCount` are gone: should the database grow again, frames must bring them. */
  #shrink(pageCount: number): void {
    this.#solidCount = Math.min(this.#solidCount, pageCount);
    for (const [pageNumber, slot] of this.#committed) {
      if (pageNumber <= pageCount) continue;
      this.#committed.delete(pageNumber);
      this.#free(slot);
    }
  }

  /** Write what is committed; where nothing is, what is pending. */
  async makeRoom(): Promise<void> {
    if (this.#committed.size > 0) return await this.#write(this.#committed);
    this.#isWrittenAhead = true;
    await this.#write(this.#pending);
  }

  /**
   * Write what is left; the caller then cuts the file to `pageCount` pages. An open transaction is dropped.
   *
   * @returns a page that neither the snapshot nor a frame provides; `undefined` when none is missing
   */
  async finish(): Promise<number | undefined> {
    await this.#write(this.#committed);
    const lockPage = lockPageOf(this.#pageSize);
    for (let page = this.#solidCount + 1; page <= (this.#pageCount ?? 0); page++) {
      if (page !== lockPage && !this.#beyond.has(page)) return page;
    }
    return undefined;
  }

  #free(slot: number): void {
    this.#freeSlots[this.#freeCount++] = slot;
  }

  async #write(pages: Map<number, number>): Promise<void> {
    const size = this.#pageSize;
    const numbers = Uint32Array.from(pages.keys()).sort();
    let sinceYield = 0;
    for (let from = 0; from < numbers.length;) {
      let to = from + 1;
      while (to < numbers.length && numbers[to] === numbers[to - 1]! + 1) to++;
      to = Math.min(to, from + Math.max(1, Math.floor(this.#batch.length / size)));
      const run = this.#gather(numbers.subarray(from, to), pages);
      this.#file.writeSync(run, (numbers[from]! - 1) * size);
      from = to;
      sinceYield += run.length;
      if (sinceYield < WRITE_SIZE) continue;
      // Thousands of single pages are quicker without a wait for each; timers and signals get their turn here.
      sinceYield = 0;
      await yieldToEvents();
    }
    for (const [pageNumber, slot] of pages) {
      if (pageNumber > this.#solidCount) this.#beyond.add(pageNumber);
      this.#free(slot);
    }
    pages.clear();
  }

  /** The images of `numbers` in one piece, in place when there is only one. */
  #gather(numbers: Uint32Array, pages: Map<number, number>): Uint8Array {
    const size = this.#pageSize;
    const image = (number: number) => {
      const slot = pages.get(number)!;
      return this.#arena.subarray(slot * size, (slot + 1) * size);
    };
    if (numbers.length === 1) return image(numbers[0]!);
    for (let nth = 0; nth < numbers.length; nth++) this.#batch.set(image(numbers[nth]!), nth * size);
    return this.#batch.subarray(0, numbers.length * size);
  }
}
