/** A database of text that looks like an application's, the same rows for the same seed. */
import { DatabaseSync } from "node:sqlite";
import { rmSync } from "node:fs";
import { TextRows } from "./text_rows.ts";

/** What the generated database looks like. */
export interface TextDatabaseOptions {
  /** The file is at least this large, by less than 1 MiB more. */
  readonly bytes: number;
  /** Default 1. */
  readonly seed?: number;
  /** Default 4096. */
  readonly pageSize?: number;
  /** Default "delete": one file, nothing beside it. */
  readonly journalMode?: "delete" | "wal";
}

/** Write a fresh text database to `path`; what was there is deleted. Returns how many rows it has. */
export function makeTextDatabase(path: string, options: TextDatabaseOptions): number {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(path + suffix, { force: true });
  using database = new DatabaseSync(path);
  const pageSize = options.pageSize ?? 4096;
  database.exec(`PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = ${options.journalMode ?? "delete"}`);
  database.exec("PRAGMA synchronous = off");
  database.exec(
    "CREATE TABLE ticket (id INTEGER PRIMARY KEY, created_at TEXT, author TEXT, state TEXT, title TEXT, body TEXT)",
  );
  const insert = database.prepare(
    "INSERT INTO ticket (created_at, author, state, title, body) VALUES (?, ?, ?, ?, ?)",
  );
  const pageCount = database.prepare("SELECT page_count AS count FROM pragma_page_count()");
  const rows = new TextRows(options.seed ?? 1);
  let rowCount = 0;
  while (Number(pageCount.get()?.["count"]) * pageSize < options.bytes) {
    database.exec("BEGIN");
    for (let count = 0; count < 500; count++) insert.run(...rows.next());
    database.exec("COMMIT");
    rowCount += 500;
  }
  return rowCount;
}
