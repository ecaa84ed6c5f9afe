/**
 * One live database: watched, copied into its shadow WAL, checkpointed, and offered to replicas as segments and
 * snapshots. Nothing else opens the database's files.
 */
import { Attention } from "./attention.ts";
import {
  behindBarrier,
  checkpointBehindBarrier,
  checkpointPolitely,
  truncateWal,
  Writers,
} from "./checkpoint.ts";
import {
  CHECKPOINT_DEFAULTS,
  type CheckpointChoice,
  type CheckpointLimits,
  chooseCheckpoint,
} from "./decide.ts";
import { ContinuityLostError, type Follower, ForeignWriterError } from "./follower.ts";
import { acquireInstanceLock } from "./instance_lock.ts";
import type { LiveFiles } from "./live_files.ts";
import { defaultMetaPath, MetaDirectory } from "./meta_directory.ts";
import { checkMetaPath, openDatabase, openLiveFiles, WaitError } from "./open.ts";
import { type Segment, segmentAt } from "./segment.ts";
import { openSnapshot, type SnapshotSource } from "./snapshot.ts";
import { Mutex, Notice } from "../async.ts";
import { describeError } from "../errors.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { type Metrics, silentMetrics } from "../metrics.ts";
import { type Position, walSize } from "../position.ts";
import { type Clock, systemClock, yieldToEvents } from "../runtime/clock.ts";
import { type Files, systemFiles } from "../runtime/files.ts";
import { classifySqliteError } from "../runtime/sqlite.ts";
import type { Checksum } from "../wal/checksum.ts";
import { equalPair } from "../wal/header.ts";

/** How one database is replicated. */
export interface DatabaseOptions {
  /** Absolute path of the database file. */
  readonly path: string;
  /** The meta directory. Default: `.<name>-litestream` beside the database. */
  readonly metaPath?: string | undefined;
  /** How long the slow look of the safety net takes. Default 1000. */
  readonly monitorIntervalMs?: number | undefined;
  readonly limits?: Partial<CheckpointLimits> | undefined;
  readonly files?: Files;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly metrics?: Metrics;
}

/** What a database is doing. */
export type DatabaseState =
  | { readonly kind: "waiting"; readonly reason: string }
  | { readonly kind: "live" }
  | { readonly kind: "stopped"; readonly error: Error }
  | { readonly kind: "closed" };

/** Everything that is open while a database is live. */
interface Opened {
  readonly live: LiveFiles;
  readonly follower: Follower;
  readonly writers: Writers;
}

/** Identity and foreign writers are checked no more often than this. */
const CHECK_MS = 1000;

/** After this long without a commit the spare connections are closed. */
const IDLE_MS = 10_000;

/** One live database. */
export class LiveDatabase implements AsyncDisposable {
  readonly path: string;
  readonly meta: MetaDirectory;
  /** Told whenever the position or the state has changed. */
  readonly changed: Notice = new Notice();
  readonly #options: DatabaseOptions;
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #limits: CheckpointLimits;
  readonly #mutex = new Mutex();
  readonly #attention: Attention;
  #lock: Disposable | undefined;
  #opened: Opened | undefined;
  #state: DatabaseState = { kind: "waiting", reason: "not looked at yet" };
  #ticker: Disposable | undefined;
  #loop: Promise<void> | undefined;
  #isClosing = false;
  #reasonToRestart: string | undefined;
  #lastError = "";
  #lastCheckMs = -Infinity;
  #lastCopyMs = -Infinity;
  #lastTry = { frameCount: 0, atMs: 0 };
  #lastSeen = "";
  #snapshotCount = 0;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.path = options.path;
    this.#files = options.files ?? systemFiles;
    this.#clock = options.clock ?? systemClock;
    this.#logger = (options.logger ?? silentLogger).with({ db: options.path });
    this.#metrics = options.metrics ?? silentMetrics;
    this.#limits = { ...CHECKPOINT_DEFAULTS, ...options.limits };
    this.meta = new MetaDirectory(options.metaPath ?? defaultMetaPath(options.path), this.#files);
    this.#attention = new Attention({
      walPath: `${this.path}-wal`,
      clock: this.#clock,
      peek: () => this.#peek(),
      isInTheWay: () => this.#opened?.follower.isInTheWay ?? false,
    });
  }

  get state(): DatabaseState {
    return this.#state;
  }

  /** Where the shadow WAL ends; `undefined` while there is no generation. */
  get position(): Position | undefined {
    if (this.#opened === undefined || this.#state.kind !== "live") return undefined;
    const { generation, index, committedSize } = this.#opened.follower.shadow;
    return { generation, index, offset: committedSize };
  }

  /**
   * Take the database up, and go on following it until `close`. Missing and locked databases are waited for.
   *
   * @throws {Error} when waiting can't help: not a database, no access, another walbrook
   */
  async start(): Promise<void> {
    checkMetaPath(this.path, this.meta.path);
    await this.#turn();
    if (this.#state.kind === "stopped") throw this.#state.error;
    this.#lastTry = { frameCount: 0, atMs: this.#clock.monotonicMs() };
    this.#ticker = this.#clock.every(this.#options.monitorIntervalMs ?? 1000, () => {
      if (this.#opened === undefined) this.#attention.poke();
      else this.#attention.tick();
    });
    this.#loop = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#isClosing) {
      await this.#attention.next();
      if (!this.#isClosing) await this.#turn();
    }
  }

  /** Look once and do what is to be done, whatever goes wrong. */
  async #turn(): Promise<void> {
    using _ = await this.#mutex.acquire();
    try {
      if (this.#state.kind === "stopped") return;
      if (this.#opened === undefined) await this.#open();
      await this.#sync();
      this.#lastError = "";
    } catch (error) {
      await this.#handle(error);
    }
  }

  /** Copy everything that is committed now. Used before the last uploads. */
  async settle(): Promise<void> {
    await this.#turn();
  }

  async #open(): Promise<void> {
    if (this.#lock === undefined) {
      // Nothing is made beside a database that isn't there.
      openLiveFiles(this.path, this.#files).close();
      this.meta.adoptPermissions(this.path);
      this.meta.create();
      this.#lock = acquireInstanceLock(this.meta, this.path);
      this.meta.removeTemporaryFiles();
    }
    const { live, follower } = openDatabase({
      path: this.path,
      meta: this.meta,
      files: this.#files,
      clock: this.#clock,
    });
    this.#opened = { live, follower, writers: new Writers(this.path) };
    try {
      await this.#chooseGeneration(follower);
    } catch (error) {
      this.#closeFiles();
      throw error;
    }
    this.#lastSeen = "";
    this.#setState({ kind: "live" });
    this.#attention.noteChange();
  }

  async #chooseGeneration(follower: Follower): Promise<void> {
    const reason = this.#reasonToRestart ?? follower.goOn();
    this.#reasonToRestart = undefined;
    if (reason === undefined) return this.meta.removeOtherGenerations(follower.shadow.generation);
    if (reason !== "no generation exists") {
      this.#logger.warn("init: cannot determine last wal position, clearing generation", { error: reason });
    }
    await this.#startGeneration(reason);
  }

  async #startGeneration(reason: string): Promise<void> {
    const generation = await this.#opened!.follower.startGeneration();
    this.#logger.info("sync: new generation", { generation, reason });
    this.#lastTry = { frameCount: 0, atMs: this.#clock.monotonicMs() };
    this.changed.notify();
  }

  async #sync(): Promise<void> {
    const { follower } = this.#opened!;
    const startMs = this.#clock.monotonicMs();
    const isCheckDue = startMs - this.#lastCheckMs >= CHECK_MS;
    if (isCheckDue) this.#checkSurroundings(follower);
    let hasCopied = false;
    for (;;) {
      const copiedBefore = follower.copiedBytes;
      const step = follower.step();
      if (step.hasCopied) this.#noteCopied(follower.copiedBytes - copiedBefore);
      hasCopied ||= step.hasCopied;
      if (!step.hasMore) break;
      await yieldToEvents();
    }
    await this.#checkpoint();
    this.#closeIdle();
    this.#measure(startMs, hasCopied);
  }

  #noteCopied(bytes: number): void {
    this.#metrics.count("litestream_total_wal_bytes", { db: this.path }, bytes);
    this.#lastCopyMs = this.#clock.monotonicMs();
    this.#attention.noteChange();
    this.changed.notify();
  }

  #checkSurroundings(follower: Follower): void {
    this.#lastCheckMs = this.#clock.monotonicMs();
    const identity = this.#opened!.live.identity();
    if (identity !== "same") throw new IdentityError(identity);
    follower.checkUntouched();
  }

  async #checkpoint(): Promise<void> {
    const index = this.#opened!.live.look();
    if (index === undefined || this.#snapshotCount > 0) return;
    const now = this.#clock.monotonicMs();
    if (index.mxFrame < this.#lastTry.frameCount) this.#lastTry = { frameCount: 0, atMs: now };
    const choice = chooseCheckpoint({
      frameCount: index.mxFrame,
      backfilledCount: index.backfilledCount,
      triedFrameCount: this.#lastTry.frameCount,
      sinceLastTryMs: now - this.#lastTry.atMs,
      limits: this.#limits,
    });
    if (choice === "none") return;
    await this.#runCheckpoint(choice);
    this.#lastTry = { frameCount: index.mxFrame, atMs: this.#clock.monotonicMs() };
    this.changed.notify();
  }

  async #runCheckpoint(choice: CheckpointChoice): Promise<void> {
    const parts = this.#opened!;
    const labels = { db: this.path, mode: "PASSIVE" };
    const startMs = this.#clock.monotonicMs();
    try {
      const run = choice === "barrier" ? checkpointBehindBarrier : checkpointPolitely;
      const outcome = await run(parts);
      this.#logger.debug("checkpoint", { mode: "PASSIVE", result: outcome });
      const isComplete = outcome !== undefined && outcome.backfilledCount === outcome.frameCount;
      const limit = this.#limits.truncatePages;
      if (
        isComplete && limit > 0 && parts.live.walStat().size >= walSize(limit, { pageSize: this.pageSize })
      ) {
        truncateWal(parts);
      }
    } catch (error) {
      this.#metrics.count("litestream_checkpoint_error_count", labels);
      throw error;
    } finally {
      this.#metrics.count("litestream_checkpoint_count", labels);
      this.#metrics.count(
        "litestream_checkpoint_seconds",
        labels,
        (this.#clock.monotonicMs() - startMs) / 1000,
      );
    }
  }

  /** Bytes of a page; 0 while the database is not open. */
  get pageSize(): number {
    return this.#opened?.live.pageSize() ?? 0;
  }

  /** Bytes of the database file; 0 while the database is not open. */
  get fileBytes(): number {
    return this.#opened?.live.mainStat().size ?? 0;
  }

  /** The cheap look of a slow turn: anything new in the wal-index, or a check that is due? */
  #peek(): boolean {
    const index = this.#opened?.live.look();
    if (index === undefined) return true;
    const now = this.#clock.monotonicMs();
    const seen = `${index.change} ${index.mxFrame} ${index.backfilledCount} ${index.salts}`;
    const isNew = seen !== this.#lastSeen;
    this.#lastSeen = seen;
    const hasBacklog = index.mxFrame > index.backfilledCount && this.#limits.intervalMs > 0 &&
      now - this.#lastTry.atMs >= this.#limits.intervalMs;
    return isNew || hasBacklog || now - this.#lastCheckMs >= 5 * CHECK_MS;
  }

  /** A quiet database keeps one connection. */
  #closeIdle(): void {
    if (this.#clock.monotonicMs() - this.#lastCopyMs < IDLE_MS) return;
    this.#opened!.writers.close();
    this.#opened!.follower.readers.closeIdle();
  }

  #measure(startMs: number, hasCopied: boolean): void {
    const labels = { db: this.path };
    this.#metrics.count("litestream_sync_count", labels);
    this.#metrics.count("litestream_sync_seconds", labels, (this.#clock.monotonicMs() - startMs) / 1000);
    if (!hasCopied) return;
    const { live, follower } = this.#opened!;
    this.#metrics.gauge("litestream_db_size", labels, live.mainStat().size);
    this.#metrics.gauge("litestream_wal_size", labels, live.walStat().size);
    this.#metrics.gauge("litestream_shadow_wal_index", labels, follower.shadow.index);
    this.#metrics.gauge("litestream_shadow_wal_size", labels, follower.shadow.size);
  }

  async #handle(error: unknown): Promise<void> {
    if (error instanceof ContinuityLostError && this.#opened !== undefined) {
      return await this.#mend(error.message);
    }
    if (error instanceof IdentityError) {
      this.#closeFiles();
      this.#reasonToRestart = error.message;
      return this.#wait(error.advice);
    }
    if (error instanceof WaitError) return this.#wait(error.message);
    const isFirst = this.#state.kind === "waiting" && this.#loop === undefined;
    if (error instanceof ForeignWriterError || (this.#opened === undefined && isFirst)) {
      this.#closeFiles();
      if (!isFirst) this.#logger.error("sync error", { error: describeError(error) });
      return this.#setState({ kind: "stopped", error: error as Error });
    }
    this.#metrics.count("litestream_sync_error_count", { db: this.path });
    if (this.#opened !== undefined && classifySqliteError(error) === "busy") {
      this.#logger.debug("sync: busy", { error: describeError(error) });
      return;
    }
    const message = describeError(error);
    // The same error at every turn says nothing new.
    if (message !== this.#lastError) this.#logger.error("sync error", { error: message });
    this.#lastError = message;
  }

  async #mend(reason: string): Promise<void> {
    this.#logger.warn("sync: continuity lost, a new generation starts", { reason });
    try {
      await this.#startGeneration(reason);
      this.#attention.noteChange();
    } catch (error) {
      this.#logger.error("sync error", { error: describeError(error) });
      this.#reasonToRestart = reason;
      this.#closeFiles();
    }
  }

  #wait(reason: string): void {
    if (this.#state.kind === "waiting" && this.#state.reason === reason) return;
    this.#logger.warn("waiting for the database", { reason });
    this.#setState({ kind: "waiting", reason });
  }

  #setState(state: DatabaseState): void {
    this.#state = state;
    this.changed.notify();
  }

  /**
   * The next piece of the shadow WAL after `position`, up to `maxBytes`.
   *
   * @returns `undefined` when there is nothing yet, or the generation is another one by now
   * @throws {ContinuityLostError} when the shadow WAL no longer, or never, holds that position
   */
  segmentAfter(position: Position, { maxBytes }: { maxBytes: number }): Segment | undefined {
    if (this.position?.generation !== position.generation) return undefined;
    return segmentAt(this.#opened!.follower, position, { maxBytes });
  }

  /** Whether the shadow WAL has a frame with this checksum just before `position`; `undefined` when it can't tell. */
  continuesFrom(position: Position, checksum: Checksum): boolean | undefined {
    if (this.position?.generation !== position.generation) return undefined;
    const ours = this.#opened!.follower.shadow.checksumBefore(position);
    return ours === undefined ? undefined : equalPair(ours, checksum);
  }

  /** End the generation, because a replica can't go on with it. */
  async restartGeneration(generation: string, reason: string): Promise<void> {
    using _ = await this.#mutex.acquire();
    if (this.position?.generation !== generation) return;
    this.#logger.warn("sync: a replica can't go on, a new generation starts", { reason });
    await this.#startGeneration(reason);
  }

  /**
   * Begin a snapshot. Close it soon: meanwhile the WAL grows.
   *
   * @throws {Error} `no generation available` while the database is not live
   */
  async openSnapshot(): Promise<SnapshotSource> {
    using _ = await this.#mutex.acquire();
    if (this.#opened === undefined || this.#state.kind !== "live") throw new Error("no generation available");
    await this.#opened.follower.catchUp();
    if (this.#snapshotCount === 0) this.#opened.writers.checkpointer.checkpoint("PASSIVE");
    const source = await openSnapshot(this.#opened.follower);
    this.changed.notify();
    this.#snapshotCount++;
    let isOpen = true;
    const close = () => {
      if (isOpen) this.#snapshotCount--;
      isOpen = false;
      source.close();
    };
    return { ...source, close, [Symbol.dispose]: close };
  }

  /** Hold off every writer while `act` runs, with everything committed copied. For tests and validation. */
  async quiesce<T>(act: () => T): Promise<T | undefined> {
    using _ = await this.#mutex.acquire();
    if (this.#opened === undefined) throw new Error("no generation available");
    return await behindBarrier(this.#opened, act);
  }

  /** Forget shadow files that every replica has: all below `index` − 1. */
  releaseBefore(generation: string, index: number): void {
    if (this.position?.generation !== generation || index <= 1) return;
    this.meta.removeShadowBefore(generation, index - 1);
    this.#opened!.follower.times.forgetBefore({ index: index - 1, offset: 0 });
  }

  #closeFiles(): void {
    if (this.#opened === undefined) return;
    const { live, follower, writers } = this.#opened;
    this.#opened = undefined;
    // Read-write connections first and the read-only ones last: so the -wal stays, and with it our place in it.
    writers.close();
    follower.close();
    live.close();
  }

  /** Stop following and let everything go. The `-wal` stays as it is. */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#ticker?.[Symbol.dispose]();
    this.#attention.close();
    await this.#loop;
    using _ = await this.#mutex.acquire();
    this.#closeFiles();
    this.#lock?.[Symbol.dispose]();
    this.#setState({ kind: "closed" });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The paths no longer name the files that we hold. */
class IdentityError extends Error {
  override readonly name = "IdentityError";
  readonly advice: string;

  constructor(identity: string) {
    super(`${identity} by another process`);
    this.advice = {
      "database missing": "the database file was deleted while in use; waiting until it is there again",
      "database replaced": "the database file was replaced while in use; taking up the new one",
    }[identity] ?? "the -wal file was deleted or replaced while in use, commits may go to a lost file: " +
        "restart the application; a new generation then starts";
  }
}
