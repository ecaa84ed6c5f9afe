/** What became of a database's main file while nobody followed it, told by what was last seen. */
import type { LastSeen } from "./last_seen.ts";
import type { LeftWal, LiveFiles } from "./live_files.ts";
import { isUnwritten } from "./seen_file.ts";
import { equalBytes, toHex, viewOf } from "../bytes.ts";
import { frameSize, WAL_HEADER_SIZE } from "../position.ts";
import type { OpenFile } from "../runtime/files.ts";
import { chainOf, frameHeaderAt, scanFrames, type WalChain } from "../wal/frames.ts";
import { parseWalHeader } from "../wal/header.ts";

/** Bytes of the WAL that are read at once, about. */
const CHUNK_BYTES = 1 << 20;

/** What can have become of it; `same` where the files tell of nothing else. */
export type Fate = "same" | "replaced" | "overwritten" | LeftWal;

/**
 * Judge the files before SQLite opens them.
 *
 * Where the `-wal` is another file, too, the two have moved together, or there is nothing to go on with: its content
 * says so then.
 */
export function fateOf(live: LiveFiles, seen: LastSeen): Fate {
  const walStat = live.files.statSync(live.walPath);
  if (walStat === undefined || walStat.inode !== seen.wal.inode) return "same";
  const main = live.mainStat();
  if (isUnwritten(seen.main, main)) return "same";
  using wal = live.files.openSync(live.walPath, { access: "read" });
  const isLeft = isUnwritten(seen.wal, walStat) && hasHeader(wal, seen.header);
  // What was in the main file still has to be. Where it is, a checkpoint may have written it once more.
  const left = { main: seen.main, wal: walStat, header: seen.header };
  if (isLeft && seen.isAtRest) {
    return main.size === seen.main.size && holdsAll(live, wal) ? "overwritten" : left;
  }
  // A checkpoint has changed it, or a copy has: of the two, a copy alone would be seen by a drill.
  if (main.inode === seen.main.inode) return "same";
  return isLeft ? left : "replaced";
}

function hasHeader(wal: OpenFile, header: string): boolean {
  const bytes = new Uint8Array(WAL_HEADER_SIZE);
  return wal.readSync(bytes, 0) === bytes.length && toHex(bytes) === header;
}

/** Whether the main file holds the newest committed page of each number that the WAL has. */
function holdsAll(live: LiveFiles, wal: OpenFile): boolean {
  const chain = chainIn(wal);
  // SQLite takes nothing from such a WAL.
  if (chain === undefined) return true;
  const { pageSize } = chain;
  const [ours, theirs] = [new Uint8Array(pageSize), new Uint8Array(pageSize)];
  for (const [pageNumber, at] of newestPages(wal, chain)) {
    wal.readSync(ours, at);
    if (live.readMain(theirs, (pageNumber - 1) * pageSize) < pageSize || !equalBytes(ours, theirs)) {
      return false;
    }
  }
  return true;
}

function chainIn(wal: OpenFile): WalChain | undefined {
  const header = new Uint8Array(WAL_HEADER_SIZE);
  wal.readSync(header, 0);
  try {
    return chainOf(parseWalHeader(header));
  } catch {
    return undefined;
  }
}

/** Where in the WAL the newest committed content of each page starts, of those that the database has by its end. */
function newestPages(wal: OpenFile, start: WalChain): Map<number, number> {
  const size = frameSize(start.pageSize);
  const chunk = new Uint8Array(Math.max(1, Math.floor(CHUNK_BYTES / size)) * size);
  const view = viewOf(chunk);
  const [pages, open] = [new Map<number, number>(), new Map<number, number>()];
  let [chain, position, pageCount] = [start, WAL_HEADER_SIZE, 0];
  for (;;) {
    const scan = scanFrames(chunk.subarray(0, wal.readSync(chunk, position)), chain);
    for (let at = 0; at < scan.frameCount * size; at += size) {
      const frame = frameHeaderAt(view, at);
      open.set(frame.pageNumber, position + at + size - start.pageSize);
      if (frame.pageCount === 0) continue;
      pageCount = frame.pageCount;
      for (const [pageNumber, place] of open) pages.set(pageNumber, place);
      open.clear();
    }
    if (scan.frameCount * size < chunk.length) break;
    chain = { ...chain, checksum: scan.checksum };
    position += chunk.length;
  }
  for (const pageNumber of pages.keys()) if (pageNumber > pageCount) pages.delete(pageNumber);
  return pages;
}
