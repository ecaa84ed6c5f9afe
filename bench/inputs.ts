/** Large inputs, made once and kept in `.cache/bench/` for later runs; delete that folder to have them made anew. */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { FileStore } from "../src/storage/file_store.ts";
import { makeListing } from "./listing.ts";
import { root } from "./process.ts";
import { makeSegments, type SegmentsOptions } from "./segments.ts";
import { makeTextDatabase } from "./text_database.ts";

const folder = `${root}.cache/bench/inputs`;

/** The path of an input; `make` writes it when it isn't there yet. */
async function kept(name: string, make: (path: string) => void | Promise<void>): Promise<string> {
  const path = `${folder}/${name}`;
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const partial = `${path}.part`;
  rmSync(partial, { recursive: true, force: true });
  await make(partial);
  renameSync(partial, path);
  return path;
}

/** A database of rows of text in WAL mode. */
export function textDatabase(bytes: number): Promise<string> {
  return kept(`text-${bytes}.db`, (path) => void makeTextDatabase(path, { bytes, journalMode: "wal" }));
}

/** A database of random bytes, which no compression makes smaller. */
export function randomDatabase(bytes: number): Promise<string> {
  return kept(`random-${bytes}.db`, (path) => {
    using database = new DatabaseSync(path);
    database.exec("PRAGMA journal_mode = wal; PRAGMA synchronous = off; CREATE TABLE t (x BLOB)");
    const insert = database.prepare("INSERT INTO t VALUES (randomblob(1000000))");
    for (let at = 0; at < bytes; at += 1e6) insert.run();
  });
}

/** The folder of a replica with many segments. */
export function segmentsReplica(options: SegmentsOptions): Promise<string> {
  return kept(`segments-${options.segmentCount}-${options.indexCount}`, async (path) => {
    mkdirSync(path);
    const database = `${path}.db`;
    try {
      await using store = new FileStore({ root: path });
      await makeSegments(database, store, options);
    } finally {
      for (const ending of ["", "-wal", "-shm"]) rmSync(database + ending, { force: true });
      rmSync(`${folder}/.${database.split("/").at(-1)}-litestream`, { recursive: true, force: true });
    }
  });
}

/** The folder of a replica to list. */
export function listingReplica(size: { generationCount: number; segmentCount: number }): Promise<string> {
  return kept(`listing-${size.generationCount}-${size.segmentCount}`, (path) => makeListing(path, size));
}
