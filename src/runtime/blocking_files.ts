/**
 * The file system for a command that lists and ends. It blocks at each call, which costs a third of waiting for a
 * thread; never for a program that has something else to do, since a network disk can block for long.
 */
import * as fs from "node:fs";
import { deno, type DenoFiles } from "./deno_stat.ts";
import { type Files, type FolderEntry, systemFiles } from "./files.ts";
import { visitFilesSync } from "./folder_looks.ts";
import { systemCode } from "./system_code.ts";

/** As `systemFiles`, but that looking at paths and folders blocks. */
export const blockingFiles: Files = {
  ...systemFiles,
  stat: (path) => settled(() => systemFiles.statSync(path)),
  visitFiles: (folder, options) => settled(() => visitFilesSync(folder, options)),
  listNames: (path) => settled(() => unlessMissing(() => namesIn(path))),
  list: (path) => settled(() => deno === undefined ? systemFiles.listSync(path) : denoList(deno, path)),
};

function settled<T>(act: () => T): Promise<T> {
  try {
    return Promise.resolve(act());
  } catch (error) {
    return Promise.reject(error);
  }
}

function namesIn(path: string): string[] {
  return deno === undefined ? fs.readdirSync(path) : Array.from(deno.readDirSync(path), ({ name }) => name);
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
