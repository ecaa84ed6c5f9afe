/**
 * Follows the WAL of one open database: copies what is published into the shadow WAL and keeps the read lock moving.
 *
 * Every call is short and blocks; the caller makes sure that only one runs at a time.
 *
 * @see docs/DESIGN.md, "The lossless checkpoint"
 */
import { CommitTimes } from "./commit_times.ts";
import { nextWalStep, reasonForNewGeneration, shouldMove, type WalStep } from "./decide.ts";
import type { LiveFiles } from "./live_files.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { Readers } from "./readers.ts";
import { isFrozen } from "./standing.ts";
import { ShadowWal, UnusableShadowError } from "./shadow_wal.ts";
import type { Clock } from "../runtime/clock.ts";
import { yieldToEvents } from "../runtime/clock.ts";
import { toHex } from "../bytes.ts";
import { frameSize, newGeneration, WAL_HEADER_SIZE } from "../position.ts";
import { scanFrames } from "../wal/frames.ts";
import { equalPair, parseWalHeader, type Salts } from "../wal/header.ts";
import type { WalIndex } from "../wal/wal_index.ts";

/** Bytes of the WAL that are copied at once. */
const CHUNK_BYTES = 1 << 20;

/** Attempts at the first copy of a new generation, which a restart of the WAL can spoil. */
const GENERATION_ATTEMPTS = 20;

/** Frames may be gone that we never saw: the generation has to end. */
export class ContinuityLostError extends Error {
  override readonly name = "ContinuityLostError";
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

/** What a follower is built on. */
export interface FollowerOptions {
  readonly live: LiveFiles;
  readonly meta: MetaDirectory;
  readonly clock: Clock;
}

let sharedChunk: Uint8Array | undefined;

/** The copying half of a live database. */
export class Follower implements Disposable {
  readonly live: LiveFiles;
  readonly readers: Readers;
  readonly #meta: MetaDirectory;
  readonly #clock: Clock;
  #shadow: ShadowWal | undefined;
  #times: CommitTimes;
  /** Total bytes copied since the start. */
  copiedBytes = 0;

  /** Begins to read at once; `live` is then attached. */
  constructor({ live, meta, clock }: FollowerOptions) {
    this.live = live;
    this.#meta = meta;
    this.#clock = clock;
    this.#times = new CommitTimes(0);
    this.readers = new Readers(live.path, () => live.look());
    try {
      this.readers.begin();
      live.attach();
      this.readers.move();
    } catch (error) {
      this.readers.close();
      throw error;
    }
  }

  /** The shadow WAL; there is one once `goOn` or `startGeneration` succeeded. */
  get shadow(): ShadowWal {
    if (this.#shadow === undefined) throw new Error("no generation available");
    return this.#shadow;
  }

  /** When commits were seen. */
  get times(): CommitTimes {
    return this.#times;
  }

  /** Whether a checkpoint of somebody else would have to wait for our reader, which stands on a mark above 0. */
  get isInTheWay(): boolean {
    return this.readers.standing !== undefined && !isFrozen(this.readers.standing);
  }

  /**
   * Go on with the generation that the meta directory names, if nothing can have been lost.
   *
   * @returns the reason why that can't be; `undefined` when it goes on
   */
  goOn(): string | undefined {
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
    this.#times = new CommitTimes(shadow.modifiedAt(shadow.index)?.getTime() ?? 0);
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

  /** Start a new generation; its index 0 begins with all that the WAL holds now. */
  async startGeneration(): Promise<string> {
    for (let attempt = 1;; attempt++) {
      const generation = newGeneration();
      const shadow = ShadowWal.create(generation, { meta: this.#meta, files: this.live.files });
      this.#shadow?.close();
      this.#shadow = shadow;
      this.#times = new CommitTimes(0);
      try {
        await this.catchUp();
        this.#meta.writeGeneration(generation);
        this.#meta.removeOtherGenerations(generation);
        return generation;
      } catch (error) {
        // Our first reader may stand on mark 0, where a restart can take frames that we have not copied yet.
        if (!(error instanceof ContinuityLostError) || attempt === GENERATION_ATTEMPTS) throw error;
        if (this.live.look() !== undefined) this.readers.move();
      }
    }
  }

  /** Step until all that is committed now is copied, letting other work in between. */
  async catchUp(): Promise<void> {
    while (this.step().hasMore) await yieldToEvents();
  }

  /** Look once, and carry out what is next: copy up to a chunk, begin an index, move the reader. */
  step(): StepResult {
    const index = this.live.look();
    if (index === undefined) {
      // A crashed writer left a half-published header; a reader that begins repairs it.
      this.readers.move();
      return { hasCopied: false, hasMore: true };
    }
    const next = this.#nextStep(index);
    if (next.kind === "lost") throw new ContinuityLostError(next.reason);
    if (next.kind === "look again") return { hasCopied: false, hasMore: false };
    if (next.kind === "nothing") {
      if (shouldMove(index, this.readers.standing!)) this.readers.move();
      return { hasCopied: false, hasMore: false };
    }
    if (next.kind === "restarted") this.shadow.beginIndex(this.live.walHeader()!);
    const isComplete = this.#copyChunk(index);
    if (isComplete) this.readers.move();
    // A writer that never rests has committed again by now; going after it would never end.
    return { hasCopied: true, hasMore: !isComplete };
  }

  #nextStep(index: WalIndex): WalStep {
    const salts = this.shadow.chain?.salts;
    const isSame = salts !== undefined && equalPair(index.salts, salts);
    return nextWalStep({
      index,
      salts,
      copiedFrameCount: this.shadow.frameCount,
      fileSalts: isSame ? salts : this.#fileSalts(),
      standing: this.readers.standing!,
    });
  }

  #fileSalts(): Salts | undefined {
    const header = this.live.walHeader();
    if (header === undefined) return undefined;
    try {
      return parseWalHeader(header).salts;
    } catch {
      // Half-written; the next look finds it whole.
      return undefined;
    }
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
    if (scan.committedCount > 0) {
      this.#times.record({ index: shadow.index, offset: shadow.committedSize }, this.#clock.now());
    }
    return isComplete;
  }

  #lookOrThrow(): WalIndex {
    const index = this.live.look();
    if (index === undefined) throw new Error("the wal-index is not consistent");
    return index;
  }

  /** @throws {ForeignWriterError} when the shadow WAL or the generation file is no longer as we left it */
  checkUntouched(): void {
    const isOurs = this.shadow.isUntouched() && this.#meta.readGeneration() === this.shadow.generation;
    if (isOurs) return;
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
