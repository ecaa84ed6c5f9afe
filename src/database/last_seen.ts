/**
 * What a database's files were when they were last seen together, in the meta directory: while walbrook is down another
 * database may take the place of the main file, beside the `-wal` that our reader has kept. SQLite takes that for the
 * WAL of the other one, and nothing in the two files tells.
 *
 * One JSON file, `walbrook-last-seen.json`. A broken one says nothing, and an old one no more than it did.
 */
import type { LiveFiles } from "./live_files.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { toHex } from "../bytes.ts";
import type { FileStat } from "../runtime/files.ts";

const NAME = "walbrook-last-seen.json";

/** A larger file is none of ours. */
const SIZE_LIMIT = 4096;

/** Runtimes round a file's time up or down. */
const ROUNDING_MS = 1;

/** A file's time is that of the kernel's last tick, or of a file system's that has whole seconds, or two of them. */
const TICK_MS = 50;
const SECONDS_TICK_MS = 2050;

/** One file. */
export type SeenFile = Pick<FileStat, "inode" | "size" | "modifiedAt">;

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

/** Whether whatever is written to a file from now on gives it another time. */
function isSettled({ modifiedAt }: SeenFile): boolean {
  const ms = modifiedAt.getTime();
  return Date.now() - ms > (ms % 1000 === 0 ? SECONDS_TICK_MS : TICK_MS);
}

/** Whether nobody has written to a file in between, under whatever inode it is now. */
export function isUnwritten(before: SeenFile, now: SeenFile): boolean {
  const apartMs = Math.abs(before.modifiedAt.getTime() - now.modifiedAt.getTime());
  return before.size === now.size && apartMs <= ROUNDING_MS;
}

/** Write it down; without that no more is known than by the time before. */
export function writeLastSeen(meta: MetaDirectory, { main, wal, ...rest }: LastSeen): void {
  const text = JSON.stringify({ main: fieldsOf(main), wal: fieldsOf(wal), ...rest });
  try {
    meta.writeText(NAME, `${text}\n`);
  } catch {
    // On a full disk, say. What else goes wrong there is told by what has to be written.
  }
}

/** What was written down last; `undefined` when there is nothing that can be used. */
export function readLastSeen(meta: MetaDirectory): LastSeen | undefined {
  try {
    const text = meta.readText(NAME, { limit: SIZE_LIMIT });
    return text === undefined ? undefined : parse(JSON.parse(text));
  } catch {
    return undefined; // Half a file, after a power cut, or none that can be read.
  }
}

/** Sizes are bytes, times milliseconds since 1970. */
function fieldsOf({ inode, size, modifiedAt }: SeenFile): Record<string, number> {
  return { inode, size, modifiedMs: modifiedAt.getTime() };
}

function parse(value: unknown): LastSeen | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { header, indexInode, isAtRest, ...files } = value as Record<string, unknown>;
  const [main, wal] = [parseFile(files["main"]), parseFile(files["wal"])];
  if (main === undefined || wal === undefined) return undefined;
  if (typeof header !== "string" || typeof indexInode !== "number" || typeof isAtRest !== "boolean") {
    return undefined;
  }
  return { main, wal, header, indexInode, isAtRest };
}

function parseFile(value: unknown): SeenFile | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { inode, size, modifiedMs } = value as Record<string, unknown>;
  if (typeof inode !== "number" || typeof size !== "number" || typeof modifiedMs !== "number") {
    return undefined;
  }
  return { inode, size, modifiedAt: new Date(modifiedMs) };
}
