/**
 * Keeps one replica of one database up to date: finds out where it stands, uploads segments in order, and takes a
 * snapshot where there is none. Replicas don't wait for one another.
 */
import { Backoff, TOLD_AWAY_MS, UPLOAD_BACKOFF } from "./backoff.ts";
import { FirstSnapshot } from "./first_snapshot.ts";
import { removeLeftovers } from "./leftovers.ts";
import { ReplicaProgress } from "./progress.ts";
import { type ReplicaOptions, SEGMENT_BYTES } from "./replica_options.ts";
import { SnapshotTask } from "./snapshot_task.ts";
import { Standing } from "./standing.ts";
import { type SnapshotParts, type StoredSnapshot, takeSnapshot } from "./take_snapshot.ts";
import { UploadPace } from "./upload_pace.ts";
import { sendUpTo } from "./upload_round.ts";
import { SegmentUpload } from "./upload_segment.ts";
import { firstOf, Notice, Semaphore, sleep } from "../async.ts";
import type { LiveDatabase } from "../database/database.ts";
import { ContinuityLostError } from "../database/continuity.ts";
import { formatGoDuration } from "../duration.ts";
import { describeError, isAway, NotFoundError } from "../errors.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { type MetricLabels, type Metrics, silentMetrics } from "../metrics.ts";
import { formatPosition, type Position } from "../position.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { pause } from "../runtime/pause.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** The first pause between the last tries before the end; it doubles. */
const FINISH_PAUSE_MS = 100;

/** One replica, from `start` to `finish`. */
export class ReplicaLoop {
  readonly client: ReplicaClient;
  readonly #options: ReplicaOptions;
  readonly #database: LiveDatabase;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #slots: Semaphore;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  readonly #aborting = new AbortController();
  /** Told at each upload, and whenever uploads begin to fail or work again. */
  readonly progressed: Notice = new Notice();
  /** When it last got further. */
  readonly progress: ReplicaProgress;
  readonly #standing: Standing;
  /** Whether `#standing` is what the replica has, as far as we know; not so at first and after a failure. */
  #isLocated = false;
  readonly #pace: UploadPace;
  /** Ends a rest early. */
  #rest: AbortController | undefined;
  #loop: Promise<void> | undefined;
  /** What an earlier run left half-written goes, once the replica answers. */
  #cleaning: Promise<void> | undefined;
  readonly #firstSnapshot: FirstSnapshot;
  /** The newest snapshot that was stored since `start`. */
  latestSnapshot: StoredSnapshot | undefined;
  /** Whether the shadow WAL is no longer kept for this replica; see `abandon`. */
  isAbandoned = false;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#database = options.database;
    this.client = options.client;
    this.#clock = options.clock ?? systemClock;
    this.progress = new ReplicaProgress(this.#clock);
    this.#logger = (options.logger ?? silentLogger)
      .with({ db: options.database.path, replica: options.client.name });
    this.#metrics = options.metrics ?? silentMetrics;
    this.#metrics.count("litestream_replica_wal_bytes", this.#labels, 0);
    const [database, client, clock, logger] = [this.#database, this.client, this.#clock, this.#logger];
    this.#standing = new Standing({ database, client, clock, logger });
    this.#pace = new UploadPace({ intervalMs: this.syncIntervalMs, clock });
    this.#slots = options.snapshots ?? new Semaphore(1);
    const isTold = client.store.answering !== undefined;
    const pauses = isTold ? { ...UPLOAD_BACKOFF, awayMs: TOLD_AWAY_MS } : UPLOAD_BACKOFF;
    this.#backoff = new Backoff(this.#logger, { ...pauses, ...options.backoff });
    this.#firstSnapshot = new FirstSnapshot((generation) => this.#beginSnapshot(generation));
  }

  get #labels(): MetricLabels {
    return { db: this.#database.path, name: this.client.name };
  }

  /** The shortest time between two uploads. */
  get syncIntervalMs(): number {
    return this.#options.syncIntervalMs ?? 1000;
  }

  /** Where the replica stands; `undefined` until that is known. */
  get position(): Position | undefined {
    return this.#standing.position;
  }

  /** What keeps the replica behind; empty when nothing does. */
  get lastError(): string {
    return this.#backoff.lastMessage || this.#firstSnapshot.lastError;
  }

  /** Failures in a row, of uploads and of the first snapshot. */
  get errorCount(): number {
    return this.#backoff.count + this.#firstSnapshot.errorCount;
  }

  /** Whether the current generation can't be restored yet, for want of a snapshot. */
  get lacksSnapshot(): boolean {
    return this.#firstSnapshot.isMissingIn(this.#database.position?.generation);
  }

  /** Whether everything that the database has is in the replica, and can be restored from it. */
  get isCurrent(): boolean {
    const position = this.#database.position;
    if (position === undefined || this.position?.generation !== position.generation) return false;
    return this.#isLocated && this.#firstSnapshot.isThere && isAtEnd(this.#database, this.position);
  }

  /** Whether the replica is known to restore what it has of the current generation. */
  get isRestorable(): boolean {
    return this.#isLocated && this.#firstSnapshot.isThere &&
      this.position?.generation === this.#database.position?.generation;
  }

  /**
   * Stop counting on the shadow WAL: it may be dropped from now on. The replica is looked at again until it answers,
   * and where it then lacks what is gone a new generation starts.
   */
  abandon(): void {
    this.isAbandoned = true;
    this.#isLocated = false;
  }

  /**
   * Store another snapshot of the current generation, beside the uploads.
   *
   * @returns `undefined` when there is none to take now: no generation, its first snapshot still missing, or WAL that
   * can't be uploaded
   */
  async snapshot({ signal }: { signal: AbortSignal }): Promise<StoredSnapshot | undefined> {
    const generation = this.#database.position?.generation;
    if (generation === undefined || !this.isRestorable) return undefined;
    const either = AbortSignal.any([signal, this.#aborting.signal]);
    try {
      const stored = await takeSnapshot(this.#snapshotParts(generation), either);
      if (stored !== undefined) this.#noteSnapshot(stored);
      return stored;
    } catch (error) {
      this.#lookAgainAfter(error);
      throw error;
    }
  }

  /** The replica may have lost what we think it has: find out, and store what can be stored again. */
  lookAgain(): void {
    this.#isLocated = false;
    this.#database.changed.notify();
  }

  /** A snapshot whose folder is gone is not all that the replica may have lost. */
  #lookAgainAfter(error: unknown): void {
    if (error instanceof NotFoundError) this.lookAgain();
  }

  #noteSnapshot(stored: StoredSnapshot): void {
    this.latestSnapshot = stored;
    this.progress.snapshotStored(stored.at);
  }

  #snapshotParts(generation: string): SnapshotParts {
    return {
      database: this.#database,
      client: this.client,
      generation,
      slots: this.#slots,
      position: () => this.#isLocated ? this.position : undefined,
      progressed: this.progressed,
      hurry: () => this.hurry(),
      notBefore: this.#standing.newestCommitAt,
      onProgress: this.#options.onSnapshotProgress,
      stagePath: this.#options.stagePath,
      clock: this.#clock,
      logger: this.#logger,
    };
  }

  #beginSnapshot(generation: string): SnapshotTask {
    this.progress.snapshotBegun();
    return new SnapshotTask({
      ...this.#snapshotParts(generation),
      progress: this.progress,
      backoff: this.#options.backoff,
      onStored: (stored) => this.#noteSnapshot(stored),
      onFailed: (error) => this.#lookAgainAfter(error),
    });
  }

  /** Begin; errors are retried until `finish`. */
  start(): void {
    if (this.#standing.isRemembered) {
      this.#logger.warn(
        "age recipients without identities: what is stored can't be read back, so after a crash a new generation " +
          "may start, and nothing here can validate or restore the replica; add age.identities",
      );
    }
    this.progress.started();
    this.#loop = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const token = this.#database.changed.token;
      let failed: { readonly pauseMs: number; readonly error: unknown } | undefined;
      try {
        await this.#sync();
        this.progress.caughtUp();
        this.#backoff.succeed("replica works again");
      } catch (error) {
        if (signal.aborted) return;
        failed = { pauseMs: await this.#handle(error), error };
        this.#options.onFailure?.();
      }
      this.progressed.notify();
      try {
        if (failed !== undefined) await this.#pauseAfter(failed, signal);
        else await this.#waitForChange(token, signal);
      } catch (error) {
        if (signal.aborted) return;
        // Whatever it is, it must not be the last that this loop does.
        await pause(await this.#handle(error), { clock: this.#clock, signal }).catch(() => {});
      }
    }
  }

  /** Where nothing was there to answer, no longer than until something is. */
  async #pauseAfter(
    { pauseMs, error }: { pauseMs: number; error: unknown },
    signal: AbortSignal,
  ): Promise<void> {
    const { store } = this.client;
    const waits = [(signal: AbortSignal) => pause(pauseMs, { clock: this.#clock, signal })];
    const answering = isAway(error) ? store.answering : undefined;
    if (answering !== undefined) waits.push((signal) => answering.call(store, { signal }));
    await firstOf(waits, { signal });
  }

  /** What there is is sent now, without a rest before. */
  hurry(): void {
    this.#pace.hurry();
    this.#rest?.abort();
  }

  async #waitForChange(token: Promise<void>, signal: AbortSignal): Promise<void> {
    const { restMs } = this.#pace;
    if (restMs > 0) await this.#restFor(restMs, signal);
    // Only now: until an upload is due the database needn't be looked at closely.
    await this.#database.changeAfter(token, { signal });
  }

  async #restFor(ms: number, signal: AbortSignal): Promise<void> {
    const rest = this.#rest = new AbortController();
    try {
      await pause(ms, { clock: this.#clock, signal: AbortSignal.any([signal, rest.signal]) });
    } catch {
      signal.throwIfAborted();
    } finally {
      this.#rest = undefined;
    }
  }

  /** @returns how long to wait before the next try */
  async #handle(error: unknown): Promise<number> {
    // The replica may have what we think it lacks, and lack what we think it has: look again.
    this.#isLocated = false;
    if (error instanceof ContinuityLostError && this.position !== undefined) {
      await this.#database.restartGeneration(this.position.generation, describeError(error));
    }
    return this.#backoff.fail("monitor error", error);
  }

  /** Upload what the database has now and the replica lacks. */
  async #sync(): Promise<void> {
    const isCatchingUp = !this.#isLocated;
    const target = await this.#locate();
    if (target === undefined) return;
    const round = await sendUpTo(target, {
      from: this.position!,
      uploadAt: (position) => this.#uploadAt(position),
      send: (upload) => this.#send(upload),
      clock: this.#clock,
    });
    if (round === undefined) return;
    if (isCatchingUp) this.#pace.caughtUp(round);
    else this.#pace.sent(round);
  }

  /** @returns where the database is; `undefined` when that isn't the generation in which the replica's place is known */
  async #locate(): Promise<Position | undefined> {
    const before = this.#database.position;
    if (before === undefined || (this.#isLocated && this.position?.generation === before.generation)) {
      return before;
    }
    await this.#find(before);
    // A store that doesn't answer at once may have kept us for long.
    const { position } = this.#database;
    return position?.generation === before.generation ? position : undefined;
  }

  /** Find out where the replica stands in the database's generation. */
  async #find(database: Position): Promise<void> {
    const { generation } = database;
    const { signal } = this.#aborting;
    const remote = await this.#standing.find(database, { signal });
    const position = this.position!;
    this.progress.found(remote);
    this.#measure(position);
    await this.#firstSnapshot.choose(generation, {
      isThere: remote.snapshotIndex !== undefined && remote.missingKey === undefined,
      isFresh: remote.position === undefined,
    });
    this.#isLocated = true;
    this.isAbandoned = false;
    this.#cleaning ??= removeLeftovers(this.client, { logger: this.#logger, signal });
    this.progressed.notify();
    this.#logger.debug("replica sync: calc new pos", { position: formatPosition(position) });
  }

  /** The upload of what follows `position`; `undefined` when there is nothing yet. */
  #uploadAt(position: Position): SegmentUpload | undefined {
    const maxBytes = this.#standing.triedLengthAt(position) ?? this.#options.segmentBytes ?? SEGMENT_BYTES;
    const segment = this.#database.segmentAfter(position, { maxBytes });
    if (segment === undefined) return undefined;
    return new SegmentUpload(this.client, segment, {
      pageSize: this.#database.pageSize,
      newestCommitAt: this.#standing.timeOf(segment),
    });
  }

  async #send(upload: SegmentUpload): Promise<void> {
    const { segment } = upload;
    const startMs = this.#clock.monotonicMs();
    this.#standing.trying(segment);
    const stored = await upload.put({ signal: this.#aborting.signal });
    this.#standing.stored(segment, stored);
    this.progress.uploaded();
    this.#metrics.count("litestream_replica_wal_bytes", this.#labels, segment.length);
    this.#measure(this.position!);
    const elapsed = formatGoDuration(this.#clock.monotonicMs() - startMs);
    this.#logger.debug("wal segment written", {
      position: formatPosition(segment),
      elapsed,
      sz: segment.length,
    });
    this.progressed.notify();
    this.#options.onProgress?.();
  }

  #measure({ index, offset }: Position): void {
    this.#metrics.gauge("litestream_replica_wal_index", this.#labels, index);
    this.#metrics.gauge("litestream_replica_wal_offset", this.#labels, offset);
  }

  /**
   * Upload what is left, then stop. Failures are retried until `signal` fires, which gives up everything.
   *
   * @throws {Error} what kept the rest from being uploaded
   */
  async finish({ signal }: { signal: AbortSignal }): Promise<void> {
    // The loop ends at its next pause; a running upload ends by itself.
    this.#stopping.abort(new Error("stopping"));
    const abort = () => this.#aborting.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await this.#loop;
      await this.#finishUploads(signal);
    } finally {
      signal.removeEventListener("abort", abort);
      const stopped = new Error("stopped");
      this.#aborting.abort(stopped);
      await this.#firstSnapshot.cancel(stopped);
      await this.#cleaning;
    }
  }

  /** Whether the generation of the replica has ended, and there is none that it has been taken to. */
  get #isLeftBehind(): boolean {
    const { position, state } = this.#database;
    return this.position !== undefined && state.kind !== "stopped" &&
      this.position.generation !== position?.generation;
  }

  /** @throws {Error} why the one that was to follow could not begin, also now */
  async #requireGeneration(): Promise<void> {
    const error = await this.#database.settle();
    if (this.#database.position !== undefined) return;
    throw error ?? new Error(this.#database.lastError || "no generation available");
  }

  async #finishUploads(signal: AbortSignal): Promise<void> {
    for (let pauseMs = FINISH_PAUSE_MS;;) {
      try {
        await this.#sync();
        this.#backoff.succeed("replica works again");
        this.progressed.notify();
        if (this.#isLeftBehind) await this.#requireGeneration();
        else if (this.#firstSnapshot.isThere) return;
        else await this.#firstSnapshot.lookAtEnd(signal);
      } catch (error) {
        // What failed before tells more than that the time is up.
        if (signal.aborted) throw this.lastError === "" ? error : new Error(this.lastError);
        await this.#handle(error);
        await sleep(pauseMs, { signal }).catch(() => {});
        pauseMs *= 2;
      }
    }
  }
}

function isAtEnd(database: LiveDatabase, position: Position): boolean {
  try {
    return database.segmentAfter(position, { maxBytes: SEGMENT_BYTES }) === undefined;
  } catch {
    return false;
  }
}
