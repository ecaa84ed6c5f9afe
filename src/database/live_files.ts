/**
 * The files of a live database: the main file, `-wal` and `-shm`.
 *
 * Closing any descriptor of the main file or of `-shm` drops all of SQLite's locks on it in this process, so each
 * is opened once and kept until the last connection is gone. They are read by the `…Sync` calls only: for the others
 * Deno duplicates the descriptor and closes the copy. The `-wal` carries no locks.
 */
import { type Files, type FileStat, type OpenFile } from "../runtime/files.ts";
import { WAL_HEADER_SIZE } from "../position.ts";
import { parseWalIndex, WAL_INDEX_SIZE, type WalIndex } from "../wal/wal_index.ts";

/** A writer publishes within microseconds; after this many looks something else is wrong. */
const LOOK_COUNT = 200;

const MAGIC = new TextEncoder().encode("SQLite format 3\0");

/** What the first bytes of a file say: a database, one that is still being made, or something else. */
export type DatabaseKind = "database" | "empty" | "other";

/** Whether the paths still name the files that we hold. */
export type Identity = "same" | "database missing" | "database replaced" | "wal missing" | "wal replaced";

/** The descriptors of one live database. */
export class LiveFiles implements Disposable {
  readonly #main: OpenFile;
  readonly #mainStat: FileStat;
  #wal: OpenFile | undefined;
  #walStat: FileStat | undefined;
  #index: OpenFile | undefined;
  readonly #look = new Uint8Array(WAL_INDEX_SIZE);

  /** Opens the main file; the others come with `attach`. */
  constructor(readonly path: string, readonly files: Files) {
    this.#main = files.openSync(path, { access: "read" });
    this.#mainStat = this.#main.statSync();
  }

  get walPath(): string {
    return `${this.path}-wal`;
  }

  /** What the main file holds. */
  kind(): DatabaseKind {
    const head = new Uint8Array(100);
    const count = this.#main.readSync(head, 0);
    if (count === 0) return "empty";
    return count === 100 && MAGIC.every((byte, at) => head[at] === byte) ? "database" : "other";
  }

  /** Bytes of a page, from the main file's header. */
  pageSize(): number {
    const field = new Uint8Array(2);
    this.#main.readSync(field, 16);
    const size = field[0]! * 256 + field[1]!;
    return size === 1 ? 65536 : size;
  }

  /** Open `-wal` and `-shm`, which are there once a connection of ours has begun to read. */
  attach(): void {
    this.#index ??= this.files.openSync(`${this.path}-shm`, { access: "read" });
    this.#wal ??= this.files.openSync(this.walPath, { access: "read" });
    this.#walStat ??= this.#wal.statSync();
  }

  /** What is committed now; `undefined` when the wal-index stays inconsistent, which a new reader repairs. */
  look(): WalIndex | undefined {
    for (let count = 0; count < LOOK_COUNT; count++) {
      if (this.#index!.readSync(this.#look, 0) < WAL_INDEX_SIZE) return undefined;
      const index = parseWalIndex(this.#look);
      if (index !== undefined) return index;
    }
    return undefined;
  }

  /** Fill `into` from byte `position` of the WAL; returns the bytes read. */
  readWal(into: Uint8Array, position: number): number {
    return this.#wal!.readSync(into, position);
  }

  /** The first 32 bytes of the WAL; `undefined` when it has fewer. */
  walHeader(): Uint8Array | undefined {
    const header = new Uint8Array(WAL_HEADER_SIZE);
    return this.readWal(header, 0) === WAL_HEADER_SIZE ? header : undefined;
  }

  /** Size and time of the WAL. */
  walStat(): FileStat {
    return this.#wal!.statSync();
  }

  /** Size and time of the main file. */
  mainStat(): FileStat {
    return this.#main.statSync();
  }

  /** Fill `into` from byte `position` of the main file; returns the bytes read. */
  readMain(into: Uint8Array, position: number): number {
    return this.#main.readSync(into, position);
  }

  /** Whether the paths still name what we hold; costs two `stat` calls. */
  identity(): Identity {
    const main = this.files.statSync(this.path);
    if (main === undefined) return "database missing";
    if (!isSameFile(main, this.#mainStat)) return "database replaced";
    if (this.#walStat === undefined) return "same";
    const wal = this.files.statSync(this.walPath);
    if (wal === undefined) return "wal missing";
    return isSameFile(wal, this.#walStat) ? "same" : "wal replaced";
  }

  /** Only after every connection of ours to this database is closed. */
  close(): void {
    this.#wal?.close();
    this.#index?.close();
    this.#main.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function isSameFile(left: FileStat, right: FileStat): boolean {
  return left.inode === right.inode && left.device === right.device;
}
