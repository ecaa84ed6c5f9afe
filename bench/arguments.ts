/** The words of `deno task bench`; pure. */
import type { Mode } from "./result.ts";

/** What was asked for. */
export interface Arguments {
  readonly rows: readonly string[];
  /** Beginnings of cells' ids, such as `B1/text`; empty: all cells of the rows. */
  readonly cells: readonly string[];
  readonly mode: Mode;
  readonly as: string;
  readonly isDefaults: boolean;
  readonly peer05Path: string | undefined;
}

const USAGE = "deno task bench [B1 … B12] [B1/text-64 …] [--quick|--full] [--as deno|bun|exe] [--defaults] " +
  "[--peer-05 PATH]";

/** Rows that `--quick` leaves out unless they are named: they take minutes by their nature. */
export const LONG_ROWS: readonly string[] = ["B9", "B10"];

/** @throws {Error} one line with the word that can't be */
export function parseArguments(words: readonly string[], allRows: readonly string[]): Arguments {
  const rows: string[] = [];
  const cells: string[] = [];
  let mode: Mode = "standard";
  let as = "deno";
  let isDefaults = false;
  let peer05Path: string | undefined;
  const valueAfter = (at: number) => {
    const value = words[at + 1];
    if (value === undefined) throw new Error(`${words[at]}: a value is missing; usage: ${USAGE}`);
    return value;
  };
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === "--quick" || word === "--full") {
      if (mode !== "standard") throw new Error("--quick and --full exclude each other");
      mode = word === "--quick" ? "quick" : "full";
    } else if (word === "--as") as = valueAfter(at++);
    else if (word === "--peer-05") peer05Path = valueAfter(at++);
    else if (word === "--defaults") isDefaults = true;
    else if (allRows.includes(word)) rows.push(word);
    else if (word.includes("/") && allRows.includes(word.split("/")[0]!)) {
      rows.push(word.split("/")[0]!);
      cells.push(word);
    } else throw new Error(`${word}: no such row or option; usage: ${USAGE}`);
  }
  const isLeftOut = (row: string) => mode === "quick" && LONG_ROWS.includes(row);
  const wanted = rows.length > 0
    ? allRows.filter((row) => rows.includes(row))
    : allRows.filter((row) => !isLeftOut(row));
  return { rows: wanted, cells, mode, as, isDefaults, peer05Path };
}

/** Of the cells of a row those that are wanted: one that is named whole alone, else all that begin so; without a word all. */
export function chosenCells(wanted: readonly string[], ids: readonly string[]): ReadonlySet<string> {
  if (wanted.length === 0) return new Set(ids);
  return new Set(
    wanted.flatMap((word) => ids.includes(word) ? [word] : ids.filter((id) => id.startsWith(word))),
  );
}
