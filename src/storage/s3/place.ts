/** The folder of a bucket that a store is rooted at. */

/** `path` without slashes at its ends and in doubles, and without `.`; `..` is taken off lexically. */
export function cleanPrefix(path: string): string {
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") kept.pop();
    else kept.push(part);
  }
  return kept.join("/");
}
