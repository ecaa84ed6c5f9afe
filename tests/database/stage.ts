/** What every test of a live database needs: a folder, a database, a follower whose records are kept. */
import { setTimeout as wait } from "node:timers/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import assert from "node:assert/strict";
import { keepSnapshot, type KeptSnapshot, rebuild, type Rebuilt } from "./rebuild.ts";
import { Neighbour } from "./neighbour.ts";
import { LiveDatabase } from "../../src/database/database.ts";
import type { DatabaseOptions } from "../../src/database/database_options.ts";
import type { LogFields, Logger, LogLevel } from "../../src/logger.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** A record that was logged. */
export interface LogRecord {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** A logger that keeps its records. */
export function recordLogs(): { logger: Logger; records: LogRecord[] } {
  const records: LogRecord[] = [];
  const make = (bound: LogFields): Logger => {
    const at = (level: LogLevel) => (message: string, fields: LogFields = {}) => {
      records.push({ level, message, fields: { ...bound, ...fields } });
    };
    return {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      with: (fields) => make({ ...bound, ...fields }),
    };
  };
  return { logger: make({}), records };
}

/** Wait until `condition` holds; fails with `what` after `limitMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { what, limitMs = 10_000 }: { what: string; limitMs?: number },
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await wait(5);
  }
}

/** One database in a folder of its own. Disposing closes what was opened through it. */
export class Stage implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly #opened: AsyncDisposable[] = [];
  readonly path: string;
  readonly records: LogRecord[];
  readonly #logger: Logger;
  #application: DatabaseSync | undefined;

  constructor(name = "app.db") {
    this.path = join(this.#folder.path, name);
    const { logger, records } = recordLogs();
    this.#logger = logger;
    this.records = records;
  }

  get folder(): string {
    return this.#folder.path;
  }

  /** The application, in this process: a connection that never checkpoints by itself. */
  get application(): DatabaseSync {
    if (this.#application === undefined) {
      this.#application = new DatabaseSync(this.path, { timeout: 5000 });
      this.#application.exec("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0");
      this.#application.exec("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x)");
    }
    return this.#application;
  }

  /** Insert one row of about `size` bytes. */
  insert(size = 100): void {
    this.application.exec(`INSERT INTO t (x) VALUES (randomblob(${size}))`);
  }

  closeApplication(): void {
    this.#application?.close();
    this.#application = undefined;
  }

  /** A follower that isn't started. */
  database(options: Partial<DatabaseOptions> = {}): LiveDatabase {
    const database = new LiveDatabase({
      path: this.path,
      logger: this.#logger,
      monitorIntervalMs: 100,
      ...options,
    });
    this.#opened.push(database);
    return database;
  }

  /** A follower that is live. */
  async follow(options: Partial<DatabaseOptions> = {}): Promise<LiveDatabase> {
    const database = this.database(options);
    await database.start();
    assert.equal(database.state.kind, "live", JSON.stringify(database.state));
    return database;
  }

  /** Another process on this database. */
  neighbour(): Neighbour {
    const neighbour = new Neighbour(this.path);
    this.#opened.push(neighbour);
    return neighbour;
  }

  /** Messages of records of a level. */
  logged(level: LogLevel): string[] {
    return this.records.filter((record) => record.level === level)
      .map(({ message, fields }) => `${message}: ${fields["reason"] ?? fields["error"] ?? ""}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opened of this.#opened.reverse()) await opened[Symbol.asyncDispose]();
    this.closeApplication();
    this.#folder[Symbol.dispose]();
  }
}

/**
 * Assert that snapshot and shadow WAL make the database that is there, byte for byte. No writer may be at work.
 *
 * @param neighbour backfills all of the WAL and hashes the file, in its own process
 */
export async function assertNothingLost(
  database: LiveDatabase,
  { snapshot, neighbour }: { snapshot: KeptSnapshot; neighbour: Neighbour },
): Promise<Rebuilt> {
  await database.settle();
  await until(async () => {
    const { isBusy, frameCount, backfilledCount } = await neighbour.checkpoint("PASSIVE", "judge");
    return !isBusy && frameCount === backfilledCount;
  }, { what: "all is backfilled" });
  await database.settle();
  const rebuilt = rebuild(database, snapshot);
  const live = await neighbour.hash();
  assert.equal(rebuilt.bytes.length, live.size);
  assert.equal(rebuilt.sha256, live.sha256, "the rebuilt database differs from the live one");
  return rebuilt;
}

export { keepSnapshot };
