/** Branches that tests reached, from what V8 counted; pure. */

/** One branch that no test reached. */
export interface OpenBranch {
  readonly path: string;
  readonly lineNumber: number;
  readonly text: string;
  /** Why no test reaches it, from the comment beside it; `undefined` where none says so. */
  readonly reason: string | undefined;
}

/** Figures of one file. */
export interface FileBranches {
  readonly path: string;
  readonly count: number;
  readonly open: readonly OpenBranch[];
}

/** What a comment beside a branch begins with that no test reaches. */
const MARK = "Untested:";

/** Lines above a branch in which its comment may begin. */
const REACH = 3;

/**
 * The branches of the files whose path matches.
 *
 * @param lcov a tracefile, as `deno coverage --lcov` writes it
 * @param read gives the text of a file
 * @param root what paths are told relative to
 */
export function branchesOf(
  lcov: string,
  { root, isWanted, read }: {
    root: string;
    isWanted: (path: string) => boolean;
    read: (path: string) => string;
  },
): FileBranches[] {
  const files: FileBranches[] = [];
  for (const record of lcov.split("end_of_record")) {
    const fullPath = /^SF:(.*)$/m.exec(record)?.[1];
    if (fullPath === undefined) continue;
    const path = fullPath.startsWith(`${root}/`) ? fullPath.slice(root.length + 1) : fullPath;
    if (!isWanted(path)) continue;
    const lines = read(fullPath).split("\n");
    const branches = [...record.matchAll(/^BRDA:(\d+),\d+,\d+,(\d+|-)$/gm)]
      .map(([, lineNumber, taken]) => ({ lineNumber: Number(lineNumber), isTaken: Number(taken) > 0 }));
    const open = branches.filter(({ isTaken }) => !isTaken).map(({ lineNumber }) => ({
      path,
      lineNumber,
      text: lines[lineNumber - 1]?.trim() ?? "",
      reason: reasonAt(lines, lineNumber - 1),
    }));
    files.push({ path, count: branches.length, open });
  }
  return files.sort((left, right) => left.path < right.path ? -1 : 1);
}

/** What the comment on the line, or in the comment lines right above it, says. */
function reasonAt(lines: readonly string[], lineIndex: number): string | undefined {
  const said: string[] = [];
  const own = /\/\/ (.*)$/.exec(lines[lineIndex] ?? "")?.[1];
  if (own !== undefined) said.push(own);
  for (let at = lineIndex - 1; at >= lineIndex - REACH && at >= 0; at--) {
    const comment = /^\s*(?:\/\/|\*) ?(.*)$/.exec(lines[at]!)?.[1];
    if (comment === undefined) break;
    said.unshift(comment);
  }
  const text = said.join(" ");
  return text.includes(MARK) ? text.slice(text.indexOf(MARK) + MARK.length).trim() : undefined;
}
