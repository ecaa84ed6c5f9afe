/** Names of files and folders. */
import { tmpdir } from "node:os";
export { basename, dirname as parentFolder, isAbsolute, join, resolve } from "node:path";

/** The system's folder for temporary files. */
export function temporaryFolderPath(): string {
  return tmpdir();
}
