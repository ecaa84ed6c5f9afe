/** The configuration file of a run, and the logger that it asks for. */
import type { Output } from "./command.ts";
import type { ConfigurationRequest } from "./configuration_flags.ts";
import { createLogger } from "./logger.ts";
import type { Configuration, LoggingConfig } from "../config/configuration.ts";
import { logWarnings } from "../config/finding.ts";
import {
  configurationVariable,
  findConfigurationPath,
  readConfiguration,
} from "../config/read_configuration.ts";
import type { Logger } from "../logger.ts";

export { configurationVariable, findConfigurationPath };

/** A configuration in use. */
export interface Configured {
  readonly configuration: Configuration;
  readonly logger: Logger;
}

/**
 * Read the configuration file and warn of what is doubtful in it.
 *
 * @throws {ConfigurationError} {UsageError} as `readConfiguration()`
 */
export function loadConfiguration(
  { configPath, isExpanding }: ConfigurationRequest,
  output: Output,
): Configured {
  const { configuration, warnings } = readConfiguration(findConfigurationPath(configPath), { isExpanding });
  const logger = configuredLogger(configuration.logging, output);
  logWarnings(warnings, logger);
  return { configuration, logger };
}

/** A logger with the format and the output of the configuration. */
function configuredLogger({ level, type, stderr }: LoggingConfig, output: Output): Logger {
  const { writeError, writeRecord = output.writeOutput } = output;
  return createLogger({ level, type, write: stderr ? writeError : writeRecord });
}
