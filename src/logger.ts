/** The logger that is passed in everywhere; who builds one decides where the records go. */

/** Facts of a record: plain values, in the order they are to be shown. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Levels in rising order. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Messages are constant; what varies stands in the fields. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` in front of each record's own. */
  with(fields: LogFields): Logger;
}

/** Says nothing; the default everywhere. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLogger,
};
