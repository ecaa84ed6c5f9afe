/** What the builders of the configuration's parts share. */
import type { EnvironmentLookup } from "./expand_environment.ts";
import { type Findings, Refusal } from "./findings.ts";
import type { SectionValues, Text } from "./section_values.ts";

/** The outside, as far as a configuration depends on it. */
export interface BuildContext {
  readonly findings: Findings;
  readonly lookup: EnvironmentLookup;
  /** Absolute, with `~/` replaced; may throw. */
  readonly expandPath: (path: string) => string;
  /** The trimmed content of the file at an absolute path; may throw. */
  readonly readSecret: (path: string) => string;
  /** Called with each secret that stands in the file itself. */
  readonly noteSecret: (place: { readonly start: number; readonly end: number }) => void;
}

/** Do what can fail for a reason of the outside; the refusal stands at `key`. */
export function atKey<T>(section: SectionValues, key: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw new Refusal(section.offsetOf(key), error instanceof Error ? error.message : String(error));
  }
}

/** The secret `key`, from the file itself or from the file that `key`-file names. */
export function secretOf(section: SectionValues, key: string, context: BuildContext): string | undefined {
  const text = section.text(key);
  const fileKey = `${key}-file`;
  const path = section.text(fileKey);
  if (path === undefined) {
    if (text !== undefined) context.noteSecret({ start: section.offsetOf(key), end: section.endOf(key) });
    return text;
  }
  if (text !== undefined) throw new Refusal(section.offsetOf(fileKey), `cannot specify ${key} & ${fileKey}`);
  return readSecretAt(section, fileKey, { path, context });
}

/** The content of the file that `key` names. */
export function readSecretAt(
  section: SectionValues,
  key: string,
  { path, context }: { path: string; context: BuildContext },
): string {
  try {
    return context.readSecret(context.expandPath(path));
  } catch (error) {
    throw new Refusal(
      section.offsetOf(key),
      `${key}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Refuse a number that isn't above 0. */
export function positive(section: SectionValues, key: string, meaning: string): number {
  const value = section.numberOrDefault(key);
  if (value > 0) return value;
  throw new Refusal(section.offsetOf(key), `${key} must be more than 0: ${meaning}`);
}

/** A number below 0 means the same as 0 where 0 turns something off. */
export function zeroOrMore(section: SectionValues, key: string): number {
  return Math.max(0, section.numberOrDefault(key));
}

/** Texts of a list that hold several keys each, one key a line. */
export function linesOf(
  texts: readonly Text[],
  parse: (text: string) => string[],
): string[] {
  return texts.flatMap(({ text, start }) => {
    try {
      return parse(text);
    } catch (error) {
      throw new Refusal(start, error instanceof Error ? error.message : String(error));
    }
  });
}
