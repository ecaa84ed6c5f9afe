/** Log records as lines, in the formats of the tool we replace. */
import { describeError } from "../errors.ts";
import { formatGoDuration, toNanoseconds } from "../duration.ts";
import type { LogFields, Logger, LogLevel } from "../logger.ts";
import { isLocalTimeUtc } from "../runtime/time_zone.ts";

/** A field value that is a time span. */
export interface DurationField {
  readonly durationMs: number;
}

/** What `createLogger()` takes. */
export interface LoggerOptions {
  /** Records below it are dropped; default `info`. */
  readonly level?: LogLevel;
  /** `default` is what is used without a configuration file: time, level and message unquoted in front. */
  readonly type?: "text" | "json" | "default";
  /** Gets each record with its line end. */
  readonly write: (line: string) => void;
  /** Default: the system's clock. */
  readonly now?: () => Date;
}

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

interface LogRecord {
  readonly at: Date;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** A logger that hands each record as one line to `write`. Fields that are `undefined` are left out. */
export function createLogger(options: LoggerOptions): Logger {
  const { level: lowest = "info", type = "default", write, now = () => new Date() } = options;
  const format = { text: formatText, json: formatJson, default: formatDefault }[type];
  const loggerWith = (scope: LogFields): Logger => {
    const recordAt = (level: LogLevel) => {
      if (LEVELS.indexOf(level) < LEVELS.indexOf(lowest)) return () => {};
      return (message: string, fields: LogFields = {}) =>
        write(format({ at: now(), level, message, fields: { ...scope, ...fields } }) + "\n");
    };
    return {
      debug: recordAt("debug"),
      info: recordAt("info"),
      warn: recordAt("warn"),
      error: recordAt("error"),
      with: (fields) => loggerWith({ ...scope, ...fields }),
    };
  };
  return loggerWith({});
}

function formatText({ at, level, message, fields }: LogRecord): string {
  return `time=${localText(at)} level=${level.toUpperCase()} msg=${quoteIfNeeded(message)}${
    textFields(fields)
  }`;
}

function formatDefault({ at, level, message, fields }: LogRecord): string {
  const time = localText(at).slice(0, 19).replaceAll("-", "/").replace("T", " ");
  return `${time} ${level.toUpperCase()} ${message}${textFields(fields)}`;
}

function formatJson({ at, level, message, fields }: LogRecord): string {
  const pairs = [
    `"time":${jsonValue(at)}`,
    `"level":"${level.toUpperCase()}"`,
    `"msg":${jsonValue(message)}`,
    ...present(fields).map(([key, value]) => `${JSON.stringify(key)}:${jsonValue(value)}`),
  ];
  return `{${pairs.join(",")}}`;
}

function present(fields: LogFields): [string, unknown][] {
  return Object.entries(fields).filter(([, value]) => value !== undefined);
}

function textFields(fields: LogFields): string {
  return present(fields).map(([key, value]) => ` ${quoteIfNeeded(key)}=${textValue(value)}`).join("");
}

function isDuration(value: unknown): value is DurationField {
  return typeof value === "object" && value !== null &&
    typeof (value as { durationMs?: unknown }).durationMs === "number";
}

function textValue(value: unknown): string {
  if (value === null) return "<nil>";
  if (value instanceof Date) {
    return localText(value);
  }
  if (isDuration(value)) return formatGoDuration(value.durationMs);
  if (value instanceof Error) return quoteIfNeeded(describeError(value));
  return quoteIfNeeded(typeof value === "object" ? JSON.stringify(value) : String(value));
}

function jsonValue(value: unknown): string {
  if (value instanceof Date) {
    const text = localText(value);
    const fraction = text.slice(19, 23).replace(/\.?0+$/, "");
    return `"${text.slice(0, 19)}${fraction}${text.slice(23)}"`;
  }
  // A number of nanoseconds may be past what a double holds.
  if (isDuration(value)) {
    return Number.isFinite(value.durationMs) ? `${toNanoseconds(value.durationMs)}` : "null";
  }
  if (value instanceof Error) return JSON.stringify(describeError(value));
  if (typeof value === "bigint") return `${value}`;
  if (typeof value === "number" && !Number.isFinite(value)) return `"${value}"`;
  return JSON.stringify(value) ?? JSON.stringify(String(value));
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** `2026-01-31T12:00:00.000+01:00`, by the clock on the wall. */
function localText(at: Date): string {
  if (isLocalTimeUtc() && Number.isFinite(at.getTime())) return at.toISOString();
  const day = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(twoDigits).join("-").padStart(10, "0");
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(twoDigits).join(":");
  return `${day}T${time}.${String(at.getMilliseconds()).padStart(3, "0")}${zone(at)}`;
}

function zone(at: Date): string {
  const eastMinutes = -at.getTimezoneOffset();
  if (eastMinutes === 0) return "Z";
  const size = Math.abs(eastMinutes);
  return `${eastMinutes < 0 ? "-" : "+"}${twoDigits(Math.floor(size / 60))}:${twoDigits(size % 60)}`;
}

/** Letters, marks, digits, punctuation and symbols, but for the quote and the equals sign. */
const PLAIN = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]+$/u;

function quoteIfNeeded(text: string): string {
  return PLAIN.test(text) && !/["=]/.test(text) ? text : quote(text);
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};

/** `text` in quotes as Go writes a string. */
function quote(text: string): string {
  let quoted = "";
  for (const character of text.toWellFormed()) {
    const short = SHORT_ESCAPES[character];
    if (short !== undefined) quoted += short;
    else if (character === " " || PLAIN.test(character)) quoted += character;
    else quoted += escapeCodePoint(character.codePointAt(0)!);
  }
  return `"${quoted}"`;
}

function escapeCodePoint(codePoint: number): string {
  const hex = codePoint.toString(16);
  if (codePoint < 0x80) return `\\x${hex.padStart(2, "0")}`;
  return codePoint < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
