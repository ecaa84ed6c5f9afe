/** Configurations of a test: no environment but the one given, home /home/app, working directory /srv. */
import assert from "node:assert/strict";
import { posix } from "node:path";
import type { Configuration } from "../../src/config/configuration.ts";
import { ConfigurationError, type Finding, formatFinding } from "../../src/config/finding.ts";
import {
  type LoadedConfiguration,
  parseConfiguration,
  type ReadOptions,
} from "../../src/config/read_configuration.ts";

/** Expands as the program would for a user whose home is /home/app, in /srv. */
export function expandInTest(path: string): string {
  if (path === "~" || path.startsWith("~/")) return posix.resolve("/home/app", path.slice(2));
  return posix.resolve("/srv", path);
}

/** Options of a test with the given environment. */
export function testOptions(environment: Readonly<Record<string, string>> = {}): ReadOptions {
  return {
    lookup: (name) => Object.hasOwn(environment, name) ? environment[name] : undefined,
    expandPath: expandInTest,
  };
}

/** `text` read as the file `c.yml`. */
export function load(text: string, options: ReadOptions = testOptions()): LoadedConfiguration {
  return parseConfiguration(text, "c.yml", options);
}

/** The configuration that `text` means. */
export function parsed(text: string, environment: Readonly<Record<string, string>> = {}): Configuration {
  return load(text, testOptions(environment)).configuration;
}

/** Each warning as `line:column: message`. */
export function warningsOf(text: string, options?: ReadOptions): string[] {
  return load(text, options).warnings.map(lineOf);
}

/** Each error as `line:column: message`. */
export function errorsOf(text: string, options: ReadOptions = testOptions()): string[] {
  let found: string[] | undefined;
  assert.throws(() => load(text, options), (error) => {
    assert.ok(error instanceof ConfigurationError, String(error));
    assert.ok(error.message.startsWith(formatFinding(error.findings[0]!)), error.message);
    found = error.findings.map(lineOf);
    return true;
  }, text);
  return found!;
}

function lineOf(finding: Finding): string {
  return formatFinding(finding).slice("c.yml:".length);
}
