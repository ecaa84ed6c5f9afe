/**
 * The files of a live database: the main file, `-wal` and `-shm`.
 *
 * Closing any descriptor of the main file or of `-shm` drops all of SQLite's locks on it in this process, so each
 * is opened once and kept until the last connection is gone. They are read by the `…Sync` calls only: for the others
 * Deno duplicates the descriptor and closes the copy. The `-wal` carries no locks.
 */
import { type Files, type FileStat, type OpenFile } from "../runtime/files.ts";
import { isUnwritten, type SeenFile } from "./seen_file.ts";
import { parentFolder } from "../runtime/paths.ts";
import { equalBytes, toHex } from "../bytes.ts";
import { WAL_HEADER_SIZE } from "../position.ts";
import { equalPair, parseWalHeader, type Salts } from "../wal/header.ts";
import { parseWalIndexWords, WAL_INDEX_SIZE, type WalIndex } from "../wal/wal_index.ts";

/** A writer publishes within microseconds; after this many looks something else is wrong. */
const LOOK_COUNT = 200;

/** Looks until a wal-index and a WAL that don't match are believed. */
const BELONGING_LOOK_COUNT = 200;

/** Where all of them read to; only those words are kept that differ from the last ones. */
const lookBytes = new Uint8Array(WAL_INDEX_SIZE);
const lookWords = new Int32Array(lookBytes.buffer);

const MAGIC = new TextEncoder().encode("SQLite format 3\0");

/** What the first bytes of a file say: a database, one that is still being made, or something else. */
export type DatabaseKind = "database" | "empty" | "other";

/** Whether the paths still name the files that we hold. */
export type Identity = "same" | `${"database" | "wal" | "wal-index"} ${"missing" | "replaced"}`;

/** What to do where a program goes on with files that nobody else sees. */
export const LOST_FILE_ADVICE =
  "the -wal or -shm file was deleted or replaced while in use, commits may go to a lost " +
  "file: restart the application; a new generation then starts";

/** The paths no longer name the files that we hold. */
export class IdentityError extends Error {
  override readonly name = "IdentityError";
  /** What happens now, and what the user can do. */
  readonly advice: string;
  /** Whether the database is still the same. */
  readonly isOfSideFile: boolean;

  constructor(identity: Exclude<Identity, "same">) {
    super(`${identity} by another process`);
    this.isOfSideFile = !identity.startsWith("database");
    this.advice = identity === "database missing"
      ? "the database file was deleted while in use; waiting until it is there again"
      : identity === "database replaced"
      ? "the database file was replaced while in use; taking up the new one"
      : LOST_FILE_ADVICE;
  }
}

/** A WAL that may lie beside another database than its own. */
export interface LeftWal {
  /** Which main file it was of, and which WAL it is: not by their inodes alone, which are used again. */
  readonly main: SeenFile;
  readonly wal: SeenFile;
  /** The WAL's, in hex. */
  readonly header: string;
}

/** Main files that this process has open, as `device:inode`. */
const heldFiles = new Set<string>();

/** The descriptors of one live database. */
export class LiveFiles implements Disposable {
  readonly #main: OpenFile;
  readonly #mainStat: FileStat;
  readonly #name: string;
  #wal: OpenFile | undefined;
  #walStat: FileStat | undefined;
  #index: OpenFile | undefined;
  #indexStat: FileStat | undefined;
  /** What the last look found, and the bytes that said so. */
  #found: WalIndex | undefined;
  readonly #foundWords = new Int32Array(WAL_INDEX_SIZE / 4);

  /**
   * Opens the main file; the others come with `attach`.
   *
   * @throws {Error} when this process has it open already, under whatever name: closing a second descriptor would
   *   drop the locks of the first follower
   */
  constructor(readonly path: string, readonly files: Files) {
    const stat = files.statSync(path);
    if (stat !== undefined && heldFiles.has(nameOf(stat))) {
      throw new Error(
        `${path} is replicated by this walbrook already, maybe under another name: name it once`,
      );
    }
    // Never written to through this. But one that can't be written to can't be checkpointed either, and SQLite would
    // say so only then.
    this.#main = files.openSync(path, { access: "read-write" });
    try {
      this.#mainStat = this.#main.statSync();
    } catch (error) {
      this.#main.close();
      throw error;
    }
    this.#name = nameOf(this.#mainStat);
    heldFiles.add(this.#name);
  }

  get walPath(): string {
    return `${this.path}-wal`;
  }

  /** Where all three lie. */
  get folderPath(): string {
    return parentFolder(this.path);
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

  /** Whether the database is in WAL mode, by the main file's header. */
  isWal(): boolean {
    const versions = new Uint8Array(2);
    this.#main.readSync(versions, 18);
    return versions.every((version) => version === 2);
  }

  /** Open `-wal` and `-shm`, which are there once a connection of ours has begun to read. */
  attach(): void {
    this.#index ??= this.files.openSync(`${this.path}-shm`, { access: "read" });
    this.#wal ??= this.files.openSync(this.walPath, { access: "read" });
    this.#walStat ??= this.#wal.statSync();
    this.#indexStat ??= this.#index.statSync();
  }

  /**
   * What is committed now; `undefined` when the wal-index stays inconsistent, which a new reader repairs.
   *
   * While the bytes stay the same so does the object, and it costs little more than the read.
   */
  look(): WalIndex | undefined {
    for (let count = 0; count < LOOK_COUNT; count++) {
      if (this.#index!.readSync(lookBytes, 0) < WAL_INDEX_SIZE) return undefined;
      if (this.#found !== undefined && equalWords(lookWords, this.#foundWords)) return this.#found;
      const index = parseWalIndexWords(lookWords);
      if (index === undefined) continue;
      this.#foundWords.set(lookWords);
      return this.#found = index;
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

  /**
   * Whether the WAL is the one of the wal-index. Else its frames are not where the wal-index says that ours are: the
   * application writes into another file, or into this one by a wal-index of its own.
   */
  walBelongs(): boolean {
    // A restart may lie between two reads.
    for (let count = 0; count < BELONGING_LOOK_COUNT; count++) {
      const index = this.look();
      // One that is half-published is made anew from the WAL.
      if (index === undefined || index.mxFrame === 0) return true;
      const salts = this.walSalts();
      if (salts !== undefined && equalPair(salts, index.salts)) return true;
    }
    return false;
  }

  /** Those in the header of the WAL; `undefined` when it is too short or half-written. */
  walSalts(): Salts | undefined {
    const header = this.walHeader();
    if (header === undefined) return undefined;
    try {
      return parseWalHeader(header).salts;
    } catch {
      // The next look finds it whole.
      return undefined;
    }
  }

  /**
   * The WAL with this header, as it lies beside a database that took the place of ours; `undefined` where it can't be
   * looked at, or another one has begun in its file.
   */
  leftWal(header: Uint8Array): LeftWal | undefined {
    try {
      const now = this.#wal && this.walHeader();
      if (now === undefined || !equalBytes(now, header)) return undefined;
      return { main: this.mainStat(), wal: this.walStat(), header: toHex(header) };
    } catch {
      return undefined; // Why is told by who reads the rest of it.
    }
  }

  /**
   * Whether the WAL that was left by another database lies beside this one as it was: SQLite would take it for its own,
   * and put its pages into this database. One that somebody has written to since is this database's by now.
   */
  hasBesides(left: LeftWal): boolean {
    const { wal, header } = left;
    const stat = this.files.statSync(this.walPath);
    if (stat === undefined || stat.inode !== wal.inode || !isUnwritten(wal, stat)) return false;
    if (!this.isAnotherThan(left)) return false;
    const now = new Uint8Array(WAL_HEADER_SIZE);
    using file = this.files.openSync(this.walPath, { access: "read" });
    return file.readSync(now, 0) === WAL_HEADER_SIZE && toHex(now) === header;
  }

  /** Whether the main file is not the one, as it was, that left a WAL; a copy that has kept its time is that one. */
  isAnotherThan({ main }: Pick<LeftWal, "main">): boolean {
    return !isUnwritten(main, this.mainStat());
  }

  /** Size and time of the WAL. */
  walStat(): FileStat {
    return this.#wal!.statSync();
  }

  /** Of the `-shm` that we hold. */
  get indexInode(): number {
    return this.#indexStat!.inode;
  }

  /** Size and time of the main file. */
  mainStat(): FileStat {
    return this.#main.statSync();
  }

  /** Fill `into` from byte `position` of the main file; returns the bytes read. */
  readMain(into: Uint8Array, position: number): number {
    return this.#main.readSync(into, position);
  }

  /** Whether the paths still name what we hold; costs three `stat` calls. */
  identity(): Identity {
    const held = [
      ["database", this.path, this.#mainStat],
      ["wal", this.walPath, this.#walStat],
      ["wal-index", `${this.path}-shm`, this.#indexStat],
    ] as const;
    for (const [what, path, ours] of held) {
      if (ours === undefined) continue;
      const stat = this.files.statSync(path);
      if (stat === undefined) return `${what} missing`;
      if (nameOf(stat) !== nameOf(ours)) return `${what} replaced`;
    }
    return "same";
  }

  /**
   * Another file under one of our names must neither be taken for ours nor be written to with what our WAL holds:
   * asked after each connection that is opened by its path, and before each checkpoint.
   *
   * @throws {IdentityError} when it is so
   */
  requireSame(): void {
    const identity = this.identity();
    if (identity !== "same") throw new IdentityError(identity);
  }

  /** Only after every connection of ours to this database is closed. */
  close(): void {
    this.#wal?.close();
    this.#index?.close();
    this.#main.close();
    heldFiles.delete(this.#name);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function equalWords(left: Int32Array, right: Int32Array): boolean {
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}

function nameOf({ device, inode }: FileStat): string {
  return `${device}:${inode}`;
}
