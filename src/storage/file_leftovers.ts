import type { Files } from "../runtime/files.ts";
import { explained } from "./file_errors.ts";

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

/** The temporary files in a folder, which may be missing; `undefined` when it holds anything else. */
async function leftoversIn(files: Files, path: string): Promise<string[] | undefined> {
  const entries = await explained({ verb: "list", path }, () => files.list(path)) ?? [];
  if (entries.some((entry) => entry.isFolder || !entry.name.endsWith(".tmp"))) return undefined;
  return entries.map((entry) => `${path}/${entry.name}`);
}
