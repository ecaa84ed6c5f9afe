/** What a test file needs before it can run. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

const RELATIVE_IMPORT = /\bfrom\s+"(\.{1,2}\/[^"]+\.ts)"/g;

/** Whether a file, or one that it imports, directly or not, lies in `folder`. Both are whole paths. */
export function reaches(file: string, folder: string, seen: Set<string> = new Set()): boolean {
  if (file.startsWith(`${folder}/`)) return true;
  if (seen.has(file) || !existsSync(file)) return false;
  seen.add(file);
  return [...readFileSync(file, "utf8").matchAll(RELATIVE_IMPORT)]
    .some(([, path]) => reaches(resolve(dirname(file), path!), folder, seen));
}
