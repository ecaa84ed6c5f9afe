/**
 * Looking at many files of one folder. By its whole path the kernel walks to each from the root again, which is a third
 * of the price; so the folder is entered where that goes.
 */
import * as fs from "node:fs";
import process from "node:process";
import { bunLookIn } from "./bun_stat.ts";
import { deno } from "./deno_stat.ts";
import type { FileLook } from "./files.ts";
import { systemCode } from "./system_code.ts";

/** Below this many the start of another way costs more than it spares. */
const MANY_COUNT = 500;

/** What to look at. */
export interface LooksOptions {
  /** In the folder itself. */
  readonly names: readonly string[];
  /** Called with the place of a name for each that is there. */
  readonly visit: (at: number, look: FileLook) => void;
}

/**
 * Look at files of `folder`, one after the other. Nothing else runs meanwhile; in between another folder may be the
 * process's working folder, and stays it where somebody renames the one from before: not for a process that has more to
 * do than to list.
 *
 * @throws {Error} the system's, with its code, for another reason than that a file is gone
 */
export function visitFilesSync(folder: string, { names, visit }: LooksOptions): void {
  using way = names.length < MANY_COUNT ? undefined : openFolder(folder) ?? enterFolder(folder);
  for (let at = 0; at < names.length; at++) {
    const name = names[at]!;
    const look = way?.look(name) ?? lookAt(`${folder}/${name}`);
    if (look !== undefined) visit(at, look);
  }
}

/** A way to look that is cheaper than by the whole path, but may fail; the whole path then tells why. */
interface Way extends Disposable {
  look(name: string): FileLook | undefined;
}

function openFolder(folder: string): Way | undefined {
  const lookIn = bunLookIn();
  const descriptor = lookIn && orUndefined(() => fs.openSync(folder, "r"));
  if (lookIn === undefined || descriptor === undefined) return undefined;
  return {
    look: (name) => lookIn(descriptor, name),
    [Symbol.dispose]: () => fs.closeSync(descriptor),
  };
}

function enterFolder(folder: string): Way | undefined {
  const isEntered = (path: string) => orUndefined(() => (process.chdir(path), true)) === true;
  const before = orUndefined(() => process.cwd());
  // Once to where we are: there may be no way back.
  if (before === undefined || !isEntered(before) || !isEntered(folder)) return undefined;
  return {
    look: (name) => orUndefined(() => lookAt(name)),
    [Symbol.dispose]: () => void isEntered(before),
  };
}

function orUndefined<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    // Each of these is only the first of several ways.
    return undefined;
  }
}

function lookAt(path: string): FileLook | undefined {
  try {
    if (deno !== undefined) {
      const { size, mtime, isFile } = deno.statSync(path);
      return { size, modifiedMs: mtime?.getTime() ?? 0, isFile };
    }
    const stat = fs.statSync(path);
    return { size: stat.size, modifiedMs: Math.trunc(stat.mtimeMs), isFile: stat.isFile() };
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
