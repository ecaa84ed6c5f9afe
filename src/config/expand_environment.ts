/**
 * Environment variables in the raw text of a configuration file, before it is YAML, with every quirk of Go's
 * `os.Expand`, which files in the wild rely on or trip over. Positions map back to the text as it was written.
 */

/** The text after expansion, and the way back to the text before. Offsets are UTF-16 units. */
export interface ExpandedText {
  readonly text: string;
  /** Names that the environment doesn't have, with the offset of their `$` in the original text. */
  readonly unset: readonly { readonly name: string; readonly offset: number }[];
  /** Where in the original text the character at `offset` of the expanded text comes from. */
  readonly originalOffset: (offset: number) => number;
  /** Whether some of the expanded text from `start` to `end` comes from the environment. */
  readonly isFromEnvironment: (start: number, end: number) => boolean;
}

/** Looks up an environment variable; `undefined` when it isn't there at all. */
export type EnvironmentLookup = (name: string) => string | undefined;

interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly originalStart: number;
  readonly originalEnd: number;
}

/** `text` with nothing expanded. */
export function unexpandedText(text: string): ExpandedText {
  return { text, unset: [], originalOffset: (offset) => offset, isFromEnvironment: () => false };
}

/**
 * Expand `$NAME`, `${NAME}` and the one-character names of a shell; unknown names become nothing. There is no
 * default-value syntax and no escape character.
 */
export function expandEnvironment(text: string, lookup: EnvironmentLookup): ExpandedText {
  const parts: string[] = [];
  const replacements: Replacement[] = [];
  const unset: { name: string; offset: number }[] = [];
  // Without this a long line of `${` would search for its brace to the end of the text each time.
  const lastBrace = text.lastIndexOf("}");
  let copied = 0;
  let size = 0;
  for (let at = text.indexOf("$"); at >= 0; at = text.indexOf("$", Math.max(at + 1, copied))) {
    const found = variableAt(text, at + 1, lastBrace);
    if (found === undefined) continue;
    const value = found.name === "" ? "" : valueOf(found.name, lookup);
    if (value === undefined) unset.push({ name: found.name, offset: at });
    parts.push(text.slice(copied, at), value ?? "");
    const start = size + at - copied;
    size = start + (value ?? "").length;
    copied = found.end;
    replacements.push({ start, end: size, originalStart: at, originalEnd: copied });
  }
  parts.push(text.slice(copied));
  return {
    text: parts.join(""),
    unset,
    originalOffset: (offset) => originalOffset(replacements, offset),
    isFromEnvironment: (start, end) =>
      replacements.some((one) => one.end > one.start && one.start < end && one.end > start),
  };
}

function valueOf(name: string, lookup: EnvironmentLookup): string | undefined {
  // No variable can be called so, and asking for one is an error on some systems.
  return /[=\0]/.test(name) ? undefined : lookup(name);
}

/** The name behind a `$` and where it ends; an empty name is thrown away, `undefined` leaves the `$` alone. */
function variableAt(text: string, at: number, lastBrace: number): { name: string; end: number } | undefined {
  const first = text[at];
  if (first === undefined) return undefined;
  if (first === "{") {
    const end = lastBrace > at ? text.indexOf("}", at + 1) : -1;
    return end < 0 ? { name: "", end: at + 1 } : { name: text.slice(at + 1, end), end: end + 1 };
  }
  if (/[*#$@!?\-0-9]/.test(first)) return { name: first, end: at + 1 };
  const word = /[A-Za-z0-9_]*/y;
  word.lastIndex = at;
  const name = word.exec(text)![0];
  return name === "" ? undefined : { name, end: at + name.length };
}

function originalOffset(replacements: readonly Replacement[], offset: number): number {
  let low = 0;
  let high = replacements.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (replacements[middle]!.start <= offset) low = middle + 1;
    else high = middle;
  }
  const before = replacements[low - 1];
  if (before === undefined) return offset;
  const isInside = offset < before.end || (before.start === before.end && offset === before.start);
  return isInside ? before.originalStart : before.originalEnd + offset - before.end;
}
