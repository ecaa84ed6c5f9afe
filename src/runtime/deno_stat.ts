/** Looking at paths by Deno's own interface, which costs a fifth of its `node:fs`. Behind `files.ts`. */
import type { FileStat } from "./files.ts";

/** What we use of it. */
export interface DenoFiles {
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

/** `undefined` on other runtimes. */
export const deno: DenoFiles | undefined = (globalThis as { Deno?: DenoFiles }).Deno;

/** @throws {Error} the system's, with its code, also when the path is missing */
export function denoStat({ statSync }: DenoFiles, path: string): FileStat {
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
}
