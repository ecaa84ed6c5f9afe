/** Comparing database files page by page. */
import { Buffer } from "node:buffer";
import { closeSync, openSync, readSync, statSync } from "node:fs";

/** What is different between two database files, in words; `undefined` when every page is the same. */
export function pageDifference(
  leftPath: string,
  rightPath: string,
  { pageSize }: { pageSize: number },
): string | undefined {
  const size = statSync(leftPath).size;
  const other = statSync(rightPath).size;
  if (size !== other) return `${leftPath} has ${size} bytes, ${rightPath} ${other}`;
  const [left, right] = [openSync(leftPath, "r"), openSync(rightPath, "r")];
  const [leftPage, rightPage] = [Buffer.alloc(pageSize), Buffer.alloc(pageSize)];
  const different: number[] = [];
  for (let at = 0; at < size; at += pageSize) {
    readSync(left, leftPage, 0, pageSize, at);
    readSync(right, rightPage, 0, pageSize, at);
    if (!leftPage.equals(rightPage)) different.push(at / pageSize + 1);
  }
  closeSync(left);
  closeSync(right);
  return different.length === 0 ? undefined : `pages ${different.join(", ")} of ${size / pageSize} differ`;
}
