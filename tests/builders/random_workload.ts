/** Random transactions of every kind that moves pages about. */
import { DatabaseSync } from "node:sqlite";
import { randomFrom } from "../../bench/random.ts";

/** How the database is made. */
export interface WorkloadOptions {
  readonly path: string;
  readonly seed: number;
  readonly pageSize: number;
  /** 0 none, 1 full, 2 incremental. Default 0. */
  readonly autoVacuum?: 0 | 1 | 2;
}

/** A database and a source of random transactions against it. */
export class RandomWorkload implements Disposable {
  readonly database: DatabaseSync;
  readonly #random: () => number;
  readonly #pageSize: number;
  #columnCount = 0;

  constructor({ path, seed, pageSize, autoVacuum = 0 }: WorkloadOptions) {
    this.#random = randomFrom(seed);
    this.#pageSize = pageSize;
    this.database = new DatabaseSync(path, { timeout: 5000 });
    this.database.exec(
      `PRAGMA page_size = ${pageSize}; PRAGMA auto_vacuum = ${autoVacuum}; PRAGMA journal_mode = wal;
       PRAGMA synchronous = off; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 20;
       CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, body BLOB);
       CREATE INDEX item_name ON item (name);`,
    );
  }

  /** From 0 up to `limit`. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** One random transaction, committed or rolled back. */
  step(): void {
    const kind = this.below(100);
    if (kind < 3) this.database.exec("VACUUM");
    else if (kind < 6 && this.#columnCount < 10) {
      this.database.exec(`ALTER TABLE item ADD COLUMN extra${this.#columnCount++} TEXT DEFAULT 'x'`);
    } else if (kind < 9) this.database.exec("PRAGMA incremental_vacuum(5)");
    else this.#transaction(kind);
  }

  #transaction(kind: number): void {
    this.database.exec("BEGIN IMMEDIATE");
    const changeCount = kind > 95 ? 200 : 1 + this.below(12);
    for (let nth = 0; nth < changeCount; nth++) this.#change();
    if (kind < 20) {
      this.database.exec("SAVEPOINT inner");
      for (let nth = 0; nth < 20; nth++) this.#change();
      this.database.exec("ROLLBACK TO inner");
    }
    this.database.exec(kind % 10 === 0 ? "ROLLBACK" : "COMMIT");
  }

  #change(): void {
    const kind = this.below(10);
    const id = this.below(400);
    if (kind < 5) {
      const large = this.below(8) === 0 ? this.#pageSize * (1 + this.below(4)) : this.below(200);
      this.database.prepare("INSERT OR REPLACE INTO item (id, name, body) VALUES (?, ?, ?)").run(
        id,
        `name ${this.below(1000)}`,
        Uint8Array.from({ length: large }, (_, at) => at * id),
      );
    } else if (kind < 8) {
      this.database.prepare("UPDATE item SET name = ? WHERE id = ?").run(`new ${this.below(1000)}`, id);
    } else this.database.prepare("DELETE FROM item WHERE id BETWEEN ? AND ?").run(id, id + this.below(10));
  }

  /** Bring all of the WAL into the main file and close. */
  finish(): void {
    this.database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    this.database.close();
  }

  [Symbol.dispose](): void {
    try {
      this.database.close();
    } catch {
      // Closed already.
    }
  }
}
