/**
 * The file system for a command that lists and ends. It blocks at each call, which costs a third of waiting for a
 * thread; never for a program that has something else to do, since a network disk can block for long.
 */
import { type Files, type FileStat, type FolderEntry, systemCode, systemFiles } from "./files.ts";

/** What we use of Deno's own interface: its answers take half as long as those of its `node:fs`. */
interface DenoFiles {
  statSync(path: string): {
    readonly size: number;
    readonly mtime: Date | null;
    readonly ctime: Date | null;
    readonly isFile: boolean;
    readonly isDirectory: boolean;
    readonly mode: number | null;
    readonly uid: number | null;
    readonly gid: number | null;
    readonly dev: number;
    readonly ino: number | null;
    readonly nlink: number | null;
  };
  readDirSync(path: string): Iterable<{ readonly name: string; readonly isDirectory: boolean }>;
}

const deno = (globalThis as { Deno?: DenoFiles }).Deno;

/** As `systemFiles`, but that looking at paths and folders blocks. */
export const blockingFiles: Files = {
  ...systemFiles,
  stat: (path) => settled(() => deno === undefined ? systemFiles.statSync(path) : denoStat(deno, path)),
  list: (path) => settled(() => deno === undefined ? systemFiles.listSync(path) : denoList(deno, path)),
};

function settled<T>(act: () => T): Promise<T> {
  try {
    return Promise.resolve(act());
  } catch (error) {
    return Promise.reject(error);
  }
}

function denoStat({ statSync }: DenoFiles, path: string): FileStat | undefined {
  return unlessMissing(() => {
    const stat = statSync(path);
    return {
      size: stat.size,
      modifiedAt: stat.mtime ?? new Date(0),
      changedMs: stat.ctime?.getTime() ?? Number.NaN,
      isFile: stat.isFile,
      isFolder: stat.isDirectory,
      mode: (stat.mode ?? 0) & 0o777,
      uid: stat.uid ?? 0,
      gid: stat.gid ?? 0,
      device: stat.dev,
      inode: stat.ino ?? 0,
      linkCount: stat.nlink ?? 1,
    };
  });
}

function denoList({ readDirSync }: DenoFiles, path: string): FolderEntry[] | undefined {
  return unlessMissing(() =>
    Array.from(readDirSync(path), ({ name, isDirectory }) => ({ name, isFolder: isDirectory }))
  );
}

function unlessMissing<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
