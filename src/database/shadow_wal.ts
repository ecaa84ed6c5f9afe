/**
 * The shadow WAL: our copy of the committed frames, one file per index, with the real WAL's own bytes.
 *
 * Only what was published as committed gets here. A file appears with its header and first commit at once.
 */
import { ContinuityLostError } from "./continuity.ts";
import { EndedIndexes } from "./ended_indexes.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import {
  lastCopyAt,
  mayHold,
  readChecksumBefore,
  readEnd,
  type VerifiedFile,
  verifyFile,
  wholeSize,
} from "./shadow_file.ts";
import { type Files, isSameFile, type OpenFile, systemCode } from "../runtime/files.ts";
import { parentFolder } from "../runtime/paths.ts";
import { frameSize, type IndexEnd, type IndexOffset, MAX_INDEX, WAL_HEADER_SIZE } from "../position.ts";
import { equalBytes } from "../bytes.ts";
import { describeError } from "../errors.ts";
import { chainOf, type FrameScan, type WalChain } from "../wal/frames.ts";
import type { Checksum } from "../wal/checksum.ts";
import { equalPair, parseWalHeader, type Salts } from "../wal/header.ts";
import type { WalIndex } from "../wal/wal_index.ts";

/** Some file systems give times in steps of two seconds. */
const FOREIGN_MS = 2500;

/** Why a shadow WAL that was left behind can't be gone on with. */
export class UnusableShadowError extends Error {
  override readonly name = "UnusableShadowError";
}

/** The newest shadow file. */
interface Tail extends VerifiedFile {
  readonly file: OpenFile;
  readonly header: Uint8Array;
  chain: WalChain;
  size: number;
  committedSize: number;
  /** Up to where it is on the disk. */
  syncedSize: number;
  /** Whether the file has its final name. */
  isNamed: boolean;
  /** Whether bytes of a write that failed may still follow. */
  isTorn: boolean;
}

/** The shadow WAL of one generation. */
export class ShadowWal implements Disposable {
  readonly generation: string;
  readonly #meta: MetaDirectory;
  readonly #files: Files;
  readonly #ended: EndedIndexes;
  #index: number;
  #tail: Tail | undefined;
  /** Of the WAL that was followed before the newest index began; `undefined` where that was not begun since we opened. */
  #endedSalts: Salts | undefined;
  /** Bytes of all files but the newest; `undefined` until somebody asks. */
  #olderSize: number | undefined;
  /** What a sync failed with. */
  #syncError: string | undefined;
  /** When we last changed the newest file and the folder: a later time means somebody else. */
  #touchedMs = { file: 0, folder: 0 };

  private constructor(generation: string, { meta, files, index }: ShadowOptions & { index: number }) {
    this.generation = generation;
    this.#meta = meta;
    this.#files = files;
    this.#ended = new EndedIndexes(meta, generation);
    this.#index = index;
  }

  /** A new generation without any file: its index 0 begins with the first commit. */
  static create(generation: string, options: ShadowOptions): ShadowWal {
    options.meta.createShadowFolder(generation);
    const shadow = new ShadowWal(generation, { ...options, index: 0 });
    shadow.#noteTouched();
    return shadow;
  }

  /**
   * Go on with what is there; the newest file is verified, and a torn end is cut off.
   *
   * @throws {UnusableShadowError} with the reason when it can't be gone on with
   */
  static open(generation: string, options: ShadowOptions): ShadowWal {
    const index = options.meta.shadowIndexes(generation).at(-1);
    if (index === undefined) throw new UnusableShadowError("no shadow wal");
    if (index >= MAX_INDEX) throw new UnusableShadowError("max index exceeded");
    const shadow = new ShadowWal(generation, { ...options, index });
    const problem = shadow.#ended.problemBelow(
      index,
      (end) => mayHold(end, shadow.path(end.index), options.files),
    );
    if (problem !== undefined) throw new UnusableShadowError(problem);
    shadow.#openTail();
    return shadow;
  }

  #openTail(): void {
    const file = this.#files.openSync(this.path(this.#index), { access: "read-write" });
    try {
      const header = new Uint8Array(WAL_HEADER_SIZE);
      if (file.readSync(header, 0) < WAL_HEADER_SIZE) throw new UnusableShadowError("short shadow wal");
      this.#tail = { file, header, ...verifyFile(file, header), syncedSize: 0, isNamed: true, isTorn: false };
      this.#noteTouched();
    } catch (error) {
      file.close();
      if (error instanceof UnusableShadowError) throw error;
      throw new UnusableShadowError(`shadow wal header: ${describeError(error)}`);
    }
  }

  /** The newest index; the file of a fresh generation's index 0 need not be there yet. */
  get index(): number {
    return this.#index;
  }

  /** Bytes of the newest index that end in a commit; 0 before its first one. */
  get committedSize(): number {
    return this.#tail?.isNamed ? this.#tail.committedSize : 0;
  }

  /** The same, also while the file has no name yet. */
  get committedEnd(): number {
    return this.#tail?.committedSize ?? 0;
  }

  /** Bytes of the newest index that were copied, whole or not. */
  get size(): number {
    return this.#tail?.size ?? 0;
  }

  /** Bytes of all shadow files of the generation. */
  get totalSize(): number {
    this.#olderSize ??= this.#meta.shadowFiles(this.generation)
      .reduce((sum, { index, size }) => index === this.#index ? sum : sum + size, 0);
    return this.#olderSize + this.size;
  }

  /** Committed bytes behind `position` in all files that are still there. */
  bytesAfter({ index, offset }: IndexOffset): number {
    if (index === this.#index) return Math.max(0, this.committedSize - offset);
    return this.#meta.shadowFiles(this.generation)
      .map((file) => file.index === this.#index ? { ...file, size: this.committedSize } : file)
      .filter((file) => file.index >= index)
      .reduce((sum, file) => sum + (file.index === index ? Math.max(0, file.size - offset) : file.size), 0);
  }

  /** Header of the newest index; `undefined` before the first commit of a fresh generation. */
  get header(): Uint8Array | undefined {
    return this.#tail?.header;
  }

  /** What the next frame has to continue. */
  get chain(): WalChain | undefined {
    return this.#tail?.chain;
  }

  /** Frames that were copied of the newest index. */
  get frameCount(): number {
    if (this.#tail === undefined) return 0;
    return (this.#tail.size - WAL_HEADER_SIZE) / frameSize(this.#tail.chain.pageSize);
  }

  /** Whether every frame was copied that the wal-index spoke of. What an index ended with was copied before the next. */
  hasAllOf({ salts, mxFrame }: Pick<WalIndex, "salts" | "mxFrame">): boolean {
    const chain = this.#tail?.chain;
    if (chain !== undefined && equalPair(chain.salts, salts)) return this.frameCount >= mxFrame;
    return this.#endedSalts !== undefined && equalPair(this.#endedSalts, salts);
  }

  /** The shadow file of an index. */
  path(index: number): string {
    return this.#meta.shadowPath(this.generation, index);
  }

  /**
   * Whether the shadow WAL is as we left it. Size alone doesn't tell, since Litestream copies the same bytes to the
   * same place; but it makes a temporary file for each copy, which gives the folder a new time.
   */
  condition(): "ours" | "missing" | "foreign" {
    const folder = this.#files.statSync(this.#folder);
    if (folder === undefined) return "missing";
    const file = this.#tail?.isNamed ? this.#files.statSync(this.path(this.#index)) : undefined;
    if (this.#tail?.isNamed && file === undefined) return "missing";
    if (folder.modifiedAt.getTime() > this.#touchedMs.folder + FOREIGN_MS) return "foreign";
    if (file !== undefined) {
      const isLater = file.modifiedAt.getTime() > this.#touchedMs.file + FOREIGN_MS;
      const { size, isTorn } = this.#tail!;
      if (isLater || file.size !== size && !(isTorn && file.size > size)) return "foreign";
    }
    return this.#files.statSync(this.path(this.#index + 1)) === undefined ? "ours" : "foreign";
  }

  /** The folder, and the newest file in it if there is one. */
  get newestPaths(): readonly string[] {
    return this.#tail?.isNamed ? [this.#folder, this.path(this.#index)] : [this.#folder];
  }

  get #folder(): string {
    return parentFolder(this.path(0));
  }

  /** The file system's own time of our last change, which its clock may give otherwise than ours. */
  #noteTouched(): void {
    this.#touchedMs = {
      file: this.#tail?.file.statSync().modifiedAt.getTime() ?? 0,
      folder: this.#files.statSync(this.#folder)?.modifiedAt.getTime() ?? 0,
    };
  }

  /** Remove the files of all indexes below `index`. */
  removeBefore(index: number): void {
    const isOurs = this.condition() === "ours";
    let mayBeGone = true;
    try {
      mayBeGone = this.#meta.removeShadowBefore(this.generation, index);
    } finally {
      // Some of them may be gone also where one could not be removed.
      if (mayBeGone) this.#olderSize = undefined;
      if (isOurs) this.#noteTouched();
    }
  }

  /**
   * Begin the next index (or index 0). Its file gets its name with the first commit.
   *
   * @param header the real WAL's 32 bytes, valid
   * @throws {ContinuityLostError} when what was copied of the old index can't be brought to the disk
   */
  beginIndex(header: Uint8Array): void {
    const index = this.#tail === undefined ? this.#index : this.#index + 1;
    const chain = chainOf(parseWalHeader(header));
    if (this.#tail !== undefined) this.#cutTornEnd(this.#tail);
    const isOurs = this.condition() === "ours";
    // What was copied of the old index must survive a power cut from here on: the real WAL is being overwritten.
    this.#syncTail();
    const file = this.#files.openSync(`${this.path(index)}.tmp`, {
      access: "create",
      mode: this.#meta.fileMode,
    });
    try {
      file.writeSync(header, 0);
    } catch (error) {
      file.close();
      // The file is there, which gave the folder a new time.
      if (isOurs) this.#noteTouched();
      throw error;
    }
    if (this.#tail !== undefined) this.#endTail(this.#tail);
    this.#index = index;
    this.#tail = {
      file,
      header,
      chain,
      size: WAL_HEADER_SIZE,
      committedSize: WAL_HEADER_SIZE,
      syncedSize: 0,
      isNamed: false,
      isTorn: false,
    };
    this.#noteTouched();
  }

  #endTail({ file, chain: { salts, checksum }, size }: Tail): void {
    file.close();
    if (this.#olderSize !== undefined) this.#olderSize += size;
    this.#endedSalts = salts;
    if (size > WAL_HEADER_SIZE) this.#ended.remember({ index: this.#index, length: size, checksum, salts });
  }

  /** Write down what can wait until nothing else is to be done. */
  writeNotes(): void {
    this.#ended.write();
  }

  #syncTail(): void {
    const tail = this.#tail;
    try {
      if (tail !== undefined && tail.syncedSize < tail.size) tail.file.syncSync();
    } catch (error) {
      this.noteSyncError(error);
    }
    this.requireSynced();
  }

  /** So many bytes of what is open as `file` were brought to the disk, which was the file of an index by its name. */
  noteSynced(file: OpenFile, { index, size }: { index: number; size: number }): void {
    const tail = this.#tail;
    if (tail === undefined || index !== this.#index || !isSameFile(file.statSync(), tail.file.statSync())) {
      return;
    }
    tail.syncedSize = size;
  }

  /**
   * What was copied couldn't be brought to the disk. The system may have dropped it, tells so once, and succeeds at the
   * next try: nobody can rely on these files any more.
   */
  noteSyncError(error: unknown): void {
    this.#syncError ??= describeError(error);
  }

  /** Whether a sync has failed. */
  get hasSyncError(): boolean {
    return this.#syncError !== undefined;
  }

  /** @throws {ContinuityLostError} once a sync has failed */
  requireSynced(): void {
    if (this.#syncError === undefined) return;
    throw new ContinuityLostError(`the shadow wal can't be brought to the disk: ${this.#syncError}`);
  }

  /** Append verified frames to the newest file; `scan` is what `scanFrames` said of exactly these bytes. */
  append(frames: Uint8Array, scan: FrameScan): void {
    const tail = this.#tail!;
    this.#cutTornEnd(tail);
    try {
      tail.file.writeSync(frames, tail.size);
    } catch (error) {
      // On a full disk a part may be there already; the file has to stay as we know it.
      tail.isTorn = true;
      try {
        this.#cutTornEnd(tail);
      } catch {
        // Before the next write; why this one failed says more.
      }
      throw error;
    }
    if (scan.committedCount > 0) {
      tail.committedSize = tail.size + scan.committedCount * frameSize(tail.chain.pageSize);
    }
    tail.size += frames.length;
    tail.chain = { ...tail.chain, checksum: scan.checksum };
    this.#touchedMs.file = tail.file.statSync().modifiedAt.getTime();
  }

  #cutTornEnd(tail: Tail): void {
    if (!tail.isTorn) return;
    try {
      tail.file.truncateSync(tail.size);
      tail.isTorn = false;
    } finally {
      this.#touchedMs.file = tail.file.statSync().modifiedAt.getTime();
    }
  }

  /**
   * Give the newest file its name once it holds a commit; to be called after `append()`, and again where it failed.
   *
   * @returns whether it has got it now, and with it what it holds is offered to replicas
   */
  nameFile(): boolean {
    const tail = this.#tail;
    if (tail === undefined || tail.isNamed || tail.committedSize === WAL_HEADER_SIZE) return false;
    const path = this.path(this.#index);
    try {
      this.#meta.adoptFile(`${path}.tmp`);
      this.#files.renameSync(`${path}.tmp`, path);
    } catch (error) {
      // What failed may have been done all the same.
      if (!this.#isAt(path, tail)) throw error;
    }
    tail.isNamed = true;
    this.#noteTouched();
    return true;
  }

  #isAt(path: string, { file }: Tail): boolean {
    return isSameFile(this.#files.statSync(path), file.statSync());
  }

  /** Bytes of an index that replicas may have; `undefined` when its file isn't there. */
  sizeOf(index: number): number | undefined {
    if (index === this.#index && this.#tail !== undefined) {
      return this.#tail.isNamed ? this.#tail.committedSize : undefined;
    }
    return wholeSize(this.path(index), this.#files);
  }

  /** Until when all that the file of an index holds was copied, see `lastCopyAt`. */
  copiedBy(index: number): number | undefined {
    return lastCopyAt(this.path(index), this.#files);
  }

  /**
   * How an index ended that has a successor; `undefined` when its file isn't there any more.
   *
   * @throws {Error} when the file is damaged, or has lost its end
   */
  endOf(index: number): IndexEnd | undefined {
    const length = index < 0 ? undefined : this.sizeOf(index);
    if (length === undefined || length <= WAL_HEADER_SIZE) return undefined;
    return this.#ended.checked(readEnd(this.path(index), { files: this.#files, index, length }));
  }

  /**
   * The same as far as it is known, for what is only told how the index ended: where its file is damaged by now, what is
   * remembered of it.
   */
  knownEndOf(index: number): IndexEnd | undefined {
    try {
      return this.endOf(index);
    } catch (error) {
      if (systemCode(error) !== undefined) throw error;
      return this.#ended.endOf(index);
    }
  }

  /** Checksum of the frame that ends at `offset` of `index`; `undefined` when the shadow WAL hasn't got it. */
  checksumBefore({ index, offset }: IndexOffset): Checksum | undefined {
    const size = this.sizeOf(index);
    if (size === undefined || offset > size || offset <= WAL_HEADER_SIZE) return undefined;
    return readChecksumBefore(this.path(index), { files: this.#files, offset });
  }

  /** Whether `read`'s bytes at the place of our last whole frame are that frame. */
  endsLike(read: (into: Uint8Array, position: number) => number): boolean {
    const tail = this.#tail!;
    if (tail.size === WAL_HEADER_SIZE) return true;
    const size = frameSize(tail.chain.pageSize);
    const ours = new Uint8Array(size);
    const theirs = new Uint8Array(size);
    tail.file.readSync(ours, tail.size - size);
    return read(theirs, tail.size - size) === size && equalBytes(ours, theirs);
  }

  close(): void {
    if (this.#isOursStill()) this.writeNotes();
    this.#tail?.file.close();
    this.#tail = undefined;
  }

  #isOursStill(): boolean {
    try {
      return this.condition() === "ours";
    } catch {
      return false;
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What a shadow WAL is built on. */
export interface ShadowOptions {
  readonly meta: MetaDirectory;
  readonly files: Files;
}
