import { type Files, type FileStat } from "../runtime/files.ts";
import { parentFolder } from "../runtime/paths.ts";

/**
 * Whether a replica in the folder `root` lies on the same device as the database, and so dies with it.
 *
 * What isn't there yet counts as lying where it would be made. A bind mount or a second partition of one disk
 * can't be told apart from a device of its own.
 */
export async function sharesDevice(
  files: Files,
  { root, databasePath }: { root: string; databasePath: string },
): Promise<boolean> {
  const [replica, database] = await Promise.all([nearest(files, root), nearest(files, databasePath)]);
  return replica !== undefined && replica.device === database?.device;
}

/** What is known of `path`, or else of the first folder above it that is there. */
async function nearest(files: Files, path: string): Promise<FileStat | undefined> {
  for (let at = path;; at = parentFolder(at)) {
    const stat = await files.stat(at);
    if (stat !== undefined || parentFolder(at) === at) return stat;
  }
}
