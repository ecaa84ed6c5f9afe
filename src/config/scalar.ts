/**
 * Plain YAML 1.1 scalars as the library of Litestream 0.3 understands them. The values of our own fields are read from the
 * literal text by the kind of the field, never from what a YAML library took them for.
 */
import { parseGoDuration } from "../duration.ts";

/** What an unquoted scalar means by itself. */
export type PlainValue =
  | { readonly kind: "null" }
  | { readonly kind: "boolean"; readonly value: boolean }
  | { readonly kind: "integer"; readonly value: bigint }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "text" };

/** What `text`, unquoted and without a tag, means. */
export function resolvePlain(text: string): PlainValue {
  if (/^(?:|~|null|Null|NULL)$/.test(text)) return { kind: "null" };
  if (/^(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON)$/.test(text)) return { kind: "boolean", value: true };
  if (/^(?:n|N|no|No|NO|false|False|FALSE|off|Off|OFF)$/.test(text)) return { kind: "boolean", value: false };
  const special = /^([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)$/.exec(text);
  if (special !== null) {
    const size = special[2]!.toLowerCase() === "inf" ? Infinity : NaN;
    return { kind: "float", value: special[1] === "-" ? -size : size };
  }
  if (!/^[-+.0-9]/.test(text)) return { kind: "text" };
  const digits = text.replaceAll("_", "");
  const integer = parseInteger(digits);
  if (integer !== undefined) return { kind: "integer", value: integer };
  if (/^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/.test(digits)) {
    return { kind: "float", value: Number(digits) };
  }
  return { kind: "text" };
}

/** Hexadecimal, octal (also with a bare leading zero), binary or decimal; at most 64 bits. */
function parseInteger(digits: string): bigint | undefined {
  const match = /^([-+]?)(?:(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)|0([0-7]+)|(0|[1-9][0-9]*))$/.exec(
    digits,
  );
  // No 64-bit integer has more digits; reading a longer one takes time that grows with its square.
  if (match === null || digits.length > 67) return undefined;
  const [, sign, prefixed, octal, decimal] = match;
  const value = BigInt(prefixed?.toLowerCase() ?? (octal === undefined ? decimal! : `0o${octal}`));
  if (value >= 1n << 64n) return undefined;
  return sign === "-" ? -value : value;
}

/** A whole number of a counting field; a fraction is cut off. */
export function countOf(plain: PlainValue): number | undefined {
  if (plain.kind !== "integer" && plain.kind !== "float") return undefined;
  const value = Math.trunc(Number(plain.value));
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Milliseconds of a duration field; `isBare` when it was a number without a unit, which means nanoseconds. */
export interface DurationValue {
  readonly durationMs: number;
  readonly isBare: boolean;
}

/**
 * The duration that a scalar writes.
 *
 * @throws {Error} with what is wrong with it
 */
export function durationOf(text: string, { isPlain }: { isPlain: boolean }): DurationValue {
  const plain = isPlain ? resolvePlain(text) : { kind: "text" } as const;
  if (plain.kind === "text") return { durationMs: parseGoDuration(text.trim()), isBare: false };
  if (plain.kind !== "integer" && plain.kind !== "float") throw new Error("no duration");
  const nanoseconds = Math.trunc(Number(plain.value));
  if (!(Math.abs(nanoseconds) < 2 ** 63)) throw new Error("out of range");
  return { durationMs: nanoseconds / 1e6, isBare: nanoseconds !== 0 };
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/** Bytes that `text` writes: `5000000`, `5M`, `5MB`, `5MiB`, with `/s` for a rate; `undefined` when it's none. */
export function sizeOf(text: string): number | undefined {
  const match = /^([0-9][0-9_]*(?:\.[0-9]+)?) ?([kmgt]?i?)b?(?:\/s)?$/i.exec(text.trim());
  const unit = match === null ? undefined : SIZE_UNITS[match[2]!.toLowerCase()];
  if (match === null || unit === undefined) return undefined;
  const size = Math.round(Number(match[1]!.replaceAll("_", "")) * unit);
  return Number.isSafeInteger(size) ? size : undefined;
}
