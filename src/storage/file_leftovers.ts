import type { Files } from "../runtime/files.ts";
import { explained } from "./file_errors.ts";
import { isObjectKey } from "./keys.ts";

/**
 * After the objects under `keys` were deleted: remove the folders of those generations that hold none any
 * more, with the temporary files that crashes left there.
 *
 * Only `generations/<generation>` with its `wal` and `snapshots` is touched, and only when nothing else is in it.
 *
 * @param options.isInUse whether a temporary file belongs to a put that is running
 */
export async function removeEmptiedGenerations(
  files: Files,
  { keys, pathOf, isInUse }: {
    keys: readonly string[];
    pathOf: (key: string) => string;
    isInUse: (path: string) => boolean;
  },
): Promise<void> {
  const generations = new Set<string>();
  for (const key of keys) {
    const generation = /^(generations\/[^/]+)\/(?:wal|snapshots)\//.exec(key)?.[1];
    if (generation !== undefined) generations.add(pathOf(generation));
  }
  for (const generation of generations) {
    const folders = [`${generation}/wal`, `${generation}/snapshots`];
    const leftovers = await Promise.all(folders.map((folder) => leftoversIn(files, folder)));
    if (leftovers.some((paths) => paths === undefined || paths.some(isInUse))) continue;
    for (const path of leftovers.flatMap((paths) => paths ?? [])) {
      await explained({ verb: "delete", path }, () => files.remove(path));
    }
    for (const path of [...folders, generation]) {
      await explained({ verb: "delete folder", path }, () => files.removeEmptyFolder(path));
    }
  }
}

/** Whether a key is a temporary name of an object of ours. */
export function isTemporaryKey(key: string): boolean {
  const objectKey = /^(.+?)(?:\.[1-9]\d*)?\.tmp$/.exec(key)?.[1];
  return objectKey !== undefined && isObjectKey(objectKey);
}

/**
 * Remove those temporary files that were last written to before `before`. A younger one may be another process's, which
 * sees before it publishes if its file is gone all the same.
 *
 * @param options.inUse those of the puts that are running; none begins with a file while it is looked at
 * @returns how many there were; the first failure is thrown after trying all
 */
export async function removeStale(
  files: Files,
  { paths, inUse, before, signal }: {
    paths: readonly string[];
    inUse: Set<string>;
    before: Date;
    signal: AbortSignal | undefined;
  },
): Promise<number> {
  const failures: unknown[] = [];
  let count = 0;
  for (const path of paths) {
    signal?.throwIfAborted();
    if (inUse.has(path)) continue;
    inUse.add(path);
    try {
      const stat = await explained({ verb: "read", path }, () => files.stat(path));
      if (stat?.isFile !== true || stat.modifiedAt >= before) continue;
      await explained({ verb: "delete", path }, () => files.remove(path));
      count++;
    } catch (error) {
      failures.push(error);
    } finally {
      inUse.delete(path);
    }
  }
  if (failures.length > 0) throw failures[0];
  return count;
}

/** The temporary files in a folder, which may be missing; `undefined` when it holds anything else. */
async function leftoversIn(files: Files, path: string): Promise<string[] | undefined> {
  const entries = await explained({ verb: "list", path }, () => files.list(path)) ?? [];
  if (entries.some((entry) => entry.isFolder || !entry.name.endsWith(".tmp"))) return undefined;
  return entries.map((entry) => `${path}/${entry.name}`);
}
