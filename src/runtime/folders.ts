/** Folders: whether we may write there, the nearest one, and making all that are missing. */
import { closeSync, existsSync, mkdtempSync, openSync, rmdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Files, notAFolder, type Owner } from "./files.ts";

/**
 * Whether we may write to what is at `path`; for a folder: make and remove files in it. Found out by trying, since Deno's
 * `access` compares owner and mode alone and refuses root. Never for a file that this process has locked: it is closed.
 */
export function isWritable(path: string): boolean {
  try {
    if (statSync(path).isDirectory()) rmdirSync(mkdtempSync(join(path, ".walbrook-")));
    else closeSync(openSync(path, "r+"));
    return true;
  } catch {
    return false;
  }
}

/** The nearest folder above `path` that exists. */
export function nearestFolder(path: string): string {
  const parent = dirname(path);
  return parent === path || existsSync(parent) ? parent : nearestFolder(parent);
}

/**
 * Make `path` and every missing folder above it, each with `mode` and, where given, `owner`.
 *
 * @returns the folders that were made, outermost first; durable once the folder above each is synced
 * @throws {Error} `mkdir <path>: not a directory` when a part of the path is a file
 */
export async function makeFolders(
  files: Files,
  path: string,
  options: { mode: number; owner?: Owner | undefined },
): Promise<string[]> {
  const stat = await files.stat(path);
  if (stat?.isFolder) return [];
  if (stat !== undefined) throw notAFolder(path);
  const parent = dirname(path);
  const made = parent === path ? [] : await makeFolders(files, parent, options);
  await files.makeFolder(path, { mode: options.mode });
  if (options.owner !== undefined) await files.changeOwner(path, options.owner);
  return [...made, path];
}
