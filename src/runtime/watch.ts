/**
 * Notice of changes to a file, from the system. A slow poll has to stand behind it: notices can be lost.
 *
 * Never watch a database's main file or `-shm`: Deno opens and closes each watched file at each event, from a thread
 * of its own, and closing any descriptor of them drops all of SQLite's locks in this process. A `-wal` has no locks.
 */
import * as fs from "node:fs";
import process from "node:process";

const IS_LINUX = process.platform === "linux";

/**
 * Watches that may be open at once for all of them to be sure. Deno's queue of notices overflows when some three hundred
 * files change at once, and says nothing: of 300 watches 92 lost theirs, of 200 none.
 */
const SURE_COUNT = "Deno" in globalThis ? 100 : Infinity;

let openCount = 0;

/** Stops the notices when disposed of. Safe to dispose of twice. */
export interface Watch extends Disposable {
  /**
   * Whether every write is told of, by whatever process of this machine, as soon as it is done: on Linux it is.
   * Windows may tell of a file that stays open only when its pages go to the disk.
   */
  readonly isSure: boolean;
}

/**
 * Call `notice` when the file at `path` is written, truncated, renamed or deleted; maybe many times for one.
 *
 * A watch belongs to the inode: after the file was replaced it is dead and has to be made again.
 *
 * @returns `undefined` when the file isn't there or the system gives no watch
 */
export function watchFile(path: string, notice: () => void): Watch | undefined {
  // Deno gives a dead watch for a missing file, and says so only later.
  if (!fs.existsSync(path)) return undefined;
  let watcher: fs.FSWatcher | undefined;
  const close = () => {
    if (watcher === undefined) return;
    openCount--;
    watcher.close();
    watcher = undefined;
  };
  try {
    watcher = fs.watch(path, { persistent: false }, notice);
  } catch {
    return undefined;
  }
  openCount++;
  watcher.on("error", close);
  return {
    get isSure() {
      return IS_LINUX && watcher !== undefined && openCount <= SURE_COUNT;
    },
    [Symbol.dispose]: close,
  };
}
