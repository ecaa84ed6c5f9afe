/** Which processes have a file open, and what a name leads to. */
import * as fs from "node:fs";
import { basename, join, parentFolder, resolve } from "./paths.ts";

/** So many symbolic links are followed one after the other, as Linux does. */
const MAX_LINKS = 40;

/**
 * The processes, this one included, that have any of `paths` open, as far as this system lets us see: Linux, and there
 * our own processes or all of them for root. Elsewhere nobody.
 *
 * @param paths absolute, without symbolic links
 */
export function processesHolding(paths: readonly string[]): number[] {
  return holdersOf(new Set(paths.flatMap((path) => [path, deleted(path)])));
}

/** Until when `isHeldDeleted` believes that they are held: a look at all processes of a large machine takes long. */
const heldUntilMs = new Map<string, number>();

/** So many times as long as a look took it isn't repeated. */
const LOOK_FACTOR = 50;

/**
 * Whether any process, as far as this system lets us see, has a file of this device open that had one of these names and
 * has none any more: it was deleted, or another one took its place.
 */
export function isHeldDeleted(paths: readonly string[], { device }: { device: number }): boolean {
  const wanted = new Set(paths.map(deleted));
  const key = [...wanted].join("\n");
  const startMs = performance.now();
  if (startMs < (heldUntilMs.get(key) ?? 0)) return true;
  // In another container another file may have had that name.
  const isHeld = holdersOf(wanted, (path) => deviceOf(path) === device).length > 0;
  const endMs = performance.now();
  if (isHeld) heldUntilMs.set(key, endMs + LOOK_FACTOR * (endMs - startMs));
  else heldUntilMs.delete(key);
  return isHeld;
}

function deleted(path: string): string {
  return `${path} (deleted)`;
}

function holdersOf(wanted: ReadonlySet<string>, isIt: (path: string) => boolean = () => true): number[] {
  const holders: number[] = [];
  for (const name of readFolder("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const paths = readFolder(`/proc/${name}/fd`).map((fd) => `/proc/${name}/fd/${fd}`);
    if (paths.some((path) => wanted.has(readLink(path)) && isIt(path))) holders.push(Number(name));
  }
  return holders;
}

function deviceOf(path: string): number | undefined {
  try {
    return fs.statSync(path).dev;
  } catch {
    return undefined; // Closed meanwhile.
  }
}

/** The path that names the same folder without symbolic links. */
export function realFolderPath(path: string): string {
  return fs.realpathSync(path);
}

/** The path that names the same file, there or not, without symbolic links in its folders. */
export function realPath(path: string): string {
  return join(realFolderPath(parentFolder(path)), basename(path));
}

/** The file that the symbolic link at `path` leads to; `undefined` when nothing or no link is there. */
export function linkedFile(path: string): string | undefined {
  const isLink = fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  return isLink ? fs.realpathSync(path) : undefined;
}

/** Where the symbolic link at `path` leads to, whether or not anything is there; `undefined` when no link is there. */
export function linkTarget(path: string): string | undefined {
  let reached = path;
  for (let count = 0; count < MAX_LINKS; count++) {
    const next = readLink(reached);
    if (next === "") break;
    // What is relative, `..` too, counts from the folder that the link is really in.
    reached = resolve(realFolderPath(parentFolder(reached)), next);
  }
  return reached === path ? undefined : reached;
}

function readFolder(path: string): string[] {
  try {
    return fs.readdirSync(path);
  } catch {
    return []; // Gone, another user's, or no /proc on this system.
  }
}

function readLink(path: string): string {
  try {
    return fs.readlinkSync(path);
  } catch {
    return ""; // Closed meanwhile; no link.
  }
}
