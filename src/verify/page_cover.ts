/** Whether snapshots and WAL together bring every page: sizes are kept, and of pages only those that a commit adds. */
import type { SnapshotNote } from "../codec/note.ts";
import { formatIndex, type IndexOffset } from "../position.ts";
import { lockPageOf } from "../wal/lock_page.ts";
import { PageSet } from "../restore/page_set.ts";
import { segmentKey } from "../storage/keys.ts";
import type { SnapshotInfo } from "../storage/replica_client.ts";

/** What becomes of a fault: the object that is to blame, and why. */
export type TellDamage = (key: string, reason: string) => void;

/** A snapshot whose pages have been counted. */
export interface CountedSnapshot {
  readonly snapshot: SnapshotInfo;
  readonly note: SnapshotNote | undefined;
  readonly pageCount: number;
}

/** A newest commit: where it ends, and how large the database is then. */
interface Size {
  readonly end: IndexOffset;
  readonly pageCount: number;
}

/** Follows the size of the database through a generation. */
export class PageCover {
  readonly #generation: string;
  readonly #tell: TellDamage;
  /** `undefined` while nobody knows that all pages are there: at the start and behind damage. */
  #known: Size | undefined;
  /** Pages beyond those that the open transaction brings. */
  #added: PageSet | undefined;
  #openFrameCount = 0;
  #start: SnapshotStart | undefined;

  constructor(generation: string, tell: TellDamage) {
    this.#generation = generation;
    this.#tell = tell;
  }

  /** Whether a transaction is open. */
  get isInTransaction(): boolean {
    return this.#openFrameCount > 0;
  }

  /** What came before is not known to be whole. */
  reset(): void {
    this.#known = undefined;
    this.#added = undefined;
    this.#openFrameCount = 0;
    this.#start = undefined;
  }

  /** Take in a snapshot of the index that comes next. */
  meet(counted: CountedSnapshot): void {
    this.#endStart();
    if (counted.note?.offset === 0 && this.#known !== undefined) {
      this.#compare(counted, this.#known.pageCount);
    }
    this.#start = new SnapshotStart(counted);
  }

  /** The WAL of `index` goes on, so that those before it have ended. */
  beginIndex(index: number): void {
    if (this.#start !== undefined && this.#start.counted.snapshot.index < index) this.#endStart();
  }

  /** A page of the open transaction. */
  put(pageNumber: number): void {
    this.#openFrameCount++;
    this.#start?.put(pageNumber);
    if (this.#known === undefined || pageNumber <= this.#known.pageCount) return;
    this.#added ??= new PageSet();
    this.#added.add(pageNumber);
  }

  /** The open transaction has committed. */
  commit(pageCount: number, { end, pageSize }: { end: IndexOffset; pageSize: number }): void {
    const known = this.#known;
    if (known !== undefined) {
      const missing = firstMissing(this.#added, { from: known.pageCount + 1, to: pageCount, pageSize });
      if (missing !== undefined) this.#tellMissing(missing, { end, last: known.end });
      this.#known = { end, pageCount };
    }
    this.#added = undefined;
    this.#openFrameCount = 0;
    const start = this.#start;
    if (start === undefined) return;
    start.commit(pageCount, { end, pageSize });
    const { snapshot, note } = start.counted;
    if (snapshot.index !== end.index || note?.offset !== end.offset) return;
    // Pages that were not in the database file yet come from the WAL of its index; whether they do is found next.
    if (start.counted.pageCount > pageCount) this.#compare(start.counted, pageCount);
    this.#endStart();
  }

  /** There is nothing more. */
  finish(): void {
    this.#endStart();
  }

  /** What the newest snapshot and the WAL behind it bring is whole by now. */
  #endStart(): void {
    const start = this.#start;
    this.#start = undefined;
    if (start?.size === undefined) return;
    const missing = start.firstMissing();
    if (missing === undefined) this.#known ??= start.size;
    else {
      this.#tell(
        start.counted.snapshot.key,
        `page ${missing} of the database is neither in it nor in the wal that follows`,
      );
    }
  }

  /** Within an index the checksums leave room for nothing, so what is missing was at the end of the one before. */
  #tellMissing(page: number, { end, last }: { end: IndexOffset; last: IndexOffset }): void {
    this.#tell(
      segmentKey({ generation: this.#generation, ...last }),
      `missing: index ${formatIndex(end.index)} counts on page ${page}, which nothing before it brings`,
    );
  }

  #compare({ snapshot, pageCount }: CountedSnapshot, expected: number): void {
    if (pageCount === expected) return;
    this.#tell(snapshot.key, `it has ${pageCount} pages, and by the wal the database has ${expected} there`);
  }
}

/** The pages from a snapshot on, which can be wrong until a moment of its index that only a note tells. */
class SnapshotStart {
  readonly counted: CountedSnapshot;
  /** Pages up to here are the snapshot's. */
  #solidCount: number;
  readonly #beyond = new PageSet();
  #pageSize = 0;
  size: Size | undefined;

  constructor(counted: CountedSnapshot) {
    this.counted = counted;
    this.#solidCount = counted.pageCount;
  }

  put(pageNumber: number): void {
    if (pageNumber > this.#solidCount) this.#beyond.add(pageNumber);
  }

  commit(pageCount: number, { end, pageSize }: { end: IndexOffset; pageSize: number }): void {
    this.#beyond.deleteAfter(pageCount);
    this.#solidCount = Math.min(this.#solidCount, pageCount);
    this.#pageSize = pageSize;
    this.size = { end, pageCount };
  }

  firstMissing(): number | undefined {
    const to = this.size?.pageCount ?? 0;
    return firstMissing(this.#beyond, { from: this.#solidCount + 1, to, pageSize: this.#pageSize });
  }
}

function firstMissing(
  pages: PageSet | undefined,
  { from, to, pageSize }: { from: number; to: number; pageSize: number },
): number | undefined {
  const lockPage = lockPageOf(pageSize);
  for (let page = from; page <= to; page++) if (page !== lockPage && !pages?.has(page)) return page;
  return undefined;
}
