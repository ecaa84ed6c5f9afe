/**
 * Keeps one replica of one database up to date: finds out where it stands, uploads segments in order, and takes a
 * snapshot where there is none. Replicas don't wait for one another.
 */
import { Backoff } from "./backoff.ts";
import { readRemoteState } from "./remote_position.ts";
import { uploadSegment } from "./upload_segment.ts";
import { uploadSnapshot } from "./upload_snapshot.ts";
import { Notice, orAbort, Semaphore, sleep } from "../async.ts";
import type { LiveDatabase } from "../database/database.ts";
import { ContinuityLostError } from "../database/follower.ts";
import type { Segment } from "../database/segment.ts";
import { describeError } from "../errors.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { type Metrics, silentMetrics } from "../metrics.ts";
import { comparePositions, formatPosition, type IndexOffset, type Position } from "../position.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** How one replica is kept. */
export interface ReplicaOptions {
  readonly database: LiveDatabase;
  readonly client: ReplicaClient;
  /** The shortest time between two uploads; the first change after a quiet time goes at once. Default 1000. */
  readonly syncIntervalMs?: number | undefined;
  /** The longest segment, in bytes before compression. Default 64 MiB. */
  readonly segmentBytes?: number | undefined;
  /** Bounds the snapshots that run at once over all databases. Default: one for this replica alone. */
  readonly snapshots?: Semaphore | undefined;
  /** Called after each upload. */
  readonly onProgress?: (() => void) | undefined;
  /** Called as snapshot bytes are read. */
  readonly onSnapshotProgress?: ((done: number, total: number) => void) | undefined;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly metrics?: Metrics;
}

/** Raw bytes of a segment unless told otherwise. */
export const SEGMENT_BYTES = 64 << 20;

/** One replica, from `start` to `finish`. */
export class ReplicaLoop {
  readonly client: ReplicaClient;
  readonly #options: ReplicaOptions;
  readonly #database: LiveDatabase;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #snapshots: Semaphore;
  readonly #backoff: Backoff;
  readonly #snapshotBackoff: Backoff;
  readonly #stopping = new AbortController();
  readonly #aborting = new AbortController();
  /** Told at each upload. */
  readonly progressed: Notice = new Notice();
  #position: Position | undefined;
  #needsSnapshot = false;
  #retryLength: number | undefined;
  #newestCommitAt = 0;
  #lastUploadMs = -Infinity;
  #loop: Promise<void> | undefined;
  #snapshot: Promise<void> | undefined;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#database = options.database;
    this.client = options.client;
    this.#clock = options.clock ?? systemClock;
    this.#logger = (options.logger ?? silentLogger)
      .with({ db: options.database.path, replica: options.client.name });
    this.#metrics = options.metrics ?? silentMetrics;
    this.#snapshots = options.snapshots ?? new Semaphore(1);
    this.#backoff = new Backoff(this.#logger);
    this.#snapshotBackoff = new Backoff(this.#logger);
  }

  /** Where the replica stands; `undefined` until that is known. */
  get position(): Position | undefined {
    return this.#position;
  }

  /** What keeps the replica behind; empty when nothing does. */
  get lastError(): string {
    return this.#backoff.lastMessage || this.#snapshotBackoff.lastMessage;
  }

  /** Whether everything that the database has is in the replica, and can be restored from it. */
  get isCurrent(): boolean {
    const position = this.#database.position;
    return position !== undefined && this.#position !== undefined && !this.#needsSnapshot &&
      position.generation === this.#position.generation && isAtEnd(this.#database, this.#position);
  }

  /** Begin; errors are retried until `finish`. */
  start(): void {
    const { cipher } = this.client;
    if (cipher?.canEncrypt === true && !cipher.canDecrypt) {
      this.#logger.warn(
        "age recipients without identities: after a restart the replica's position can't be read back; " +
          "add age.identities",
      );
    }
    this.#loop = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const token = this.#database.changed.token;
      let pauseMs = 0;
      try {
        await this.#sync();
        this.#backoff.succeed("replica works again");
      } catch (error) {
        if (signal.aborted) return;
        pauseMs = await this.#handle(error);
      }
      try {
        if (pauseMs > 0) await sleep(pauseMs, { signal });
        else await this.#waitForChange(token, signal);
      } catch {
        return; // stopping
      }
    }
  }

  async #waitForChange(token: Promise<void>, signal: AbortSignal): Promise<void> {
    await orAbort(token, signal);
    const intervalMs = this.#options.syncIntervalMs ?? 1000;
    const restMs = this.#lastUploadMs + intervalMs - this.#clock.monotonicMs();
    if (restMs > 0) await sleep(restMs, { signal });
  }

  /** @returns how long to wait before the next try */
  async #handle(error: unknown): Promise<number> {
    if (error instanceof ContinuityLostError && this.#position !== undefined) {
      await this.#database.restartGeneration(this.#position.generation, describeError(error));
      this.#position = undefined;
    }
    return this.#backoff.fail("monitor error", error);
  }

  /** Upload all that the database has and the replica lacks. */
  async #sync(): Promise<void> {
    const database = this.#database.position;
    if (database === undefined) return;
    if (this.#position?.generation !== database.generation) await this.#locate(database);
    this.#startSnapshot();
    for (;;) {
      const maxBytes = this.#retryLength ?? this.#options.segmentBytes ?? SEGMENT_BYTES;
      const segment = this.#database.segmentAfter(this.#position!, { maxBytes });
      if (segment === undefined) return;
      await this.#upload(segment);
    }
  }

  /** Find out where the replica stands in the database's generation. */
  async #locate(database: Position): Promise<void> {
    const { generation } = database;
    this.#position = undefined;
    this.#retryLength = undefined;
    const remote = await readRemoteState(this.client, {
      generation,
      pageSize: this.#database.pageSize,
      signal: this.#aborting.signal,
    });
    if (remote.damaged !== undefined) {
      this.#logger.warn("the newest segment can't be read, it is stored again", remote.damaged);
    }
    const position = remote.position ?? { generation, index: database.index, offset: 0 };
    if (remote.checksum !== undefined && this.#database.continuesFrom(position, remote.checksum) === false) {
      this.#position = position;
      throw new ContinuityLostError(
        `the replica's ${formatPosition(position)} was written from another history`,
      );
    }
    this.#newestCommitAt = Math.max(this.#newestCommitAt, remote.newestCommitAt);
    this.#needsSnapshot = remote.snapshotIndex === undefined;
    this.#position = position;
    this.#logger.debug("replica sync: calc new pos", { position: formatPosition(position) });
  }

  async #upload(segment: Segment): Promise<void> {
    const position = formatPosition(segment);
    // If the answer of a PUT is lost, the same bytes go under the same name again, never others.
    this.#retryLength = segment.length;
    this.#newestCommitAt = Math.max(this.#newestCommitAt, segment.newestCommitAt.getTime());
    await uploadSegment(this.client, segment, {
      newestCommitAt: new Date(this.#newestCommitAt),
      signal: this.#aborting.signal,
    });
    this.#retryLength = undefined;
    const { generation, index } = segment;
    const offset = segment.offset + segment.length;
    this.#position = { generation, index, offset };
    this.#lastUploadMs = this.#clock.monotonicMs();
    const labels = { db: this.#database.path, name: this.client.name };
    this.#metrics.count("litestream_replica_wal_bytes", labels, segment.length);
    this.#metrics.gauge("litestream_replica_wal_index", labels, index);
    this.#metrics.gauge("litestream_replica_wal_offset", labels, offset);
    this.#logger.debug("wal segment written", { position, sz: segment.length });
    this.progressed.notify();
    this.#options.onProgress?.();
  }

  /** Take the snapshot that is missing, beside the uploads. */
  #startSnapshot(): void {
    if (!this.#needsSnapshot || this.#snapshot !== undefined) return;
    this.#snapshot = this.#takeSnapshot().finally(() => {
      this.#snapshot = undefined;
      this.progressed.notify();
    });
  }

  async #takeSnapshot(): Promise<void> {
    const { signal } = this.#aborting;
    while (this.#needsSnapshot && !signal.aborted) {
      try {
        using _ = await this.#snapshots.acquire({ signal });
        const generation = await this.#writeSnapshot(signal);
        if (generation === this.#position?.generation) this.#needsSnapshot = false;
        this.#snapshotBackoff.succeed("replica works again");
      } catch (error) {
        if (signal.aborted || this.#stopping.signal.aborted) return;
        const pauseMs = this.#snapshotBackoff.fail("snapshotter error", error);
        await sleep(pauseMs, { signal: this.#stopping.signal }).catch(() => {});
        if (this.#stopping.signal.aborted) return;
      }
    }
  }

  /** @returns the generation that the snapshot belongs to */
  async #writeSnapshot(signal: AbortSignal): Promise<string> {
    using source = await this.#database.openSnapshot();
    const startMs = this.#clock.monotonicMs();
    const position = formatPosition(source);
    // The snapshot is right only together with the WAL up to its offset, so that has to be there first.
    await this.#untilUploaded(source, signal);
    this.#logger.info("write snapshot", { position });
    const newestCommitAt = new Date(Math.max(this.#newestCommitAt, source.newestCommitAt.getTime()));
    const written = await uploadSnapshot(this.client, source, {
      newestCommitAt,
      signal,
      onProgress: this.#options.onSnapshotProgress,
    });
    const elapsedMs = this.#clock.monotonicMs() - startMs;
    this.#logger.info("snapshot written", { position, elapsed: { durationMs: elapsedMs }, sz: written.size });
    return source.generation;
  }

  async #untilUploaded(
    source: IndexOffset & { readonly generation: string },
    signal: AbortSignal,
  ): Promise<void> {
    for (;;) {
      const token = this.progressed.token;
      const position = this.#position;
      if (position !== undefined && position.generation !== source.generation) {
        throw new Error("generation changed during snapshot");
      }
      if (position !== undefined && comparePositions(position, source) >= 0) return;
      if (this.#stopping.signal.aborted) throw this.#stopping.signal.reason;
      if (this.#backoff.count > 0) throw new Error(this.#backoff.lastMessage);
      await orAbort(Promise.race([token, sleep(1000)]), signal);
    }
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
      this.#aborting.abort(new Error("stopped"));
      await this.#snapshot;
    }
  }

  async #finishUploads(signal: AbortSignal): Promise<void> {
    for (let pauseMs = 100;; pauseMs *= 2) {
      try {
        await this.#sync();
        await this.#finishSnapshot(signal);
        return;
      } catch (error) {
        if (signal.aborted) throw new Error(this.lastError || describeError(error), { cause: error });
        this.#backoff.fail("monitor error", error);
        await sleep(pauseMs, { signal }).catch(() => {});
        if (signal.aborted) throw error;
      }
    }
  }

  async #finishSnapshot(signal: AbortSignal): Promise<void> {
    await this.#snapshot;
    if (!this.#needsSnapshot || this.#database.position === undefined) return;
    await this.#writeSnapshotNow(signal);
  }

  async #writeSnapshotNow(signal: AbortSignal): Promise<void> {
    using source = await this.#database.openSnapshot();
    await this.#sync();
    const newestCommitAt = new Date(Math.max(this.#newestCommitAt, source.newestCommitAt.getTime()));
    await uploadSnapshot(this.client, source, { newestCommitAt, signal });
    this.#needsSnapshot = false;
  }
}

function isAtEnd(database: LiveDatabase, position: Position): boolean {
  try {
    return database.segmentAfter(position, { maxBytes: SEGMENT_BYTES }) === undefined;
  } catch {
    return false;
  }
}
