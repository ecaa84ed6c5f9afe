/** A database that is not there: gone, or one that its application has yet to make. */
import type { LiveFiles } from "./live_files.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { openLiveFiles, WaitError } from "./open.ts";
import type { Files } from "../runtime/files.ts";

/** The database was replicated before and is not there any more, which is not to pass for a quiet beginning. */
export class GoneError extends WaitError {}

/**
 * Open the files of a database where it can be taken up.
 *
 * @param options.hasBeenFollowed whether this process has followed it; whether another one has, the meta directory tells
 * @throws {GoneError} when it is gone
 * @throws {WaitError} when it was never there, or is still being made
 */
export function openExpected(
  path: string,
  { files, meta, hasBeenFollowed }: { files: Files; meta: MetaDirectory; hasBeenFollowed: boolean },
): LiveFiles {
  try {
    return openLiveFiles(path, files);
  } catch (error) {
    const isAbsent = error instanceof WaitError && error.isNew;
    if (!isAbsent || !(hasBeenFollowed || meta.hasBeenUsed)) throw error;
    const what = files.statSync(path) === undefined ? "does not exist any more" : "is empty now";
    throw new GoneError(
      `the database ${what}, and was replicated before: waiting until it is restored or made anew`,
    );
  }
}
