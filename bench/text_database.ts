/** A database of text that looks like an application's: the same bytes for the same seed, whatever the size. */
import { DatabaseSync } from "node:sqlite";
import { rmSync } from "node:fs";

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

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

const SYLLABLES =
  "a al an ar be ca ci co con da de di e en er es fa fi ga ge ha he i in ing ion ka la le li ly ma me mi na ne ni no o on or pa pe po ra re ri ro sa se si so sta ta te ter ti to tra u un ur va ve vi wa we"
    .split(" ");

/** Rows of words, names, addresses and times; words are chosen as in text, few often and most seldom. */
export class TextRows {
  readonly #random: () => number;
  readonly #words: string[] = [];
  #secondsSince2020 = 0;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    for (let count = 0; count < 8000; count++) {
      let word = "";
      const syllableCount = 1 + this.#below(4);
      for (let part = 0; part < syllableCount; part++) word += SYLLABLES[this.#below(SYLLABLES.length)];
      this.#words.push(word);
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #word(): string {
    return this.#words[Math.floor(this.#words.length * this.#random() ** 3)] ?? "";
  }

  #text(wordCount: number): string {
    let text = this.#word();
    for (let count = 1; count < wordCount; count++) {
      text += (this.#random() < 0.08 ? ", " : " ") + this.#word();
    }
    return text;
  }

  /** One row: when, by whom, state, title, body. */
  next(): [string, string, string, string, string] {
    this.#secondsSince2020 += this.#below(90);
    const at = new Date(Date.UTC(2020, 0) + this.#secondsSince2020 * 1000).toISOString();
    const author = `${this.#word()}.${this.#word()}${this.#below(1000)}@example.com`;
    const state = ["open", "closed", "waiting", "archived"][this.#below(4)] ?? "open";
    return [at, author, state, this.#text(4 + this.#below(5)), this.#text(20 + this.#below(120))];
  }
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
