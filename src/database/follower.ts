/**
 * Follows the WAL of one open database: copies what is published into the shadow WAL and keeps the read lock moving.
 *
 * Every call is short and blocks; the caller makes sure that only one runs at a time.
 *
 * @see docs/DESIGN.md, "The lossless checkpoint"
 */
import { CommitTimes } from "./commit_times.ts";
import { ContinuityLostError } from "./continuity.ts";
import { nextWalStep, reasonForNewGeneration, shouldMove, shouldStay, type WalStep } from "./decide.ts";
import { FairTurns } from "./fair_turns.ts";
import { IdentityError, type LiveFiles } from "./live_files.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { Readers } from "./readers.ts";
import { isFrozen, isOutOfTheWay } from "./standing.ts";
import { ShadowWal, UnusableShadowError } from "./shadow_wal.ts";
import type { Clock } from "../runtime/clock.ts";
import type { FileStat } from "../runtime/files.ts";
import { toHex } from "../bytes.ts";
import { frameSize, MAX_INDEX, newGeneration, WAL_HEADER_SIZE } from "../position.ts";
import { scanFrames } from "../wal/frames.ts";
import { equalPair } from "../wal/header.ts";
import { hasSameCommits, type WalIndex } from "../wal/wal_index.ts";

/** Bytes of the WAL that are copied at once. */
const CHUNK_BYTES = 1 << 20;

/** Attempts at the first copy of a new generation, which a restart of the WAL can spoil. */
const GENERATION_ATTEMPTS = 20;

/** For so long a WAL may have another header than the wal-index says: it is being written. */
const STRANGE_MS = 1000;

/** The `-wal` file is not the one that the wal-index speaks of. */
export class LostWalError extends Error {
  override readonly name = "LostWalError";

  constructor() {
    super(
      "the -wal file was deleted or replaced while a program has the database open, its commits go to a lost file: " +
        "restart that program",
    );
  }
}

/** Somebody else writes into the meta directory. */
export class ForeignWriterError extends Error {
  override readonly name = "ForeignWriterError";
}

/** What a step found. */
export interface StepResult {
  /** Whether anything was copied. */
  readonly hasCopied: boolean;
  /** Whether something of what the step saw is left to do. */
  readonly hasMore: boolean;
}

/** How a step is made. */
export interface StepOptions {
  /** Whether the reader stays where it is once all is copied, because somebody waits for that: the next step moves it. */
  readonly isHurried?: boolean;
}

/** What a follower is built on. */
export interface FollowerOptions {
  readonly live: LiveFiles;
  readonly meta: MetaDirectory;
  readonly clock: Clock;
  /** Frames in the WAL from which on the reader rather stays, see `shouldStay`. Default: it always moves. */
  readonly stayFromPages?: number | undefined;
}

/** The database file while it stands still. */
export interface Rest {
  /** All of this is backfilled into it. */
  readonly index: WalIndex;
  readonly main: FileStat;
}

let sharedChunk: Uint8Array | undefined;

/** The copying half of a live database. */
export class Follower implements Disposable {
  readonly live: LiveFiles;
  readonly readers: Readers;
  readonly #meta: MetaDirectory;
  readonly #clock: Clock;
  readonly #stayFromPages: number;
  #shadow: ShadowWal | undefined;
  #times: CommitTimes;
  /** Total bytes copied since the start. */
  copiedBytes = 0;
  /** Grows with whatever replicas may get more of. */
  changeCount = 0;
  /** What all is backfilled into, while our reader stands there. */
  #rest: Rest | undefined;
  /** Since when the WAL has had another header than the wal-index says. */
  #strangeSinceMs: number | undefined;

  /** Begins to read at once; `live` is then attached. */
  constructor({ live, meta, clock, stayFromPages = Infinity }: FollowerOptions) {
    this.live = live;
    this.#meta = meta;
    this.#clock = clock;
    this.#stayFromPages = stayFromPages;
    this.#times = new CommitTimes(clock);
    this.readers = new Readers(live);
    try {
      this.readers.begin();
      live.attach();
      this.#move();
      this.#checkWalBelongs();
    } catch (error) {
      this.readers.close();
      throw error;
    }
  }

  /**
   * Refuse a `-wal` that isn't the one of the wal-index: ours would be a new, empty file, while the application
   * writes into one that has lost its name.
   */
  #checkWalBelongs(): void {
    if (this.live.look() === undefined) this.readers.repair();
    if (!this.live.walBelongs()) throw new LostWalError();
  }

  /** The shadow WAL; there is one once `goOn` or `startGeneration` succeeded. */
  get shadow(): ShadowWal {
    if (this.#shadow === undefined) throw new Error("no generation available");
    return this.#shadow;
  }

  /** Whether the disk may have lost what was copied: the generation can't go on. */
  get hasLostCopies(): boolean {
    return this.#shadow?.hasSyncError ?? false;
  }

  /** When commits were seen. */
  get times(): CommitTimes {
    return this.#times;
  }

  /** The database file as it stands still while our reader does; `undefined` where it may change. */
  get rest(): Rest | undefined {
    return this.#rest;
  }

  /** Whether a checkpoint of somebody else would have to wait for our reader, which stands on a mark above 0. */
  get isInTheWay(): boolean {
    return this.readers.standing !== undefined && !isOutOfTheWay(this.readers.standing);
  }

  /**
   * Go on with the generation that the meta directory names, if nothing can have been lost.
   *
   * @returns the reason why that can't be; `undefined` when it goes on
   */
  async goOn(): Promise<string | undefined> {
    const reason = this.#takeUp();
    if (reason !== undefined) return reason;
    try {
      // Only then do we stand where replicas can be: a torn end was cut off.
      await this.catchUp();
      return undefined;
    } catch (error) {
      if (error instanceof ContinuityLostError) return error.message;
      throw error;
    }
  }

  #takeUp(): string | undefined {
    const generation = this.#meta.readGeneration();
    if (generation === undefined) return "no generation exists";
    let shadow: ShadowWal;
    try {
      shadow = ShadowWal.open(generation, { meta: this.#meta, files: this.live.files });
    } catch (error) {
      if (error instanceof UnusableShadowError) return error.message;
      throw error;
    }
    const reason = this.#judge(shadow);
    if (reason !== undefined) {
      shadow.close();
      return reason;
    }
    this.#shadow = shadow;
    const start = { index: shadow.index, offset: shadow.committedSize };
    const now = this.#clock.now();
    const floor = Math.min(shadow.copiedBy(shadow.index) ?? now, now);
    this.#times = new CommitTimes(this.#clock, { floor, start });
    return undefined;
  }

  #judge(shadow: ShadowWal): string | undefined {
    const index = this.#lookOrThrow();
    const liveHeader = this.live.walHeader();
    return reasonForNewGeneration({
      liveHeader: liveHeader && toHex(liveHeader),
      shadowHeader: shadow.header && toHex(shadow.header),
      liveFrameCount: index.mxFrame,
      shadowFrameCount: shadow.frameCount,
      isIndexOfLiveWal: shadow.chain !== undefined && equalPair(index.salts, shadow.chain.salts),
      endsLikeShadow: shadow.chain !== undefined &&
        shadow.endsLike((into, position) => this.live.readWal(into, position)),
    });
  }

  /** Start a new generation; its index 0 begins with all that the WAL holds now. There is none after a failure. */
  async startGeneration(): Promise<string> {
    for (let attempt = 1;; attempt++) {
      // It is of the database file as it is now.
      this.#rest = undefined;
      const generation = newGeneration();
      try {
        await this.#beginGeneration(generation);
        return generation;
      } catch (error) {
        this.#dropGeneration(generation);
        // Our first reader may stand on mark 0, where a restart can take frames that we have not copied yet.
        if (!(error instanceof ContinuityLostError) || attempt === GENERATION_ATTEMPTS) throw error;
        this.#rest = undefined;
        if (this.live.look() !== undefined) this.#move();
      }
    }
  }

  async #beginGeneration(generation: string): Promise<void> {
    this.#shadow?.close();
    this.#shadow = undefined;
    this.#shadow = ShadowWal.create(generation, { meta: this.#meta, files: this.live.files });
    // When what is there was committed nobody knows; it is what we saw now.
    this.#times = new CommitTimes(this.#clock);
    await this.catchUp();
    this.#meta.writeGeneration(generation);
    this.#meta.removeOtherGenerations(generation);
  }

  /** On a full disk what a failed try left behind would keep it full. */
  #dropGeneration(generation: string): void {
    this.#shadow?.close();
    this.#shadow = undefined;
    try {
      this.#meta.removeGeneration(generation);
    } catch {
      // The next generation that succeeds removes it; the error that led here is the one to tell.
    }
  }

  /**
   * Copy all that is committed now, letting other work in between. What is committed meanwhile need not be copied:
   * a fast writer would keep us here for ever.
   */
  async catchUp(how: StepOptions = {}): Promise<void> {
    const goal = this.live.look();
    const turns = new FairTurns(this.#clock);
    while (this.step(how).hasMore) {
      if (goal !== undefined && this.#hasReached(goal)) return;
      await turns.next();
    }
  }

  /** Whether nothing of what `index` says is committed remains to be copied. */
  isAtEnd(index: WalIndex): boolean {
    return index.mxFrame === 0 || this.#hasReached(index);
  }

  #hasReached(goal: WalIndex): boolean {
    return this.#shadow?.hasAllOf(goal) === true;
  }

  /**
   * Move the reader although nothing calls for it: SQLite puts a reader on a lower mark while all slots are taken.
   */
  moveUp(): void {
    if (this.#hasCopiedStanding()) this.#move();
  }

  /** Whether everything that the standing reader pins is copied, so that it may go. */
  #hasCopiedStanding(): boolean {
    const { after } = this.readers.standing!;
    return after.mxFrame === 0 || this.#shadow?.hasAllOf(after) === true;
  }

  /** Look once, and carry out what is next: copy up to a chunk, begin an index, move the reader. */
  step({ isHurried = false }: StepOptions = {}): StepResult {
    this.shadow.requireSynced();
    const index = this.live.look();
    if (index === undefined) {
      this.readers.repair();
      return { hasCopied: false, hasMore: true };
    }
    const next = this.#nextStep(index);
    if (next.kind === "lost") throw new ContinuityLostError(next.reason);
    if (next.kind === "look again") return this.#lookAgain();
    this.#strangeSinceMs = undefined;
    if (next.kind === "nothing") {
      this.#nameFile();
      this.shadow.writeNotes();
      if (shouldMove(index, this.readers.standing!)) this.#move();
      return { hasCopied: false, hasMore: false };
    }
    if (next.kind === "restarted") this.#beginIndex();
    const isComplete = this.#copyChunk(index);
    if (shouldStay(index, this.readers.standing!, { fromPages: this.#stayFromPages })) {
      return { hasCopied: true, hasMore: !isComplete };
    }
    if (isComplete && isHurried) return { hasCopied: true, hasMore: false };
    // Also on the way: a writer that is faster than us must not keep us, and the backfill, at an old mark.
    if (isComplete || this.#hasCopiedStanding()) this.#move();
    return { hasCopied: true, hasMore: !isComplete };
  }

  #lookAgain(): StepResult {
    const nowMs = this.#clock.monotonicMs();
    this.#strangeSinceMs ??= nowMs;
    if (nowMs - this.#strangeSinceMs > STRANGE_MS) throw new LostWalError();
    return { hasCopied: false, hasMore: false };
  }

  /** Bytes of frames that are committed in the live WAL and not copied yet; 0 where that can't be read. */
  get uncopiedBytes(): number {
    try {
      const index = this.live.look();
      if (index === undefined) return 0;
      return Math.max(0, index.mxFrame - this.#copiedOf(index)) * frameSize(index.pageSize);
    } catch {
      // The next copy fails for the same reason, and tells it.
      return 0;
    }
  }

  /** Frames that a WAL may grow to before it is copied from: to where the reader stays, or by `maxBytes`. */
  mostFrames(index: WalIndex, { maxBytes }: { maxBytes: number }): number {
    const most = this.#copiedOf(index) + Math.ceil(maxBytes / frameSize(index.pageSize));
    return (this.#shadow?.frameCount ?? 0) < this.#stayFromPages ? Math.min(most, this.#stayFromPages) : most;
  }

  /** Frames of the WAL of `index` that were copied. */
  #copiedOf({ salts }: WalIndex): number {
    const chain = this.#shadow?.chain;
    return chain !== undefined && equalPair(salts, chain.salts) ? this.shadow.frameCount : 0;
  }

  #move(): void {
    // Another file than before must not become what the next look is compared with.
    if (this.#rest !== undefined) this.#requireSameDatabase();
    const standing = this.readers.move();
    if (!isFrozen(standing)) this.#rest = undefined;
    else if (this.#rest === undefined || !hasSameCommits(this.#rest.index, standing.after)) {
      this.#rest = { index: standing.after, main: this.live.mainStat() };
    }
  }

  /**
   * Refuse what is written over another database than the one that the generation is of: while our reader stood where
   * all was backfilled, nobody could change the file by SQLite.
   */
  #requireSameDatabase(): void {
    const identity = this.live.identity();
    if (identity === "database replaced") throw new IdentityError(identity);
    if (this.#rest === undefined) return;
    const { size, modifiedAt } = this.live.mainStat();
    const { main } = this.#rest;
    if (size === main.size && modifiedAt.getTime() === main.modifiedAt.getTime()) return;
    if (identity !== "same") throw new IdentityError(identity);
    throw new ContinuityLostError("database overwritten by another process");
  }

  #beginIndex(): void {
    this.#requireSameDatabase();
    if (this.shadow.index >= MAX_INDEX) throw new ContinuityLostError("max index exceeded");
    this.shadow.beginIndex(this.live.walHeader()!);
  }

  #nextStep(index: WalIndex): WalStep {
    const salts = this.shadow.chain?.salts;
    const isSame = salts !== undefined && equalPair(index.salts, salts);
    return nextWalStep({
      index,
      salts,
      copiedFrameCount: this.shadow.frameCount,
      fileSalts: isSame ? salts : this.live.walSalts(),
      standing: this.readers.standing!,
    });
  }

  /** Copy up to a chunk towards `index.mxFrame`; returns whether all of it is copied. */
  #copyChunk(index: WalIndex): boolean {
    const shadow = this.shadow;
    const chain = shadow.chain!;
    const frame = frameSize(chain.pageSize);
    sharedChunk ??= new Uint8Array(CHUNK_BYTES);
    const wanted = Math.min(index.mxFrame - shadow.frameCount, Math.floor(CHUNK_BYTES / frame));
    const bytes = sharedChunk.subarray(0, wanted * frame);
    const count = this.live.readWal(bytes, WAL_HEADER_SIZE + shadow.frameCount * frame);
    const scan = scanFrames(bytes.subarray(0, count), chain);
    if (scan.frameCount !== wanted) throw new ContinuityLostError("wal overwritten by another process");
    const isComplete = shadow.frameCount + wanted === index.mxFrame;
    if (isComplete && !equalPair(scan.checksum, index.frameChecksum)) {
      throw new ContinuityLostError("wal overwritten by another process");
    }
    shadow.append(bytes, scan);
    this.copiedBytes += bytes.length;
    this.changeCount++;
    if (scan.committedCount > 0) {
      this.#times.record({ index: shadow.index, offset: shadow.committedEnd });
    }
    this.#nameFile();
    return isComplete;
  }

  #nameFile(): void {
    if (this.shadow.nameFile()) this.changeCount++;
  }

  #lookOrThrow(): WalIndex {
    const index = this.live.look();
    if (index === undefined) throw new Error("the wal-index is not consistent");
    return index;
  }

  /** Where `checkUntouched` looks: folders, and the newest shadow file, which alone can change without its folder. */
  get ownPaths(): readonly string[] {
    return [this.#meta.path, ...this.shadow.newestPaths];
  }

  /**
   * @throws {ContinuityLostError} when the shadow WAL or the generation file is gone
   * @throws {ForeignWriterError} when somebody else writes there
   */
  checkUntouched(): void {
    const generation = this.#meta.readGeneration();
    if (generation === undefined) throw new ContinuityLostError("no generation exists");
    const condition = this.shadow.condition();
    if (condition === "missing") throw new ContinuityLostError("no shadow wal");
    if (condition === "ours" && generation === this.shadow.generation) return;
    throw new ForeignWriterError(
      `another program, most likely Litestream, writes into ${this.#meta.path}: stop it, or walbrook; ` +
        `only one of them may replicate ${this.live.path}`,
    );
  }

  close(): void {
    this.readers.close();
    this.#shadow?.close();
    this.#shadow = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
