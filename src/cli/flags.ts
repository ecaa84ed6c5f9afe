/** Command line flags as Go's `flag` package reads them: scripts written for Litestream go on working. */
import { UsageError } from "../errors.ts";

/** A flag that can't be read; the command's usage is shown with it. */
export class FlagError extends UsageError {}

/** The user asked for the usage: `-h`, `-help` or `--help`. */
export class HelpRequest extends Error {
  override readonly name = "HelpRequest";
}

/** What a flag takes. `value` has a reader of its own, whose error message follows `invalid value … for flag`. */
export type FlagSpec =
  | { readonly kind: "string" }
  | { readonly kind: "boolean" }
  | { readonly kind: "integer" }
  | { readonly kind: "value"; readonly parse: (text: string) => unknown };

/** The flags of one command by name, without dashes. */
export type FlagSpecs = Readonly<Record<string, FlagSpec>>;

/** What one flag gives. */
type FlagValue<Spec extends FlagSpec> = Spec extends { readonly kind: "string" } ? string
  : Spec extends { readonly kind: "boolean" } ? boolean
  : Spec extends { readonly kind: "integer" } ? number
  : Spec extends { readonly kind: "value"; readonly parse: (text: string) => infer Value } ? Value
  : never;

/** Values of the flags that were given, the last one of each, and what follows the flags. */
export interface ParsedFlags<Specs extends FlagSpecs> {
  readonly flags: { readonly [Name in keyof Specs]?: FlagValue<Specs[Name]> };
  readonly positional: readonly string[];
}

/**
 * Split `args` into flags and what follows them.
 *
 * `-x` and `--x` are the same; `-x value` and `-x=value` too, but a boolean takes its value only behind `=`.
 * Flags end at the first word that isn't one, at a lone `-`, and behind `--`.
 *
 * @throws {FlagError} with Go's text
 * @throws {HelpRequest} at `-h` or `-help`
 */
export function parseFlags<const Specs extends FlagSpecs>(
  args: readonly string[],
  specs: Specs,
): ParsedFlags<Specs> {
  const flags: Record<string, unknown> = {};
  let at = 0;
  while (at < args.length) {
    const argument = args[at]!;
    if (!argument.startsWith("-") || argument === "-") break;
    at++;
    if (argument === "--") break;
    const { name, inline } = splitFlag(argument);
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    if (spec === undefined) {
      if (name === "h" || name === "help") throw new HelpRequest("help requested");
      throw new FlagError(`flag provided but not defined: -${name}`);
    }
    if (spec.kind === "boolean") flags[name] = readBoolean(inline ?? "true", name);
    else {
      const text = inline ?? args[at++];
      if (text === undefined) throw new FlagError(`flag needs an argument: -${name}`);
      flags[name] = readValue(text, { name, spec });
    }
  }
  return { flags: flags as ParsedFlags<Specs>["flags"], positional: args.slice(at) };
}

function splitFlag(argument: string): { name: string; inline: string | undefined } {
  const body = argument.slice(argument.startsWith("--") ? 2 : 1);
  if (body === "" || body.startsWith("-") || body.startsWith("=")) {
    throw new FlagError(`bad flag syntax: ${argument}`);
  }
  const equals = body.indexOf("=");
  return equals < 0
    ? { name: body, inline: undefined }
    : { name: body.slice(0, equals), inline: body.slice(equals + 1) };
}

const TRUE_WORDS: readonly string[] = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE_WORDS: readonly string[] = ["0", "f", "F", "FALSE", "false", "False"];

function readBoolean(text: string, name: string): boolean {
  if (TRUE_WORDS.includes(text)) return true;
  if (FALSE_WORDS.includes(text)) return false;
  throw new FlagError(`invalid boolean value ${JSON.stringify(text)} for -${name}: parse error`);
}

function readValue(
  text: string,
  { name, spec }: { name: string; spec: Exclude<FlagSpec, { kind: "boolean" }> },
): unknown {
  if (spec.kind === "string") return text;
  try {
    return spec.kind === "integer" ? parseGoInteger(text) : spec.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FlagError(`invalid value ${JSON.stringify(text)} for flag -${name}: ${reason}`);
  }
}

/** A number as Go writes one in source: decimal, `0x`, `0o`, `0b`, a leading `0` for octal, `_` between digits. */
function parseGoInteger(text: string): number {
  const match =
    /^([-+]?)(0[xX]_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0[oO]?_?[0-7]+(?:_[0-7]+)*|0[bB]_?[01]+(?:_[01]+)*|0|[1-9]\d*(?:_\d+)*)$/
      .exec(text);
  if (match === null) throw new Error("parse error");
  const digits = match[2]!.replaceAll("_", "");
  const value = Number(/^0\d/.test(digits) ? `0o${digits}` : digits);
  if (!Number.isSafeInteger(value)) throw new Error("value out of range");
  return match[1] === "-" ? -value : value;
}
