/** One database with all its replicas. */
import { Duties, type DutyOptions } from "./duties.ts";
import type { DutyParts } from "./duty.ts";
import { recoverMeta } from "./recover_meta.ts";
import { ReplicaLoop } from "./replica_loop.ts";
import type { ReplicaOptions } from "./replica_options.ts";
import { chooseAbandoned, neededFrom } from "./shadow_bound.ts";
import { sleep } from "../async.ts";
import type { LiveDatabase } from "../database/database.ts";
import { describeError } from "../errors.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { silentMetrics } from "../metrics.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { type Files, systemFiles } from "../runtime/files.ts";

/** One replica of a replicator. */
export interface ReplicatorReplica extends Omit<ReplicaOptions, "database" | "onProgress" | "onFailure"> {
  /** Retention, snapshots and validation; `clock` and `slots` are the replica's unless given. Default: Litestream's. */
  readonly duties?: DutyOptions & { readonly clock?: Clock } | undefined;
}

/** What a replicator keeps together. */
export interface ReplicatorOptions {
  readonly database: LiveDatabase;
  readonly replicas: readonly ReplicatorReplica[];
  /**
   * Bytes of the shadow WAL that are kept for a replica which is dead; beyond it starts a new generation when it is
   * back. 0: no limit. Default 10 GiB.
   */
  readonly maxShadowBytes?: number | undefined;
  readonly logger?: Logger | undefined;
  /** Those of the database. Default: the real file system. */
  readonly files?: Files | undefined;
}

/** Replicas that do not answer must not keep a database from being followed. */
const RECOVERY_MS = 5_000;

/** What a database left that went away is sent for so long. */
const SENDING_MS = 10_000;

/** At the end. */
const SETTLE_TRIES = 15;
const SETTLE_PAUSE_MS = 100;

/** Kept for a dead replica unless told otherwise. */
export const MAX_SHADOW_BYTES = 10 * 2 ** 30;

/** Follows one database and keeps its replicas up to date. */
export class Replicator {
  readonly database: LiveDatabase;
  readonly replicas: readonly ReplicaLoop[];
  /** In the order of the replicas. */
  readonly duties: readonly Duties[];
  readonly #maxShadowBytes: number;
  readonly #logger: Logger;
  #releaseError = "";

  constructor({ database, replicas, maxShadowBytes, logger, files = systemFiles }: ReplicatorOptions) {
    this.database = database;
    this.#maxShadowBytes = maxShadowBytes ?? MAX_SHADOW_BYTES;
    this.#logger = logger ?? silentLogger;
    database.recoverMeta = () => this.#recoverMeta(replicas, files);
    database.isAwaited = (sinceMs) => this.#isAwaited(sinceMs);
    const release = () => this.#tryRelease();
    this.replicas = replicas.map((replica) =>
      new ReplicaLoop({ ...replica, database, onProgress: release, onFailure: release })
    );
    this.duties = replicas.map((replica, at) =>
      new Duties(dutyParts(this.replicas[at]!, database, replica), {
        slots: replica.snapshots,
        backoff: replica.backoff,
        ...replica.duties,
      })
    );
  }

  /** @throws {Error} when the database can't be taken up and waiting can't help */
  async start(): Promise<void> {
    await this.database.start();
    for (const replica of this.replicas) replica.start();
    for (const duties of this.duties) duties.start();
    if (this.replicas.length === 0) void this.#releaseAlone();
  }

  async #recoverMeta(replicas: readonly ReplicatorReplica[], files: Files): Promise<void> {
    const { path, meta } = this.database;
    await recoverMeta({
      databasePath: path,
      meta,
      clients: replicas.map(({ client }) => client),
      files,
      logger: this.#logger.with({ db: path }),
      limitMs: RECOVERY_MS,
    });
  }

  /** Whether replicas still get what a database left that went away; not for ever, the next one is to be followed. */
  #isAwaited(sinceMs: number): boolean {
    const lacking = this.replicas.map((loop) => ({ loop, ...this.database.backlogAfter(loop.position) }))
      .filter(({ bytes = 0 }) => bytes > 0);
    for (const { loop } of lacking) loop.hurry();
    if (sinceMs < SENDING_MS) return lacking.length > 0;
    for (const { loop, bytes } of lacking) {
      this.#logger.error(
        "the replica lacks the last commits of the database that went away, and is not waited for",
        {
          db: this.database.path,
          replica: loop.client.name,
          bytes,
          error: loop.lastError,
        },
      );
    }
    return false;
  }

  /** Without replicas nobody's progress tells when shadow files can go. */
  async #releaseAlone(): Promise<void> {
    while (this.database.state.kind !== "closed" && this.database.state.kind !== "stopped") {
      this.#tryRelease();
      await this.database.changed.token;
    }
  }

  /** Files that can't be removed must not keep commits from being uploaded; it is tried again with the next ones. */
  #tryRelease(): void {
    try {
      this.#release();
      this.#releaseError = "";
    } catch (error) {
      const message = describeError(error);
      if (message !== this.#releaseError) {
        this.#logger.error("cannot remove shadow wal files that every replica has", {
          db: this.database.path,
          error: message,
        });
      }
      this.#releaseError = message;
    }
  }

  /** Drop shadow files that the slowest replica is past, and stop waiting for one that holds too many. */
  #release(): void {
    const position = this.database.position;
    if (position === undefined) return;
    const { generation, index: currentIndex } = position;
    const holders = this.replicas.map((loop) => ({
      loop,
      index: loop.position?.generation === generation ? loop.position.index : undefined,
      isFailing: loop.lastError !== "",
      isAbandoned: loop.isAbandoned,
    }));
    const from = neededFrom(holders, currentIndex);
    this.database.releaseBefore(generation, from);
    // The two newest files stay in any case, so there is nothing to bound.
    if (this.#maxShadowBytes <= 0 || from >= currentIndex - 1) return;
    const abandoned = chooseAbandoned({
      holders,
      files: this.database.meta.shadowFiles(generation),
      currentIndex,
      databaseBytes: this.database.fileBytes,
      maxBytes: this.#maxShadowBytes,
    });
    for (const { holder: { loop }, bytes } of abandoned) this.#abandon(loop, bytes);
    if (abandoned.length > 0) this.#release();
  }

  #abandon(loop: ReplicaLoop, bytes: number): void {
    this.#logger.error(
      "replica given up until it is back: the shadow wal kept for it has reached its limit; " +
        "it starts a new generation then, and has nothing of the time between",
      {
        db: this.database.path,
        replica: loop.client.name,
        bytes,
        "max-shadow-size": this.#maxShadowBytes,
        error: loop.lastError,
      },
    );
    loop.abandon();
  }

  /**
   * Copy and upload what is left, then let the database go; `signal` bounds the tries.
   *
   * @throws {Error} that names each replica that stayed behind, and why, or why the database itself could not be read
   */
  async finish({ signal }: { signal: AbortSignal }): Promise<void> {
    await Promise.all(this.duties.map((duties) => duties.stop()));
    const uncopied = await this.settle({ signal });
    const results = await Promise.allSettled(this.replicas.map((replica) => replica.finish({ signal })));
    await this.database.close();
    const failures = results.flatMap((result, at) =>
      result.status === "rejected"
        ? [`${this.replicas[at]!.client.name}: ${describeError(result.reason)}`]
        : []
    );
    if (uncopied !== undefined) {
      throw new Error(
        `${this.database.path}: the last commits could not be read: ${describeError(uncopied)}`,
      );
    }
    if (failures.length > 0) {
      throw new Error(`${this.database.path}: the last commits are not in ${failures.join("; ")}`);
    }
  }

  /**
   * Copy what is committed now.
   *
   * @returns what keeps it from being copied, also at a few more tries: files are replaced, and locks are short
   */
  async settle({ signal }: { signal: AbortSignal }): Promise<unknown> {
    for (let tries = 1;; tries++) {
      const error = await this.database.settle();
      const isStopped = this.database.state.kind === "stopped";
      if (error === undefined || isStopped || tries === SETTLE_TRIES) return error;
      await sleep(SETTLE_PAUSE_MS, { signal }).catch(() => {});
      if (signal.aborted) return error;
    }
  }
}

function dutyParts(
  loop: ReplicaLoop,
  database: LiveDatabase,
  { duties, clock, logger = silentLogger, metrics }: ReplicatorReplica,
): Omit<DutyParts, "turn"> {
  const { client } = loop;
  return {
    database,
    loop,
    client,
    clock: duties?.clock ?? clock ?? systemClock,
    logger: logger.with({ db: database.path, replica: client.name }),
    metrics: metrics ?? silentMetrics,
  };
}
