/** A database whose rows say which commit it is at, and one that follows it with every file call through a `Files`. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { LiveDatabase } from "../../src/database/database.ts";
import { Replicator } from "../../src/replicate/replicator.ts";
import { restore } from "../../src/restore/restore.ts";
import type { RestoreTarget } from "../../src/restore/plan.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { verifyReplica } from "../../src/verify/verify.ts";
import { recordLogs } from "../doubles/recording_logger.ts";
import { until } from "../doubles/until.ts";

/** Where everything of such a database lies below its folder. */
export const DATABASE_NAME = "app.db";
export const REPLICA_NAME = "replica";
/** Where drills restore to. */
export const TEMPORARY_NAME = "app-temporary";

/** The row that commit `number` writes, so that a state shows whether it is that of a commit. */
function bodyOf({ number, branch }: { number: number; branch: number }): string {
  return `row ${number} of ${branch} `.repeat(1 + (number * 37) % 60);
}

/** The application's connection. */
export class NumberedRows implements Disposable {
  readonly path: string;
  readonly connection: DatabaseSync;

  constructor(folder: string) {
    this.path = join(folder, DATABASE_NAME);
    this.connection = new DatabaseSync(this.path, { timeout: 5000 });
    this.connection.exec(
      `PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = off;
       CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, branch INTEGER, body TEXT)`,
    );
  }

  /** Commit the next row; gives its number. Another `branch` makes other rows of the same numbers. */
  commit(branch = 0): number {
    const row = this.connection.prepare("SELECT coalesce(max(id), 0) + 1 AS number FROM t").get();
    const number = Number(Object.values(row!)[0]);
    this.connection.prepare("INSERT INTO t VALUES (?, ?, ?)").run(number, branch, bodyOf({ number, branch }));
    return number;
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }
}

/** Which commit the database at `path` is at; fails when it isn't the whole state after one. */
export function commitOf(path: string): number {
  const connection = new DatabaseSync(path);
  try {
    const check = connection.prepare("PRAGMA integrity_check(1)").get()!;
    assert.equal(Object.values(check)[0], "ok", path);
    const rows = connection.prepare("SELECT id, branch, body FROM t ORDER BY id").all();
    for (const [at, { id, branch, body }] of rows.entries()) {
      assert.equal(id, at + 1, `${path}: row ${at + 1} is missing`);
      assert.equal(body, bodyOf({ number: at + 1, branch: Number(branch) }), `${path}: row ${at + 1}`);
    }
    return rows.length;
  } finally {
    connection.close();
  }
}

/** What follows the database in a folder. */
export class RowsFollower {
  readonly folder: string;
  readonly logs = recordLogs();
  readonly database: LiveDatabase;
  readonly replicator: Replicator;

  /** @param options.isEager snapshots at a short interval as well; default true */
  constructor(
    folder: string,
    { files = systemFiles, isEager = true }: { files?: Files; isEager?: boolean } = {},
  ) {
    this.folder = folder;
    const { logger } = this.logs;
    this.database = new LiveDatabase({
      path: join(folder, DATABASE_NAME),
      files,
      logger,
      monitorIntervalMs: 100,
      limits: { minPages: 10, maxPages: 60 },
    });
    const client = clientOf(folder, { files });
    const backoff = { firstMs: 5, longestMs: 20 };
    const duties = isEager
      ? { retention: { retentionMs: 300, checkIntervalMs: 60 }, snapshotIntervalMs: 120 }
      : {
        retention: { retentionMs: 60 },
        drill: { intervalMs: 0, temporaryPath: join(folder, TEMPORARY_NAME), files },
      };
    this.replicator = new Replicator({
      database: this.database,
      logger,
      files,
      replicas: [{ client, logger, syncIntervalMs: 5, segmentBytes: 64 << 10, backoff, duties }],
    });
  }

  get loop() {
    return this.replicator.replicas[0]!;
  }

  /** Wait until the replica has everything. */
  async current(limitMs = 20_000): Promise<void> {
    await this.database.settle();
    await until(
      () => this.loop.isCurrent,
      () =>
        `the replica to be current; it says "${this.loop.lastError}", the database ` +
        `${JSON.stringify(this.database.state)} "${this.database.lastError}"`,
      { limitMs },
    );
  }

  async finish(): Promise<void> {
    await this.replicator.finish({ signal: AbortSignal.timeout(10_000) });
  }
}

/** The replica of the database in a folder. */
export function clientOf(folder: string, { files = systemFiles }: { files?: Files } = {}): ReplicaClient {
  return new ReplicaClient(new FileStore({ root: join(folder, REPLICA_NAME), files }), "replica");
}

let restoreCount = 0;

/** Restore what the replica has and say which commit that is. */
export async function restoredCommit(
  folder: string,
  options: { generation?: string; target?: RestoreTarget } = {},
): Promise<number> {
  const outputPath = join(folder, `restored-${++restoreCount}.db`);
  await restore({ clients: [clientOf(folder)], outputPath, ...options });
  return commitOf(outputPath);
}

/** Assert that the replica restores to the live database, page for page. Nobody may follow it. */
export async function assertRestoresLive(folder: string): Promise<void> {
  const outputPath = join(folder, `restored-${++restoreCount}.db`);
  await restore({ clients: [clientOf(folder)], outputPath });
  const path = join(folder, DATABASE_NAME);
  {
    const connection = new DatabaseSync(path);
    connection.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    connection.close();
  }
  const [live, restored] = [readFileSync(path), readFileSync(outputPath)];
  assert.ok(live.equals(restored), `restored ${restored.length} bytes are not the live ${live.length}`);
}

/**
 * What `verify` finds damaged in the replica. A generation without a snapshot promises nothing: its first one was never
 * stored, or retention has begun to remove it and goes on the next time.
 */
export async function damagesOf(folder: string): Promise<readonly unknown[]> {
  const client = clientOf(folder);
  const { generations } = await verifyReplica(client);
  const damages: unknown[] = [];
  for (const report of generations) {
    if ((await client.snapshots(report.generation)).length > 0) damages.push(...report.damages);
  }
  return damages;
}

/** Copy the database with its WAL as they are; in another process, since closing a file here drops SQLite's locks. */
export function copyDatabase(from: string, to: string): void {
  const paths = ["", "-wal", "-shm"].map((suffix) => join(from, DATABASE_NAME) + suffix).filter(existsSync);
  const { status, stderr } = spawnSync("cp", [...paths, to], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}
