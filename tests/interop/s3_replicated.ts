/** A database that is written to while it is replicated into a bucket. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { LiveDatabase } from "../../src/database/database.ts";
import { Replicator } from "../../src/replicate/replicator.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import type { S3Store } from "../../src/storage/s3/s3_store.ts";

/** Make a database with a table; `timeout` is for locks of other processes, not of what runs in this one. */
export function makeDatabase(path: string, { timeout = 0 }: { timeout?: number } = {}): DatabaseSync {
  const database = new DatabaseSync(path, { timeout });
  database.exec(
    "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (id INTEGER PRIMARY KEY, body)",
  );
  return database;
}

/** Commit some rows of growing sizes. */
export function write(database: DatabaseSync, count: number): void {
  for (let number = 0; number < count; number++) {
    database.exec(`INSERT INTO t (body) VALUES (hex(randomblob(${200 + number * 7})))`);
  }
}

/** The rows of a restored database, which has to be sound. */
export function contentOf(path: string): string {
  using database = new DatabaseSync(path);
  assert.equal(database.prepare("PRAGMA integrity_check").get()!["integrity_check"], "ok");
  return JSON.stringify(database.prepare("SELECT id, body FROM t ORDER BY id").all());
}

/** The rows of a database that is open. */
export function rowsOf(database: DatabaseSync): string {
  return JSON.stringify(database.prepare("SELECT id, body FROM t ORDER BY id").all());
}

/** Replicate a database in this process while `act` writes to it, and finish. */
export async function replicated(
  { path, store }: { path: string; store: S3Store },
  act: (database: DatabaseSync, replicator: Replicator) => Promise<void>,
): Promise<string> {
  const application = makeDatabase(path);
  write(application, 3);
  const database = new LiveDatabase({ path });
  const replicator = new Replicator({
    database,
    replicas: [{
      client: new ReplicaClient(store),
      syncIntervalMs: 20,
      backoff: { firstMs: 20, longestMs: 100 },
    }],
  });
  await replicator.start();
  await act(application, replicator);
  await replicator.finish({ signal: AbortSignal.timeout(30_000) });
  const rows = rowsOf(application);
  application.close();
  return rows;
}
