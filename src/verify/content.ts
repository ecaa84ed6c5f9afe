/**
 * The database itself, restored into a temporary file as the objects of a generation come by: each snapshot is compared
 * with what the one before and the WAL between make of it, and SQLite checks the whole at each.
 */
import { xxHash32 } from "../codec/lz4_kernel.ts";
import { describeError } from "../errors.ts";
import { formatIndex, type IndexOffset } from "../position.ts";
import { PageMerge } from "../restore/page_merge.ts";
import { PageSet } from "../restore/page_set.ts";
import type { Files, OpenFile } from "../runtime/files.ts";
import { join } from "../runtime/paths.ts";
import { checkIntegrity, classifySqliteError } from "../runtime/sqlite.ts";
import type { SnapshotInfo } from "../storage/replica_client.ts";
import { lockPageOf } from "../wal/lock_page.ts";
import type { CountedSnapshot, TellDamage } from "./page_cover.ts";

/** What is told while the content is checked. */
export interface ContentOptions {
  readonly files: Files;
  /** An empty folder. */
  readonly folderPath: string;
  readonly tell: TellDamage;
  /** Something could not be checked, which says nothing against it. */
  readonly onUnchecked: (key: string, reason: string) => void;
  /** SQLite can't check what the schema has from the application alone; the pages are all compared. */
  readonly onUnknownExtension: (key: string, reason: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A snapshot that is compared with the file, until its index shows which differences don't matter. */
interface Comparison {
  readonly counted: CountedSnapshot;
  readonly base: SnapshotInfo;
  /** Pages that differ from the file as it was at the start of the snapshot's index. */
  readonly different: PageSet;
  /** What is in the pieces that differ; those that a page of the WAL of that index explains are taken away. */
  readonly pieces: Map<number, number>;
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
    const { pieces } = comparing;
    const different = comparing.differentPages(pageSize, this.#pageCount * pageSize);
    this.#comparison = { counted, base: this.#base, different, pieces, rewritten: new PageSet() };
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
    if (this.#comparison === undefined) return;
    this.#comparison.rewritten.add(pageNumber);
    explain(this.#comparison.pieces, { pageNumber, page: bytes.subarray(at, at + pageSize) });
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
      const problem = classifySqliteError(error);
      if (problem === "not a database") return this.#tellIntegrity(base, describeError(error));
      const tell = problem === "unknown extension"
        ? this.#options.onUnknownExtension
        : this.#options.onUnchecked;
      tell(base.key, `SQLite can't check what is restored from it: ${describeError(error)}`);
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
    const { counted: { snapshot }, base, different, rewritten, pieces } = comparison;
    const perPage = this.#pageSize / PIECE_SIZE;
    const before = `what the snapshot of index ${formatIndex(base.index)} and the wal from there make of it`;
    for (let page = 1; page <= this.#pageCount; page++) {
      if (!different.has(page)) continue;
      const isRewritten = rewritten.has(page);
      const first = (page - 1) * perPage;
      const isForeign = Array.from({ length: perPage }, (_, nth) => first + nth).some((piece) =>
        pieces.has(piece)
      );
      if (isRewritten && !isForeign) continue;
      this.#options.tell(
        snapshot.key,
        isRewritten
          ? `page ${page} is neither ${before}, nor what the wal of its own index brings`
          : `page ${page} is not ${before}`,
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
  /** What is in the pieces that differ, as a checksum; not of zeros, as a page has that was never written. */
  readonly pieces = new Map<number, number>();
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
      if (!isSame(bytes, known, { from: at, to: end })) this.#differ(piece, bytes.subarray(at, end));
      at = end;
    }
  }

  #differ(piece: number, bytes: Uint8Array): void {
    this.#different.add(piece);
    // A piece that comes in two parts is not looked at closer, nor are those beyond what memory is meant for this.
    const isKept = bytes.length === PIECE_SIZE && this.pieces.size < KEPT_PIECES;
    if (isKept && bytes.some((byte) => byte !== 0)) this.pieces.set(piece, xxHash32(bytes));
  }

  /** The pages with a difference that means something; `knownSize` bytes are what the file counts for. */
  differentPages(pageSize: number, knownSize: number): PageSet {
    const pages = new PageSet();
    const perPage = pageSize / PIECE_SIZE;
    const lockPage = lockPageOf(pageSize);
    for (let page = 1; page <= Math.max(this.#size, knownSize) / pageSize; page++) {
      if (page === lockPage) continue;
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

/** Differing pieces that are remembered: 256 MiB of a database. */
const KEPT_PIECES = 1 << 19;

/** Take away from `pieces` what a page of the WAL has the same of: a snapshot may hold it already. */
function explain(
  pieces: Map<number, number>,
  { pageNumber, page }: { pageNumber: number; page: Uint8Array },
): void {
  if (pieces.size === 0) return;
  const first = (pageNumber - 1) * page.length / PIECE_SIZE;
  for (let at = 0; at < page.length; at += PIECE_SIZE) {
    const piece = first + at / PIECE_SIZE;
    const known = pieces.get(piece);
    if (known !== undefined && known === xxHash32(page.subarray(at, at + PIECE_SIZE))) pieces.delete(piece);
  }
}

function isSame(left: Uint8Array, right: Uint8Array, { from, to }: { from: number; to: number }): boolean {
  for (let at = from; at < to; at++) if (left[at] !== right[at]) return false;
  return true;
}
