/** What is wrong or doubtful in a configuration file, and where. */
import { UsageError } from "../errors.ts";
import type { Logger } from "../logger.ts";

/** A place in the file as an editor counts: both from 1, columns in characters. */
export interface Location {
  readonly line: number;
  readonly column: number;
}

/**
 * What a finding is about. `wrong` is always an error; the others are warnings that `strict: true` makes errors,
 * except `permissions`, which says something about the file and not about its content.
 */
export type FindingKind =
  | "wrong"
  | "unknown-key"
  | "no-effect"
  | "other-version"
  | "duplicate"
  | "bare-duration"
  | "unset-variable"
  | "doubtful"
  | "permissions";

/** One line about one place of one file. The message never holds a secret. */
export interface Finding extends Location {
  readonly kind: FindingKind;
  readonly file: string;
  readonly message: string;
}

/** `/etc/litestream.yml:3:5: bucket required for s3 replica`. */
export function formatFinding({ file, line, column, message }: Finding): string {
  return `${file}:${line}:${column}: ${message}`;
}

/** One WARN record for each warning. */
export function logWarnings(warnings: readonly Finding[], logger: Logger): void {
  for (const { file, line, column, message } of warnings) {
    logger.warn("configuration", { file, line, column, warning: message });
  }
}

/** The configuration can't be used. The message is the first finding; `findings` has all, in the order of their places. */
export class ConfigurationError extends UsageError {
  /** @param findings at least one */
  constructor(readonly findings: readonly Finding[]) {
    const rest = findings.length - 1;
    const more = rest === 0 ? "" : ` (and ${rest} more ${rest === 1 ? "problem" : "problems"})`;
    super(formatFinding(findings[0]!) + more);
  }
}
