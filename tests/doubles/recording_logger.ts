import type { LogFields, Logger, LogLevel } from "../../src/logger.ts";

/** One record. */
export interface LogRecord {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** A logger that keeps its records; `records` grows as things are logged. */
export function recordLogs(): { logger: Logger; records: LogRecord[] } {
  const records: LogRecord[] = [];
  const loggerWith = (scope: LogFields): Logger => {
    const at = (level: LogLevel) => (message: string, fields: LogFields = {}) =>
      void records.push({ level, message, fields: { ...scope, ...fields } });
    return {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      with: (fields) => loggerWith({ ...scope, ...fields }),
    };
  };
  return { logger: loggerWith({}), records };
}
