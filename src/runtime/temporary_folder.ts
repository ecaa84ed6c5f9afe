/** Folders for what is needed only while a command runs. */
import type { Files } from "./files.ts";
import { join, temporaryFolderPath } from "./paths.ts";

/** A folder that is removed with all that is in it when it is disposed of. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

/** Make a folder that nobody else may look into, below `parent` (default: the system's folder for such things). */
export async function makeTemporaryFolder(
  files: Files,
  { purpose, parent = temporaryFolderPath() }: { purpose: string; parent?: string | undefined },
): Promise<TemporaryFolder> {
  const path = join(parent, `walbrook-${purpose}-${crypto.randomUUID()}`);
  await files.makeFolder(path, { mode: 0o700 });
  return { path, [Symbol.asyncDispose]: () => files.removeTree(path) };
}
