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
  const wanted = new Set(paths.flatMap((path) => [path, deleted(path)]));
  const holders = new Set<number>();
  for (const { process, name } of openFiles()) if (wanted.has(name)) holders.add(process);
  return [...holders];
}

/** What a look at all processes found: the descriptors of files that have lost their name. */
interface Look {
  readonly descriptors: ReadonlyMap<string, readonly string[]>;
  /** When it began, milliseconds since 1970. */
  readonly at: number;
  /** Until when it is believed, as `performance.now()` counts: on a large machine a look takes long. */
  readonly untilMs: number;
}

let lastLook: Look | undefined;

/** So many times as long as a look took it is believed. */
const LOOK_FACTOR = 50;

/** A folder may have changed so much later than its time says: that is of the kernel's last tick, or a whole second. */
const LATER_MS = 1020;

/**
 * Whether any process, as far as this system lets us see, has a file of this device open that had one of these names and
 * has none any more: it was deleted, or another one took its place.
 *
 * @param options.changedMs when the folder of these files last changed, milliseconds since 1970: a look that began later
 *   will do, which many databases at one start then share. Default: only for that they are held
 */
export function isHeldDeleted(
  paths: readonly string[],
  { device, changedMs = Infinity }: { device: number; changedMs?: number | undefined },
): boolean {
  // In another container another file may have had that name.
  const isIn = ({ descriptors }: Look) =>
    paths.some((path) => descriptors.get(deleted(path))?.some((fd) => deviceOf(fd) === device) ?? false);
  const recent = lastLook !== undefined && performance.now() < lastLook.untilMs ? lastLook : undefined;
  if (recent !== undefined && (recent.at > changedMs + LATER_MS || isIn(recent))) return isIn(recent);
  lastLook = lookAtAll();
  return isIn(lastLook);
}

function lookAtAll(): Look {
  const [at, startMs] = [Date.now(), performance.now()];
  const descriptors = new Map<string, string[]>();
  for (const { fd, name } of openFiles()) {
    if (!name.startsWith("/") || !name.endsWith(deleted(""))) continue;
    const others = descriptors.get(name);
    if (others === undefined) descriptors.set(name, [fd]);
    else others.push(fd);
  }
  const endMs = performance.now();
  return { descriptors, at, untilMs: endMs + LOOK_FACTOR * (endMs - startMs) };
}

function deleted(path: string): string {
  return `${path} (deleted)`;
}

/** Each descriptor of each process, as a path, with the name that its file has or had. */
function* openFiles(): Generator<{ readonly process: number; readonly fd: string; readonly name: string }> {
  for (const process of readFolder("/proc")) {
    if (!/^\d+$/.test(process)) continue;
    for (const number of readFolder(`/proc/${process}/fd`)) {
      const fd = `/proc/${process}/fd/${number}`;
      yield { process: Number(process), fd, name: readLink(fd) };
    }
  }
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
