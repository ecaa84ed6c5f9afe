/** Secrets that stand in files of their own, and files that show secrets to everybody. */
import { concatBytes } from "../bytes.ts";
import { describeError, UsageError } from "../errors.ts";
import { type Files, systemCode } from "../runtime/files.ts";
import { readPipeSync } from "../runtime/pipe.ts";

/** Far more than a key or a list of keys needs. */
const MAX_SECRET_SIZE = 64 * 1024;

/**
 * The bytes of a file.
 *
 * @param path absolute
 * @throws {UsageError} in one line, with the path
 */
export function readTextFile(files: Files, path: string, { limit }: { limit: number }): Uint8Array {
  try {
    const stat = files.statSync(path);
    if (stat?.isFolder) throw new UsageError(`read ${path}: is a directory`);
    if (stat !== undefined && !stat.isFile) return readPipeSync(path, { limit });
    using file = files.openSync(path, { access: "read" });
    const chunks: Uint8Array[] = [];
    for (let size = 0; size <= limit;) {
      const chunk = new Uint8Array(64 * 1024);
      const length = file.readSync(chunk, size);
      if (length === 0) return concatBytes(chunks);
      chunks.push(chunk.subarray(0, length));
      size += length;
    }
    throw new UsageError(`read ${path}: longer than ${limit} bytes`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (systemCode(error) === "ENOENT") throw new UsageError(`open ${path}: no such file or directory`);
    if (systemCode(error) === "EACCES") throw new UsageError(`open ${path}: permission denied`);
    throw new UsageError(`cannot read ${path}: ${describeError(error)}`);
  }
}

/**
 * The secret in a file, without the blanks and line ends around it.
 *
 * @throws {UsageError} when it can't be read or is empty
 */
export function readSecretFile(files: Files, path: string): string {
  const text = new TextDecoder().decode(readTextFile(files, path, { limit: MAX_SECRET_SIZE })).trim();
  if (text === "") throw new UsageError(`${path} is empty`);
  return text;
}

/**
 * What to say of a file with secrets that others than its owner may read; `undefined` when all is well.
 *
 * @param path absolute; a file that isn't there is all well
 */
export function permissionProblem(files: Files, path: string): string | undefined {
  const mode = files.statSync(path)?.mode ?? 0;
  if ((mode & 0o077) === 0) return undefined;
  const octal = mode.toString(8).padStart(4, "0");
  return `others than its owner may open ${path} (mode ${octal}), which holds secrets: chmod 600 ${path}`;
}
