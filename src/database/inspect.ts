/** A look at a database that takes nothing over: it can be followed by another process meanwhile. */
import { openExpected } from "./absence.ts";
import { findLeftWal } from "./replacement.ts";
import { defaultMetaPath, MetaDirectory } from "./meta_directory.ts";
import { checkMetaPath, readSchema, refuseLeftWal, WaitError } from "./open.ts";
import { type Files, systemFiles } from "../runtime/files.ts";
import { isWritable, nearestFolder } from "../runtime/folders.ts";
import { join, parentFolder } from "../runtime/paths.ts";

/** How long a locked database is waited for. */
const BUSY_TIMEOUT_MS = 1000;

/** What was seen. */
export interface Inspection {
  /** In words, with what to do where something is. */
  readonly found: string;
  /** It can't be followed yet, but may be later. */
  readonly isWaitedFor: boolean;
}

/**
 * Whether the database can be followed: what it is, whether SQLite reads it, and whether we may write where we must.
 *
 * Only for a process that follows no database: it opens and closes the database file.
 *
 * @throws {Error} when it can't, with what to do
 */
export function inspectDatabase(
  path: string,
  { metaPath = defaultMetaPath(path), files = systemFiles }: {
    metaPath?: string | undefined;
    files?: Files;
  } = {},
): Inspection {
  checkMetaPath(path, metaPath);
  try {
    const facts = lookAt(path, { metaPath, files });
    requireWritable(path, { metaPath, files });
    return facts;
  } catch (error) {
    if (!(error instanceof WaitError)) throw error;
    return { found: error.message, isWaitedFor: true };
  }
}

function lookAt(path: string, { metaPath, files }: { metaPath: string; files: Files }): Inspection {
  const meta = new MetaDirectory(metaPath, files);
  let size: number;
  let pageSize: number;
  let isWal: boolean;
  {
    // Closed before SQLite opens it: a later close would drop the locks of that.
    using live = openExpected(path, { files, meta, hasBeenFollowed: false });
    // What SQLite reads would be what is to be kept from the database.
    refuseLeftWal(live, findLeftWal(live, meta));
    size = live.mainStat().size;
    pageSize = live.pageSize();
    isWal = live.isWal();
  }
  const mode = isWal ? "WAL mode" : "not in WAL mode yet, replicate sets it";
  const facts = `${size} bytes, pages of ${pageSize}, ${mode}`;
  // In WAL mode SQLite would make the -wal and -shm that nobody has open.
  if (isWal && files.statSync(`${path}-shm`) === undefined) {
    return { found: `${facts}, not in use`, isWaitedFor: false };
  }
  readSchema(path, { busyTimeoutMs: BUSY_TIMEOUT_MS });
  return { found: facts, isWaitedFor: false };
}

function requireWritable(path: string, { metaPath, files }: { metaPath: string; files: Files }): void {
  const places = [
    path,
    parentFolder(path),
    `${path}-wal`,
    `${path}-shm`,
    metaPath,
    join(metaPath, "generation"),
  ];
  for (const place of places) {
    const isThere = files.statSync(place) !== undefined;
    if (isThere ? isWritable(place) : isWritable(nearestFolder(place))) continue;
    throw new Error(
      `no right to write to ${
        isThere ? place : nearestFolder(place)
      }: give it to the user that runs walbrook`,
    );
  }
}
