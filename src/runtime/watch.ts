/**
 * Notice of changes to a file, from the system. A slow poll has to stand behind it: notices can be lost.
 *
 * Never watch a database's main file or `-shm`: Deno opens and closes each watched file at each event, from a thread
 * of its own, and closing any descriptor of them drops all of SQLite's locks in this process. A `-wal` has no locks.
 */
import * as fs from "node:fs";
import process from "node:process";

const IS_LINUX = process.platform === "linux";

/** Stops the notices when disposed of. Safe to dispose of twice. */
export interface Watch extends Disposable {
  /**
   * Whether the system tells of every write, by whatever process of this machine, as soon as it is done: Linux does.
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
    watcher?.close();
    watcher = undefined;
  };
  try {
    watcher = fs.watch(path, { persistent: false }, notice);
  } catch {
    return undefined;
  }
  watcher.on("error", close);
  return {
    get isSure() {
      return IS_LINUX && watcher !== undefined;
    },
    [Symbol.dispose]: close,
  };
}
