/**
 * What a database's files were when they were last seen together, in the meta directory: while walbrook is down another
 * database may take the place of the main file, beside the `-wal` that our reader has kept. SQLite takes that for the
 * WAL of the other one, and nothing in the two files tells.
 *
 * One JSON file, `walbrook-last-seen.json`. A broken one says nothing, and an old one no more than it did.
 */
import type { LiveFiles } from "./live_files.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { fromFields, isSettled, type SeenFile, toFields } from "./seen_file.ts";
import { toHex } from "../bytes.ts";

const NAME = "walbrook-last-seen.json";

/** A larger file is none of ours. */
const SIZE_LIMIT = 4096;

/** The main file and the WAL that belongs to it. */
export interface LastSeen {
  readonly main: SeenFile;
  readonly wal: SeenFile;
  /** The WAL's, in hex; empty where it may have been written to again within the file system's own tick. */
  readonly header: string;
  /** Of the `-shm`. */
  readonly indexInode: number;
  /** Whether all of the WAL was in the main file by then. */
  readonly isAtRest: boolean;
}

/** What is seen of open files; `undefined` while the WAL has no header, and belongs to nothing. */
export function lookAtBoth(live: LiveFiles, { isAtRest }: { isAtRest: boolean }): LastSeen | undefined {
  const header = live.walHeader();
  if (header === undefined) return undefined;
  const [main, wal, indexInode] = [live.mainStat(), live.walStat(), live.indexInode];
  return { main, wal, header: isSettled(wal) ? toHex(header) : "", indexInode, isAtRest };
}

/**
 * Write it down, or that nothing is known: what was there may be of another database. Where that fails no more is known
 * than by the time before.
 */
export function writeLastSeen(meta: MetaDirectory, seen: LastSeen | undefined): void {
  try {
    if (seen === undefined) return meta.remove(NAME);
    const { main, wal, ...rest } = seen;
    meta.writeText(NAME, `${JSON.stringify({ main: toFields(main), wal: toFields(wal), ...rest })}\n`);
  } catch {
    // On a full disk, say. What else goes wrong there is told by what has to be written.
  }
}

/** What was written down last; `undefined` when there is nothing that can be used. */
export function readLastSeen(meta: MetaDirectory): LastSeen | undefined {
  return parse(meta.readJson(NAME, { limit: SIZE_LIMIT }));
}

function parse(value: unknown): LastSeen | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { header, indexInode, isAtRest, ...files } = value as Record<string, unknown>;
  const [main, wal] = [fromFields(files["main"]), fromFields(files["wal"])];
  if (main === undefined || wal === undefined) return undefined;
  if (typeof header !== "string" || typeof indexInode !== "number" || typeof isAtRest !== "boolean") {
    return undefined;
  }
  return { main, wal, header, indexInode, isAtRest };
}
