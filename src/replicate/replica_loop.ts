/**
 * Keeps one replica of one database up to date: finds out where it stands, uploads segments in order, and takes a
 * snapshot where there is none. Replicas don't wait for one another.
 */
import { Backoff, UPLOAD_BACKOFF } from "./backoff.ts";
import { FirstSnapshot } from "./first_snapshot.ts";
import { removeLeftovers } from "./leftovers.ts";
import { newestMomentOf } from "./newest_moment.ts";
import { ReplicaProgress } from "./progress.ts";
import { type KnownSegment, readRemoteState } from "./remote_position.ts";
import { type ReplicaOptions, SEGMENT_BYTES } from "./replica_options.ts";
import { SnapshotTask } from "./snapshot_task.ts";
import { type SnapshotParts, type StoredSnapshot, takeSnapshot } from "./take_snapshot.ts";
import { UploadMemory } from "./upload_memory.ts";
import { uploadSegment } from "./upload_segment.ts";
import { Notice, orAbort, Semaphore, sleep } from "../async.ts";
import type { LiveDatabase } from "../database/database.ts";
import { ContinuityLostError } from "../database/follower.ts";
import type { Segment } from "../database/segment.ts";
import { formatGoDuration } from "../duration.ts";
import { describeError, NotFoundError } from "../errors.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { type MetricLabels, type Metrics, silentMetrics } from "../metrics.ts";
import { comparePositions, formatPosition, type Position } from "../position.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { pause } from "../runtime/pause.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";
import { equalPair } from "../wal/header.ts";

/** The first pause between the last tries before the end; it doubles. */
const FINISH_PAUSE_MS = 100;

/**
 * At the end of an index two segments are sent in one round, which then lasts two intervals: an upload in each on
 * average. Catching up isn't paid for.
 */
const MOST_INTERVALS = 2;

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
  #position: Position | undefined;
  /** Whether `#position` is what the replica has, as far as we know; not so at first and after a failure. */
  #isLocated = false;
  #newest: KnownSegment | undefined;
  /** Where the replica can't be read back. */
  readonly #memory: UploadMemory | undefined;
  /** A segment whose upload failed, or whose answer got lost. */
  #tried: (Position & { readonly length: number }) | undefined;
  #newestCommitAt = 0;
  #lastUploadMs = -Infinity;
  /** Segments of the last round of uploads. */
  #roundCount = 0;
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
    const { cipher, name } = options.client;
    const isReadable = cipher === undefined || cipher.canDecrypt;
    this.#memory = isReadable ? undefined : new UploadMemory(options.database.meta, name);
    this.#slots = options.snapshots ?? new Semaphore(1);
    this.#backoff = new Backoff(this.#logger, { ...UPLOAD_BACKOFF, ...options.backoff });
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
    return this.#position;
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
    if (position === undefined || this.#position?.generation !== position.generation) return false;
    return this.#isLocated && this.#firstSnapshot.isThere && isAtEnd(this.#database, this.#position);
  }

  /** Whether the replica is known to restore what it has of the current generation. */
  get isRestorable(): boolean {
    return this.#isLocated && this.#firstSnapshot.isThere &&
      this.#position?.generation === this.#database.position?.generation;
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

  /** A snapshot whose folder is gone is not all that the replica may have lost. */
  #lookAgainAfter(error: unknown): void {
    if (!(error instanceof NotFoundError)) return;
    this.#isLocated = false;
    this.#database.changed.notify();
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
      position: () => this.#isLocated ? this.#position : undefined,
      progressed: this.progressed,
      notBefore: this.#newestCommitAt,
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
    if (this.#memory !== undefined) {
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
      let pauseMs = 0;
      try {
        this.#roundCount = await this.#sync();
        this.progress.caughtUp();
        this.#backoff.succeed("replica works again");
      } catch (error) {
        if (signal.aborted) return;
        pauseMs = await this.#handle(error);
        this.#options.onFailure?.();
      }
      this.progressed.notify();
      try {
        if (pauseMs > 0) await pause(pauseMs, { clock: this.#clock, signal });
        else await this.#waitForChange(token, signal);
      } catch {
        return; // stopping
      }
    }
  }

  async #waitForChange(token: Promise<void>, signal: AbortSignal): Promise<void> {
    await orAbort(token, signal);
    const intervalMs = this.syncIntervalMs * Math.max(1, Math.min(this.#roundCount, MOST_INTERVALS));
    const restMs = this.#lastUploadMs + intervalMs - this.#clock.monotonicMs();
    if (restMs > 0) await sleep(restMs, { signal });
  }

  /** @returns how long to wait before the next try */
  async #handle(error: unknown): Promise<number> {
    // The replica may have what we think it lacks, and lack what we think it has: look again.
    this.#isLocated = false;
    if (error instanceof ContinuityLostError && this.#position !== undefined) {
      await this.#database.restartGeneration(this.#position.generation, describeError(error));
    }
    return this.#backoff.fail("monitor error", error);
  }

  /**
   * Upload what the database has now and the replica lacks.
   *
   * @returns how many segments that were
   */
  async #sync(): Promise<number> {
    const target = this.#database.position;
    if (target === undefined) return 0;
    if (!this.#isLocated || this.#position?.generation !== target.generation) await this.#locate(target);
    for (let count = 0;; count++) {
      const position = this.#position!;
      const maxBytes = this.#triedLength(position) ?? this.#options.segmentBytes ?? SEGMENT_BYTES;
      const segment = this.#database.segmentAfter(position, { maxBytes });
      if (segment === undefined) return count;
      await this.#upload(segment);
      // A writer that never rests must not make an endless run of small uploads out of one.
      if (comparePositions(this.#position!, target) >= 0) return count + 1;
    }
  }

  /**
   * A failed PUT may still arrive, late, and replace what was stored under its name meanwhile: the same bytes have to
   * go there again, never more.
   */
  #triedLength({ generation, index, offset }: Position): number | undefined {
    const tried = this.#tried;
    const isHere = tried?.generation === generation && tried.index === index && tried.offset === offset;
    return isHere ? tried.length : undefined;
  }

  /** Find out where the replica stands in the database's generation. */
  async #locate(database: Position): Promise<void> {
    const { generation } = database;
    const remembered = this.#newest === undefined ? this.#memory?.read() : undefined;
    const tried = this.#tried;
    const remote = await readRemoteState(this.client, {
      generation,
      pageSize: this.#database.pageSize,
      fromIndex: this.#database.meta.shadowFiles(generation)[0]?.index,
      known: this.#newest ?? remembered,
      tried: tried?.generation === generation ? tried : undefined,
      signal: this.#aborting.signal,
    });
    if (remote.damaged !== undefined) {
      this.#logger.warn("the newest segment can't be read, it is stored again", remote.damaged);
    }
    if (remote.missingKey !== undefined) {
      this.#logger.error("the replica has a hole: a new snapshot is stored, and what is there is kept", {
        key: remote.missingKey,
      });
    }
    const position = remote.position ?? { generation, index: database.index, offset: 0 };
    this.#position = position;
    const checksum = remote.newest === remembered ? remembered?.checksum : remote.checksum;
    const ours = this.#database.checksumBefore(position);
    if (checksum !== undefined && ours !== undefined && !equalPair(ours, checksum)) {
      throw new ContinuityLostError(
        `the replica's ${formatPosition(position)} was written from another history`,
      );
    }
    if (remote.unreadable !== undefined) throw new ContinuityLostError(remote.unreadable);
    this.#newest = remote.newest;
    this.progress.found(remote);
    this.#measure(position);
    const noted = Math.max(remote.newestCommitAt, remembered?.newestCommitAt ?? 0);
    const isOfOthers = noted === 0 && this.#newestCommitAt === 0;
    if (isOfOthers) {
      // Nothing may count as older than what the replica has of other generations, or a restore would prefer those.
      this.#newestCommitAt = await newestMomentOf(this.client, {
        clock: this.#clock,
        logger: this.#logger,
        signal: this.#aborting.signal,
      });
    }
    // Later than other generations by a little at least, or nothing would tell which of them is the newest one.
    if ((remote.position === undefined || isOfOthers) && this.#newestCommitAt > 0) this.#newestCommitAt++;
    this.#newestCommitAt = Math.max(this.#newestCommitAt, noted);
    await this.#firstSnapshot.choose(generation, {
      isThere: remote.snapshotIndex !== undefined && remote.missingKey === undefined,
      isFresh: remote.position === undefined,
    });
    this.#isLocated = true;
    this.isAbandoned = false;
    this.#cleaning ??= removeLeftovers(this.client, { logger: this.#logger, signal: this.#aborting.signal });
    this.progressed.notify();
    this.#logger.debug("replica sync: calc new pos", { position: formatPosition(position) });
  }

  async #upload(segment: Segment): Promise<void> {
    const { generation, index, offset, length } = segment;
    const startMs = this.#clock.monotonicMs();
    this.#tried = { generation, index, offset, length };
    this.#newestCommitAt = Math.max(this.#newestCommitAt, segment.newestCommitAt.getTime());
    const { key, size } = await uploadSegment(this.client, segment, {
      pageSize: this.#database.pageSize,
      newestCommitAt: new Date(this.#newestCommitAt),
      signal: this.#aborting.signal,
    });
    this.#tried = undefined;
    this.#newest = { key, size, index, offset, length };
    this.#position = { generation, index, offset: offset + length };
    const checksum = this.#memory && this.#database.checksumBefore(this.#position);
    this.#memory?.write({ ...this.#newest, checksum, newestCommitAt: this.#newestCommitAt });
    this.#lastUploadMs = startMs;
    this.progress.uploaded();
    this.#metrics.count("litestream_replica_wal_bytes", this.#labels, length);
    this.#measure(this.#position);
    const elapsed = formatGoDuration(this.#clock.monotonicMs() - startMs);
    this.#logger.debug("wal segment written", { position: formatPosition(segment), elapsed, sz: length });
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

  async #finishUploads(signal: AbortSignal): Promise<void> {
    for (let pauseMs = FINISH_PAUSE_MS;;) {
      try {
        await this.#sync();
        this.#backoff.succeed("replica works again");
        this.progressed.notify();
        if (this.#firstSnapshot.isThere) return;
        await this.#firstSnapshot.lookAtEnd(signal);
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
