/** One database replicated into a bucket of a real server, through a proxy that counts requests. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { LiveDatabase } from "../../src/database/database.ts";
import type { CheckpointLimits } from "../../src/database/decide.ts";
import { Replicator, type ReplicatorReplica } from "../../src/replicate/replicator.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import type { S3StoreOptions } from "../../src/storage/s3/options.ts";
import { type LogRecord, recordLogs } from "../doubles/recording_logger.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import type { S3Server } from "../servers/s3_servers.ts";
import { proxied, type ProxiedStore } from "../storage/s3/proxied_store.ts";

/** What a bench is made with. */
export interface S3BenchOptions {
  readonly clock?: Clock;
  readonly monitorIntervalMs?: number;
  readonly limits?: Partial<CheckpointLimits>;
  readonly store?: Partial<S3StoreOptions>;
}

/** `run` begins to replicate, `stop` ends it; both can be done again. */
export class S3Bench implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly #logs = recordLogs();
  readonly #options: S3BenchOptions;
  readonly application: DatabaseSync;
  replicator: Replicator | undefined;

  private constructor(readonly opened: ProxiedStore, options: S3BenchOptions) {
    this.#options = options;
    this.application = new DatabaseSync(join(this.folder, "app.db"), { timeout: 5000 });
    this.application.exec(
      "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (id INTEGER PRIMARY KEY, body)",
    );
  }

  static async open(server: S3Server, options: S3BenchOptions = {}): Promise<S3Bench> {
    return new S3Bench(await proxied(server, options.store), options);
  }

  get folder(): string {
    return this.#folder.path;
  }

  get records(): readonly LogRecord[] {
    return this.#logs.records;
  }

  get client(): ReplicaClient {
    return new ReplicaClient(this.opened.store);
  }

  insert(): void {
    this.application.exec("INSERT INTO t (body) VALUES (hex(randomblob(100)))");
  }

  async run(more: Partial<ReplicatorReplica> = {}): Promise<void> {
    const { logger } = this.#logs;
    const { clock = systemClock, monitorIntervalMs, limits } = this.#options;
    const database = new LiveDatabase({
      path: join(this.folder, "app.db"),
      clock,
      monitorIntervalMs,
      limits,
      logger,
    });
    const backoff = { firstMs: 20, longestMs: 200 };
    const replica = { client: this.client, logger, clock, backoff, syncIntervalMs: 20, ...more };
    this.replicator = new Replicator({ database, logger, replicas: [replica] });
    await this.replicator.start();
  }

  /** Wait until the replica has everything. */
  async current(): Promise<void> {
    const { database, replicas } = this.replicator!;
    await database.settle();
    await until(() => replicas[0]!.isCurrent, () => `the replica to be current: ${replicas[0]!.lastError}`);
  }

  async stop(): Promise<void> {
    const { replicator } = this;
    this.replicator = undefined;
    await replicator?.finish({ signal: AbortSignal.timeout(10_000) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => {});
    this.application.close();
    await this.opened[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}
