/** One database, its replicas in folders, and everything that tests of replication look at. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { readAll } from "../../src/bytes.ts";
import type { Cipher } from "../../src/cipher.ts";
import { decodeObjectBytes } from "../../src/codec/object.ts";
import type { Note } from "../../src/codec/note.ts";
import { unsealBytes } from "../../src/codec/sealed.ts";
import { LiveDatabase } from "../../src/database/database.ts";
import type { CheckpointLimits } from "../../src/database/decide.ts";
import { comparePositions } from "../../src/position.ts";
import type { ReplicaLoop } from "../../src/replicate/replica_loop.ts";
import { Replicator, type ReplicatorReplica } from "../../src/replicate/replicator.ts";
import { restore } from "../../src/restore/restore.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { FaultyStore } from "../doubles/faulty_store.ts";
import { recordLogs } from "../doubles/recording_logger.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";

/** A stored object, decoded. */
export interface StoredObject {
  readonly index: number;
  readonly offset: number;
  readonly raw: Uint8Array;
  readonly note: Note | undefined;
}

/** A replica in a folder, with faults. */
export class TestReplica {
  readonly files: FileStore;
  readonly store: FaultyStore;
  /** Goes through the faults. */
  client!: ReplicaClient;
  /** Doesn't. */
  direct!: ReplicaClient;

  constructor(readonly path: string, readonly name: string, cipher?: Cipher) {
    this.files = new FileStore({ root: path });
    this.store = new FaultyStore(this.files);
    this.encryptWith(cipher);
  }

  /** Have other keys from the next run on. */
  encryptWith(cipher: Cipher | undefined): void {
    this.client = new ReplicaClient(this.store, this.name, { cipher });
    this.direct = new ReplicaClient(this.files, this.name, { cipher });
  }

  async object(key: string): Promise<{ raw: Uint8Array; note: Note | undefined }> {
    const stored = await readAll(await this.files.get(key), { limit: 1 << 28 });
    return decodeObjectBytes(await unsealBytes(stored, this.direct.cipher));
  }

  async segments(generation: string): Promise<StoredObject[]> {
    const found = await this.direct.segments(generation);
    return await Promise.all(found.map(async (info) => ({ ...info, ...await this.object(info.key) })));
  }

  async snapshots(generation: string): Promise<StoredObject[]> {
    const found = await this.direct.snapshots(generation);
    return await Promise.all(
      found.map(async (info) => ({ ...info, offset: 0, ...await this.object(info.key) })),
    );
  }
}

/** What a bench is made with. */
export interface BenchOptions {
  /** Default 1. */
  readonly replicaCount?: number;
  readonly clock?: Clock;
  /** Default 20. */
  readonly syncIntervalMs?: number;
  readonly segmentBytes?: number;
  readonly maxShadowBytes?: number;
  readonly limits?: Partial<CheckpointLimits>;
  /** Default none. */
  readonly cipher?: Cipher;
  /** Those of the database and the meta directory. Default: the real file system. */
  readonly files?: Files | undefined;
  /** Default: a table `t (id, body)` in WAL mode. */
  readonly isEmpty?: boolean;
}

/** A folder with a database, an application's connection and replicas; `run` begins to replicate. */
export class Bench implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly #options: BenchOptions;
  readonly path: string;
  readonly replicas: TestReplica[];
  readonly logs = recordLogs();
  application: DatabaseSync | undefined;
  replicator: Replicator | undefined;

  constructor(options: BenchOptions = {}) {
    this.#options = options;
    this.path = join(this.#folder.path, "app.db");
    this.replicas = Array.from(
      { length: options.replicaCount ?? 1 },
      (_, at) => new TestReplica(join(this.#folder.path, `replica-${at}`), `replica-${at}`, options.cipher),
    );
    if (!options.isEmpty) this.openApplication();
  }

  /** Makes the database where there is none. */
  openApplication(): DatabaseSync {
    this.application = new DatabaseSync(this.path, { timeout: 5000 });
    this.application.exec(
      `PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = off;
       CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, body TEXT)`,
    );
    return this.application;
  }

  /** Commit a row. */
  insert(body = "row"): void {
    this.application!.prepare("INSERT INTO t (body) VALUES (?)").run(body);
  }

  /** Have the WAL begin anew with one more row, until `isEnough` of the newest index. */
  async restartWal(isEnough: (index: number) => boolean, loops?: readonly ReplicaLoop[]): Promise<void> {
    for (let tries = 0; !isEnough(this.database.position!.index); tries++) {
      assert.ok(tries < 500, "the WAL never restarted");
      this.application!.exec("PRAGMA wal_checkpoint(PASSIVE)");
      await this.database.settle();
      this.insert();
      await this.current(loops);
    }
  }

  get folder(): string {
    return this.#folder.path;
  }

  get replica(): TestReplica {
    return this.replicas[0]!;
  }

  get store(): FaultyStore {
    return this.replica.store;
  }

  get database(): LiveDatabase {
    return this.replicator!.database;
  }

  get loop(): ReplicaLoop {
    return this.replicator!.replicas[0]!;
  }

  get generation(): string {
    return this.database.position?.generation ?? "";
  }

  /** Begin to replicate, or begin again after `stop`. */
  async run(more: Partial<ReplicatorReplica> = {}): Promise<void> {
    const { clock = systemClock, files = systemFiles, syncIntervalMs = 20, segmentBytes, limits } =
      this.#options;
    const { logger } = this.logs;
    const database = new LiveDatabase({
      path: this.path,
      logger,
      clock,
      files,
      limits,
      monitorIntervalMs: 100,
    });
    const backoff = { firstMs: 20, longestMs: 200 };
    this.replicator = new Replicator({
      database,
      logger,
      maxShadowBytes: this.#options.maxShadowBytes,
      replicas: this.replicas.map(({ client }) => ({
        client,
        logger,
        syncIntervalMs,
        segmentBytes,
        backoff,
        clock,
        ...more,
      })),
    });
    await this.replicator.start();
  }

  /** Final sync, then let go. */
  async stop(limitMs = 10_000): Promise<void> {
    const replicator = this.replicator;
    this.replicator = undefined;
    await replicator?.finish({ signal: AbortSignal.timeout(limitMs) });
  }

  /** Wait until every replica, or `loop`, has everything. */
  async current(loops: readonly ReplicaLoop[] = this.replicator!.replicas): Promise<void> {
    // What was committed just now need not be copied yet.
    await this.database.settle();
    await until(
      () => loops.every((loop) => loop.isCurrent),
      () => `the replica to be current; it says "${loops.map((loop) => loop.lastError).join()}"`,
    );
  }

  /** Records with this message. */
  logged(message: string): number {
    return this.logs.records.filter((record) => record.message === message).length;
  }

  /** Stop, restore from `replica`, and compare every page with the live database after a last checkpoint. */
  async assertRestores(replica: TestReplica = this.replica): Promise<void> {
    await this.stop();
    const outputPath = join(this.folder, `restored-${crypto.randomUUID()}.db`);
    await restore({ clients: [replica.direct], outputPath });
    this.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    const [live, restored] = [readFileSync(this.path), readFileSync(outputPath)];
    assert.ok(live.equals(restored), `restored ${restored.length} bytes are not the live ${live.length}`);
  }

  /** The generation's segments, which have to follow one another without a gap or an overlap. */
  async wholeSegments(generation: string, replica: TestReplica = this.replica): Promise<StoredObject[]> {
    const segments = await replica.segments(generation);
    segments.sort(comparePositions);
    for (const [at, segment] of segments.entries()) {
      const before = segments[at - 1];
      const isNext = before === undefined || segment.index === before.index + 1 && segment.offset === 0 ||
        segment.index === before.index && segment.offset === before.offset + before.raw.length;
      assert.ok(isNext, `segment ${segment.index}:${segment.offset} does not follow the one before`);
    }
    return segments;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { store } of this.replicas) store.mend();
    await this.stop(2000).catch(() => {});
    this.application?.close();
    this.#folder[Symbol.dispose]();
  }
}
