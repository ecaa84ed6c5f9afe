/**
 * Notice of changes to a file, from the system. A slow poll has to stand behind it: notices can be lost.
 *
 * Never watch a database's main file or `-shm`: Deno opens and closes each watched file at each event, from a thread
 * of its own, and closing any descriptor of them drops all of SQLite's locks in this process. A `-wal` has no locks.
 */
import * as fs from "node:fs";

/** Stops the notices. Safe to dispose of twice. */
export type Watch = Disposable;

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
  return { [Symbol.dispose]: close };
}
