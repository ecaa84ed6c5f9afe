/**
 * One live database: watched, copied into its shadow WAL, checkpointed, and offered to replicas as segments and
 * snapshots. Nothing else opens the database's files.
 */
import { GoneError, openExpected } from "./absence.ts";
import { Attention } from "./attention.ts";
import { behindBarrier, checkpointPolitely, Writers } from "./checkpoint.ts";
import { CheckpointSchedule } from "./checkpoint_schedule.ts";
import type { DatabaseOptions, DatabaseState, Following } from "./database_options.ts";
import { CHECKPOINT_DEFAULTS } from "./decide.ts";
import { ContinuityLostError } from "./continuity.ts";
import { ForeignWriterError, LostWalError } from "./follower.ts";
import { Generations } from "./generations.ts";
import { InstanceLock, LostLockError } from "./instance_lock.ts";
import { IdentityError } from "./live_files.ts";
import { Lookout } from "./lookout.ts";
import { DatabaseMeter } from "./measure.ts";
import { defaultMetaPath, MetaDirectory } from "./meta_directory.ts";
import { checkMetaPath, openFollower, refuseLostFiles, WaitError, warnOfOtherNames } from "./open.ts";
import { closeOpened, closeSpare, copyAllPinned, type Opened } from "./opened.ts";
import { Replacement } from "./replacement.ts";
import type { Segment } from "./segment.ts";
import { type Backlog, ShadowSource } from "./shadow_source.ts";
import { OpenSnapshots } from "./open_snapshots.ts";
import { openSnapshot, type SnapshotSource } from "./snapshot.ts";
import { StateHolder } from "./state_holder.ts";
import { LOOK_AROUND_QUIETLY_MS } from "./surroundings.ts";
import { Troubles } from "./troubles.ts";
import { Mutex, Notice, orAbort } from "../async.ts";
import { describeError } from "../errors.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { silentMetrics } from "../metrics.ts";
import type { Position } from "../position.ts";
import { type Clock, systemClock, yieldToEvents } from "../runtime/clock.ts";
import { type Files, systemFiles } from "../runtime/files.ts";
import type { Checksum } from "../wal/checksum.ts";

export type { DatabaseOptions, DatabaseState, Following };

/** One live database. */
export class LiveDatabase implements AsyncDisposable {
  readonly path: string;
  readonly meta: MetaDirectory;
  /** Told whenever the position or the state has changed. */
  readonly changed: Notice = new Notice();
  /**
   * Called when a database is taken up whose meta directory names no generation, with the database locked and read
   * from: may write down one that goes on. Set by whoever knows the replicas.
   */
  recoverMeta: (() => Promise<void>) | undefined;
  /**
   * Called before what a database left that went away `sinceMs` ago is let go: whether replicas are to get more of it.
   * Set by whoever knows them.
   */
  isAwaited: ((sinceMs: number) => boolean) | undefined;
  readonly #options: DatabaseOptions;
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #meter: DatabaseMeter;
  readonly #troubles: Troubles;
  readonly #schedule: CheckpointSchedule;
  readonly #mutex = new Mutex();
  readonly #attention: Attention;
  readonly #lock: InstanceLock;
  #opened: Opened | undefined;
  /** Whether a program may go on with a `-wal` or `-shm` that has lost its name. */
  #hasLostFiles = false;
  readonly #replacement: Replacement;
  /** When it went away the last time, on the steady clock, while replicas may still get what it left. */
  #retiredMs: number | undefined;
  readonly #holder: StateHolder;
  #loop: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  readonly #generations: Generations;
  readonly #lookout: Lookout;
  readonly #snapshots = new OpenSnapshots();
  readonly #source = new ShadowSource(() =>
    this.state.kind === "live" && this.#generations.isThere ? this.#opened?.follower : undefined
  );

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.path = options.path;
    this.#files = options.files ?? systemFiles;
    this.#clock = options.clock ?? systemClock;
    this.#logger = (options.logger ?? silentLogger).with({ db: options.path });
    this.#holder = new StateHolder({ changed: this.changed, clock: this.#clock, logger: this.#logger });
    this.#meter = new DatabaseMeter(options.metrics ?? silentMetrics, options.path);
    this.#troubles = new Troubles({ logger: this.#logger, clock: this.#clock });
    const [logger, clock, troubles, meter] = [this.#logger, this.#clock, this.#troubles, this.#meter];
    const limits = { ...CHECKPOINT_DEFAULTS, ...options.limits };
    const schedule = this.#schedule = new CheckpointSchedule({ limits, clock, logger });
    this.meta = new MetaDirectory(options.metaPath ?? defaultMetaPath(options.path), this.#files);
    const { meta, changed } = this;
    const lock = this.#lock = new InstanceLock({ meta, databasePath: this.path, files: this.#files });
    const generations = this.#generations = new Generations({ meta, schedule, changed, logger });
    this.#replacement = new Replacement({ meta, generations, troubles });
    this.#lookout = new Lookout({ opened: () => this.#opened, clock, lock, schedule, troubles, meter });
    this.#attention = new Attention({
      walPath: `${this.path}-wal`,
      clock: this.#clock,
      tickMs: this.#tickMs,
      restTickMs: LOOK_AROUND_QUIETLY_MS,
      looks: this.#lookout,
      isInTheWay: () => this.#opened?.follower.isInTheWay ?? false,
    });
  }

  get #tickMs(): number {
    return this.#options.monitorIntervalMs ?? 1000;
  }

  get state(): DatabaseState {
    return this.#holder.state;
  }

  /** Why the last look failed; empty when it didn't. */
  get lastError(): string {
    return this.#troubles.lastError;
  }

  /** How it is followed, now. */
  get following(): Following {
    return {
      state: this.state,
      stateSince: this.#holder.since,
      error: this.lastError,
      sinceGoodMs: this.#troubles.sinceGoodMs,
      lookIntervalMs: LOOK_AROUND_QUIETLY_MS + this.#tickMs,
      uncopiedBytes: this.state.kind === "live" ? this.#opened?.follower.uncopiedBytes ?? 0 : 0,
    };
  }

  /** Where the shadow WAL ends; `undefined` while there is no generation. */
  get position(): Position | undefined {
    return this.#source.position;
  }

  /**
   * Take the database up, and go on following it until `close`. Missing and locked databases are waited for.
   *
   * @throws {Error} when waiting can't help: not a database, no access, another walbrook
   */
  async start(): Promise<void> {
    await this.#turn();
    if (this.state.kind === "stopped") throw this.state.error;
    this.#schedule.reset();
    // Somebody may have closed it meanwhile.
    if (this.#closing !== undefined) return;
    this.#attention.start();
    this.#loop = this.#run();
  }

  async #run(): Promise<void> {
    while (this.#closing === undefined) {
      await this.#attention.next();
      if (this.#closing === undefined) await this.#turn();
    }
  }

  /** Look once and do what is to be done, whatever goes wrong. */
  async #turn(): Promise<unknown> {
    using _ = await this.#mutex.acquire();
    let startMs: number | undefined;
    try {
      if (this.state.kind === "stopped" || this.state.kind === "closed") return undefined;
      this.#lookout.isSettled = false;
      if (this.#opened === undefined) await this.#open();
      startMs = this.#clock.monotonicMs();
      await this.#sync(startMs);
      this.#lookout.isSettled = true;
      this.#troubles.clear();
      return undefined;
    } catch (error) {
      if (!(error instanceof WaitError && error.isNew)) {
        const nowMs = this.#clock.monotonicMs();
        this.#meter.syncFailed(nowMs - (startMs ?? nowMs));
      }
      await this.#handle(error);
      return error;
    }
  }

  /**
   * Copy everything that is committed now. Used before the last uploads.
   *
   * @returns why that can't be; `undefined` when all is copied, there is nothing to copy, or `state` tells the reason
   */
  async settle(): Promise<unknown> {
    this.#lookout.expire();
    const error = await this.#turn();
    const isAbsent = error instanceof GoneError || error instanceof WaitError && error.isNew;
    return isAbsent ? this.#source.uncopied : error;
  }

  /**
   * Resolves at the first change after `token` was taken from `changed`, with all copied that is committed by then.
   * Changes come soon after their commits only while somebody waits here.
   *
   * @throws the signal's reason
   */
  async changeAfter(token: Promise<void>, { signal }: { signal: AbortSignal }): Promise<void> {
    if (this.state.kind === "live") await this.#turn();
    if (token !== this.changed.token) return;
    using _ = this.#attention.beAwaited();
    await orAbort(token, signal);
  }

  async #open(): Promise<void> {
    const { meta } = this;
    checkMetaPath(this.path, meta.path);
    const hasBeenFollowed = this.#troubles.hasBeenGood;
    const live = openExpected(this.path, { files: this.#files, meta, hasBeenFollowed });
    try {
      const seen = this.#replacement.judge(live);
      refuseLostFiles(live, { isDoubtful: this.#hasLostFiles, seen });
      this.#hasLostFiles = false;
      this.#letReplicasFinish();
      warnOfOtherNames(live, this.#logger);
      // Nothing is made beside a database that isn't there.
      if (!this.#lock.isThere) this.#lock.take();
      const stayFromPages = this.#schedule.crowdedFrom;
      const follower = openFollower({ live, meta, clock: this.#clock, stayFromPages });
      this.#source.forget();
      const { busyTimeoutMs } = this.#options;
      const writers = new Writers(live, { busyTimeoutMs, meter: this.#meter });
      this.#opened = { live, follower, writers };
      await this.#generations.choose(follower, this.recoverMeta);
      this.#replacement.takenUp(this.#opened);
    } catch (error) {
      this.#closeFiles();
      live.close();
      throw error;
    }
    this.#lookout.activity.begin();
    this.#holder.set({ kind: "live" });
    this.#attention.noteChange();
  }

  /** What is taken up next ends what the database before has left, which may be nowhere else any more. */
  #letReplicasFinish(): void {
    if (!this.#source.hasRetired || this.#retiredMs === undefined) return;
    if (this.isAwaited?.(this.#clock.monotonicMs() - this.#retiredMs) === true) {
      throw new WaitError("what was committed last is sent before the database is taken up again");
    }
    // Asked once: who is not waited for is told of loudly.
    this.#retiredMs = undefined;
  }

  async #sync(startMs: number): Promise<void> {
    const [{ follower }, { activity }] = [this.#opened!, this.#lookout];
    const { isAwaited } = this.#attention;
    const isLull = this.#lookout.begin(this.#opened!);
    const copiedBefore = follower.copiedBytes;
    let notedCount = follower.changeCount;
    const noteCopied = () => {
      if (follower.changeCount > notedCount) this.#noteCopied();
      notedCount = follower.changeCount;
    };
    try {
      await follower.catchUp({ isHurried: isAwaited });
      if (isAwaited && follower.changeCount > notedCount) {
        // The upload of what somebody has waited for begins before anything else.
        noteCopied();
        await yieldToEvents();
        follower.step();
      }
      // Whoever waits for our reader commits nothing meanwhile.
      if (isLull) follower.step();
    } finally {
      // What was copied before it failed is to be sent, too.
      noteCopied();
    }
    const now = { quietMs: activity.quietMs, isPause: follower.copiedBytes === copiedBefore };
    if (this.#snapshots.isEmpty && await this.#schedule.run(this.#opened!, now)) this.changed.notify();
    // A checkpoint copies too, and what it finds is activity like any other.
    noteCopied();
    if (activity.isIdle) closeSpare(this.#opened!);
    this.#replacement.noteRest(this.#opened!);
    const copiedBytes = follower.copiedBytes - copiedBefore;
    this.#meter.sync({ follower, elapsedMs: this.#clock.monotonicMs() - startMs, copiedBytes });
  }

  #noteCopied(): void {
    this.#lookout.activity.noteCopy();
    this.#attention.noteChange();
    this.changed.notify();
  }

  /** Bytes of a page; 0 while the database is not open. */
  get pageSize(): number {
    return this.#opened?.live.pageSize() ?? this.#source.retiredPageSize ?? 0;
  }

  /** Those of the database file, likewise. */
  get fileBytes(): number {
    return this.#opened?.live.mainStat().size ?? 0;
  }

  async #handle(error: unknown): Promise<void> {
    this.#attention.tickOften();
    if (error instanceof ContinuityLostError && this.#opened !== undefined) {
      this.#logger.warn("sync: continuity lost, a new generation starts", { reason: error.message });
      return await this.#mend(error.message);
    }
    if (error instanceof LostLockError) {
      this.#logger.warn("sync: the lock was lost, it is taken again", { reason: error.message });
      return await this.#mend();
    }
    if (error instanceof IdentityError) {
      return await this.#lose(error.message, { advice: error.advice, isOfSideFile: error.isOfSideFile });
    }
    if (error instanceof LostWalError) {
      return await this.#lose(error.message, { advice: error.message, isOfSideFile: true });
    }
    if (error instanceof WaitError) return this.#holder.wait(error.message, error);
    const isFirst = this.state.kind === "waiting" && this.#loop === undefined;
    if (error instanceof ForeignWriterError || (this.#opened === undefined && isFirst)) {
      this.#closeFiles();
      this.#lock.release();
      if (!isFirst) this.#logger.error("sync error", { error: describeError(error) });
      return this.#holder.set({ kind: "stopped", error: error as Error });
    }
    this.#troubles.note(error);
    if (this.#opened === undefined && this.state.kind === "live") this.#holder.wait(describeError(error));
  }

  async #lose(
    reason: string,
    { advice, isOfSideFile }: { advice: string; isOfSideFile: boolean },
  ): Promise<void> {
    if (!isOfSideFile) this.#replacement.lost(this.#opened);
    await this.#retire();
    this.#hasLostFiles = isOfSideFile;
    this.#generations.restartBecause(reason);
    this.#holder.wait(advice);
  }

  /** Let the lost files go, but keep what replicas may still lack. */
  async #retire(): Promise<void> {
    const follower = this.#opened?.follower;
    // We still hold the files that lost their names: what was committed last is in there.
    const uncopied = follower && await copyAllPinned(follower);
    if (uncopied !== undefined) this.#troubles.note(uncopied);
    if (this.#generations.isThere && follower !== undefined) this.#source.retire(follower, { uncopied });
    this.#retiredMs = this.#clock.monotonicMs();
    // From now on, and not only when there is something to take up: who rests has to know.
    if (this.#source.hasRetired) this.#hurryReplicas();
    this.#closeFiles();
  }

  #hurryReplicas(): void {
    try {
      this.isAwaited?.(0);
    } catch (error) {
      // They are asked again before what is left is let go.
      this.#troubles.note(error);
    }
  }

  /** A generation begins, unless only the lock was lost. */
  async #mend(reason?: string): Promise<void> {
    this.#attention.tickOften();
    try {
      // Whoever removed the meta directory has removed the lock with it.
      if (!this.#lock.isThere) this.#lock.take();
      if (reason !== undefined) await this.#generations.start(this.#opened!.follower, reason);
      this.#lookout.expire();
      this.#attention.noteChange();
    } catch (error) {
      if (error instanceof IdentityError) return await this.#handle(error);
      this.#troubles.note(error);
      // On a full disk nobody else can lock it either, and what our reader holds would be lost.
      if (reason === undefined && error instanceof WaitError) return;
      if (reason !== undefined) this.#generations.restartBecause(reason);
      this.#closeFiles();
      this.#holder.wait(describeError(error));
    }
  }

  /**
   * The next piece of the shadow WAL after `position`, up to `maxBytes`.
   *
   * @returns `undefined` when there is nothing yet, or the generation is another one by now
   * @throws {ContinuityLostError} when the shadow WAL no longer, or never, holds that position
   */
  segmentAfter(position: Position, { maxBytes }: { maxBytes: number }): Segment | undefined {
    return this.#source.segmentAfter(position, { maxBytes });
  }

  /** What a replica at `position` lacks of what was copied; `undefined` while there is no generation. */
  backlogAfter(position: Position | undefined): Backlog | undefined {
    return this.#source.backlogAfter(position);
  }

  /** The checksum of the frame just before `position`, from the shadow WAL; `undefined` when it can't tell. */
  checksumBefore(position: Position): Checksum | undefined {
    return this.#source.checksumBefore(position);
  }

  /** End the generation, because a replica can't go on with it. */
  async restartGeneration(generation: string, reason: string): Promise<void> {
    using _ = await this.#mutex.acquire();
    // A database that is gone begins a generation anyway when it comes back.
    if (this.#opened === undefined || this.position?.generation !== generation) return;
    this.#logger.warn("sync: a replica can't go on, a new generation starts", { reason });
    await this.#mend(reason);
  }

  /**
   * Begin a snapshot. Close it soon: meanwhile the WAL grows.
   *
   * @throws {Error} `no generation available` while the database is not live
   */
  async openSnapshot(): Promise<SnapshotSource> {
    using _ = await this.#mutex.acquire();
    if (this.#opened === undefined || this.state.kind !== "live") throw new Error("no generation available");
    const opened = this.#opened;
    try {
      if (this.#snapshots.isEmpty) {
        await checkpointPolitely(opened);
        this.#schedule.noteOwn(opened);
      }
      return this.#snapshots.add(await openSnapshot(opened.follower));
    } catch (error) {
      // At rest nothing else would find it out before the next commit.
      if (error instanceof ContinuityLostError) await this.#handle(error);
      throw error;
    } finally {
      // It copies what is committed, also where it fails later.
      this.changed.notify();
    }
  }

  /** Hold off every writer while `act` runs, with everything committed copied. For tests and validation. */
  async quiesce<T>(act: () => T): Promise<T | undefined> {
    using _ = await this.#mutex.acquire();
    if (this.#opened === undefined) throw new Error("no generation available");
    return await behindBarrier(this.#opened, act);
  }

  /** Forget shadow files that every replica has: all below `index` − 1. */
  releaseBefore(generation: string, index: number): void {
    this.#source.releaseBefore(generation, index);
  }

  #closeFiles(): void {
    if (this.#opened === undefined) return;
    const opened = this.#opened;
    this.#opened = undefined;
    this.#snapshots.closeAll();
    closeOpened(opened, { keepsShadow: this.#source.isRetired(opened.follower) });
  }

  /** Stop following and let everything go. The `-wal` stays as it is. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#attention.close();
    await this.#loop;
    using _ = await this.#mutex.acquire();
    // What was committed last is copied too, so that the next start finds nothing between it and the live WAL.
    const uncopied = this.#opened && await copyAllPinned(this.#opened.follower);
    if (uncopied !== undefined) this.#troubles.note(uncopied);
    this.#replacement.noteEnd(this.#opened);
    const lost = this.#opened?.follower.hasLostCopies === true ? this.position?.generation : undefined;
    this.#closeFiles();
    this.#source.forget();
    if (lost !== undefined) this.#removeLost(lost);
    this.#lock.release();
    this.#holder.set({ kind: "closed" });
  }

  /** What the disk has failed to keep is told once: the next start would take the copies for sound. */
  #removeLost(generation: string): void {
    this.#logger.warn("the shadow wal can't be brought to the disk, the next start begins a generation", {
      generation,
    });
    try {
      this.meta.removeGeneration(generation);
    } catch (error) {
      this.#troubles.note(error);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
