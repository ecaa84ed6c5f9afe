/**
 * The file system for a command that lists and ends. It blocks at each call, which costs a third of waiting for a
 * thread; never for a program that has something else to do, since a network disk can block for long.
 */
import * as fs from "node:fs";
import { deno, type DenoFiles } from "./deno_stat.ts";
import { type Files, type FolderEntry, type ListedFile, systemFiles } from "./files.ts";
import { systemCode } from "./system_code.ts";

const statSync = (path: string): ListedFile | undefined =>
  unlessMissing(() => {
    if (deno !== undefined) {
      const { size, mtime, isFile } = deno.statSync(path);
      return { size, modifiedAt: mtime ?? new Date(0), isFile };
    }
    const stat = fs.statSync(path);
    return { size: stat.size, modifiedAt: stat.mtime, isFile: stat.isFile() };
  });

/** As `systemFiles`, but that looking at paths and folders blocks. */
export const blockingFiles: Files = {
  ...systemFiles,
  stat: (path) => settled(() => systemFiles.statSync(path)),
  statAll: (folder, names) => settled(() => names.map((name) => statSync(`${folder}/${name}`))),
  list: (path) => settled(() => deno === undefined ? systemFiles.listSync(path) : denoList(deno, path)),
};

function settled<T>(act: () => T): Promise<T> {
  try {
    return Promise.resolve(act());
  } catch (error) {
    return Promise.reject(error);
  }
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
