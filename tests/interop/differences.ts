/** The list of differences from Litestream 0.3 in docs/DIFFERENCES.md, by their ids. */
import { readFileSync } from "node:fs";

const PATH = new URL("../../docs/DIFFERENCES.md", import.meta.url);

/** Under this heading stand the differences that the same words on two command lines show. */
const SEEN_HEADING = "## On the command line";

/** Ids of the list: all of them, or only those that a command line shows. */
export function differenceIds({ isSeen = false }: { isSeen?: boolean } = {}): string[] {
  const text = readFileSync(PATH, "utf8");
  const start = isSeen ? text.indexOf(SEEN_HEADING) : 0;
  const end = isSeen ? text.indexOf("\n## ", start + 1) : text.length;
  return Array.from(text.slice(start, end).matchAll(/^- `([a-z0-9-]+)`:/gm), ([, id]) => id!);
}
