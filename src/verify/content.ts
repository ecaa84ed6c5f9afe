/**
 * The database itself, restored into a temporary file as the objects of a generation come by: each snapshot is compared
 * with what the one before and the WAL between make of it, and SQLite checks the whole at each.
 */
import { describeError } from "../errors.ts";
import { formatIndex, type IndexOffset } from "../position.ts";
import { PageMerge } from "../restore/page_merge.ts";
import { PageSet } from "../restore/page_set.ts";
import type { Files, OpenFile } from "../runtime/files.ts";
import { join } from "../runtime/paths.ts";
import { checkIntegrity, classifySqliteError } from "../runtime/sqlite.ts";
import type { SnapshotInfo } from "../storage/replica_client.ts";
import type { CountedSnapshot, TellDamage } from "./page_cover.ts";

/** What is told while the content is checked. */
export interface ContentOptions {
  readonly files: Files;
  /** An empty folder. */
  readonly folderPath: string;
  readonly tell: TellDamage;
  /** Something could not be checked, which says nothing against it. */
  readonly onUnchecked: (key: string, reason: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A snapshot that is compared with the file, until its index shows which differences don't matter. */
interface Comparison {
  readonly counted: CountedSnapshot;
  readonly base: SnapshotInfo;
  /** Pages that differ from the file as it was at the start of the snapshot's index. */
  readonly different: PageSet;
  /** Pages that the WAL of that index has brought since. */
  readonly rewritten: PageSet;
}

/** The temporary database. */
export class ContentCheck implements Disposable {
  readonly #options: ContentOptions;
  readonly #path: string;
  readonly #file: OpenFile;
  /** The snapshot that the file began with; `undefined` while it holds nothing that can be gone on with. */
  #base: SnapshotInfo | undefined;
  #basePageCount = 0;
  /** Whether SQLite has looked at what became of it. */
  #isBaseChecked = false;
  #pageSize = 0;
  #merge: PageMerge | undefined;
  #comparison: Comparison | undefined;
  #comparing: SnapshotComparer | undefined;
  integrityCheckCount = 0;
  comparedCount = 0;

  private constructor(file: OpenFile, options: ContentOptions) {
    this.#file = file;
    this.#path = file.path;
    this.#options = options;
  }

  static async open(options: ContentOptions): Promise<ContentCheck> {
    const path = join(options.folderPath, "verified.db");
    return new ContentCheck(await options.files.open(path, { access: "create-new", mode: 0o600 }), options);
  }

  /** Whether pages have to be written before the next one is put. */
  get isFull(): boolean {
    return this.#merge?.isFull ?? false;
  }

  async makeRoom(): Promise<void> {
    await this.#merge?.makeRoom();
  }

  /** Where the bytes of the next snapshot go: into the file, or to be compared with it. */
  async openSnapshot(): Promise<Pick<OpenFile, "write">> {
    await this.#settle();
    this.#endComparison();
    if (this.#base !== undefined) return this.#comparing = new SnapshotComparer(this.#file);
    this.#file.truncateSync(0);
    return this.#file;
  }

  /** The snapshot whose bytes have been written; it is sound by itself. */
  meet(counted: CountedSnapshot & { readonly pageSize: number }): void {
    const { snapshot, note, pageCount, pageSize } = counted;
    const comparing = this.#comparing;
    this.#comparing = undefined;
    if (this.#base === undefined) {
      this.#base = snapshot;
      this.#basePageCount = pageCount;
      this.#isBaseChecked = false;
      return;
    }
    if (comparing === undefined || pageSize === 0) return;
    const different = comparing.differentPages(pageSize, this.#pageCount * pageSize);
    this.#comparison = { counted, base: this.#base, different, rewritten: new PageSet() };
    this.comparedCount++;
    if (note?.offset === 0) this.#endComparison();
  }

  /** The next snapshot is damaged: what was written or compared of it counts for nothing. */
  dropSnapshot(): void {
    this.#comparing = undefined;
  }

  /** Nothing that follows continues what the file holds. */
  reset(): void {
    this.#base = undefined;
    this.#merge = undefined;
    this.#comparison = undefined;
  }

  /** The page that starts at byte `at`, in the open transaction. */
  put(pageNumber: number, bytes: Uint8Array, { at, pageSize }: { at: number; pageSize: number }): void {
    if (this.#base === undefined) return;
    this.#pageSize = pageSize;
    this.#merge ??= new PageMerge(this.#file, { pageSize, pageCount: this.#basePageCount });
    this.#merge.put(pageNumber, bytes, at);
    this.#comparison?.rewritten.add(pageNumber);
  }

  /** The open transaction has committed. */
  commit(pageCount: number, end: IndexOffset): void {
    this.#merge?.commit(pageCount);
    const counted = this.#comparison?.counted;
    if (counted === undefined || counted.snapshot.index !== end.index) return;
    if (counted.note?.offset === end.offset) this.#endComparison();
  }

  /** The WAL of `index` goes on, so that those before it have ended. */
  async beginIndex(index: number): Promise<void> {
    // Nothing else would show that a first snapshot is that of another time.
    if (this.#base !== undefined && this.#base.index < index && !this.#isBaseChecked) await this.#settle();
    const compared = this.#comparison?.counted.snapshot;
    if (compared !== undefined && compared.index < index) this.#endComparison();
  }

  /** There is nothing more. */
  async finish(): Promise<void> {
    await this.#settle();
    this.#endComparison();
  }

  get #pageCount(): number {
    return this.#merge?.pageCount ?? this.#basePageCount;
  }

  /** Bring the file to the state after the newest commit and have SQLite check it. */
  async #settle(): Promise<void> {
    const base = this.#base;
    if (base === undefined) return;
    if (this.#merge?.isSpoiled) {
      this.#options.onUnchecked(
        base.key,
        "the newest state was not looked at: an unfinished transaction is too large",
      );
      return this.reset();
    }
    // A missing page is told of by whoever counts them.
    await this.#merge?.finish();
    const { pageCount } = this.#merge ?? {};
    if (pageCount !== undefined) this.#file.truncateSync(pageCount * this.#pageSize);
    await this.#checkIntegrity(base);
  }

  async #checkIntegrity(base: SnapshotInfo): Promise<void> {
    const { signal } = this.#options;
    try {
      const result = await checkIntegrity(this.#path, { signal });
      this.integrityCheckCount++;
      this.#isBaseChecked = true;
      if (result !== "ok") this.#tellIntegrity(base, result);
    } catch (error) {
      signal?.throwIfAborted();
      if (classifySqliteError(error) === "not a database") {
        return this.#tellIntegrity(base, describeError(error));
      }
      this.#options.onUnchecked(
        base.key,
        `SQLite can't check what is restored from it: ${describeError(error)}`,
      );
    }
  }

  #tellIntegrity(base: SnapshotInfo, result: string): void {
    this.#options.tell(base.key, `what is restored from it fails SQLite's integrity check: ${result}`);
    // Once is enough: the same would be said at each snapshot.
    this.reset();
  }

  #endComparison(): void {
    const comparison = this.#comparison;
    if (comparison === undefined) return;
    this.#comparison = undefined;
    const { counted: { snapshot }, base, different, rewritten } = comparison;
    for (let page = 1; page <= this.#pageCount; page++) {
      if (!different.has(page) || rewritten.has(page)) continue;
      this.#options.tell(
        snapshot.key,
        `page ${page} is not what the snapshot of index ${
          formatIndex(base.index)
        } and the wal from there make of it`,
      );
      return;
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/** Compares bytes with those of a file, in pieces of 512 bytes, the smallest page. */
class SnapshotComparer {
  readonly #file: OpenFile;
  readonly #different = new PageSet();
  #size = 0;
  #buffer = new Uint8Array(0);

  constructor(file: OpenFile) {
    this.#file = file;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    this.#size = position + bytes.length;
    if (this.#buffer.length < bytes.length) this.#buffer = new Uint8Array(bytes.length);
    const known = this.#buffer.subarray(
      0,
      await this.#file.read(this.#buffer.subarray(0, bytes.length), position),
    );
    for (let at = 0; at < bytes.length;) {
      const piece = Math.floor((position + at) / PIECE_SIZE);
      const end = Math.min(bytes.length, (piece + 1) * PIECE_SIZE - position);
      if (!isSame(bytes, known, { from: at, to: end })) this.#different.add(piece);
      at = end;
    }
  }

  /** The pages with a difference; `knownSize` bytes are what the file counts for. */
  differentPages(pageSize: number, knownSize: number): PageSet {
    const pages = new PageSet();
    const perPage = pageSize / PIECE_SIZE;
    for (let page = 1; page <= Math.max(this.#size, knownSize) / pageSize; page++) {
      const start = (page - 1) * perPage;
      let isDifferent = page * pageSize > Math.min(this.#size, knownSize);
      for (let piece = start; piece < start + perPage && !isDifferent; piece++) {
        isDifferent = this.#different.has(piece);
      }
      if (isDifferent) pages.add(page);
    }
    return pages;
  }
}

const PIECE_SIZE = 512;

function isSame(left: Uint8Array, right: Uint8Array, { from, to }: { from: number; to: number }): boolean {
  for (let at = from; at < to; at++) if (left[at] !== right[at]) return false;
  return true;
}
