/** From a configuration file to what it means. */
import { UsageError } from "../errors.ts";
import type { LogLevel } from "../logger.ts";
import { type Files, systemFiles } from "../runtime/files.ts";
import { environmentVariable, expandPath } from "../runtime/process.ts";
import { type BuildContext, positive, secretOf, zeroOrMore } from "./build_context.ts";
import { buildDatabase, type BuiltDatabase } from "./build_database.ts";
import type { Configuration, HealthConfig, LoggingConfig } from "./configuration.ts";
import { splitExecCommand } from "./exec_words.ts";
import {
  type EnvironmentLookup,
  type ExpandedText,
  expandEnvironment,
  unexpandedText,
} from "./expand_environment.ts";
import { ConfigurationError, type Finding } from "./finding.ts";
import { Findings, Refusal } from "./findings.ts";
import { nearestName } from "./nearest_key.ts";
import { checkOverlaps } from "./overlaps.ts";
import { permissionProblem, readSecretFile, readTextFile } from "./secrets.ts";
import { SectionValues } from "./section_values.ts";
import { parseYamlTree, YamlError } from "./yaml_tree.ts";

/** Hundreds of thousands of databases; more is no configuration. */
const MAX_FILE_SIZE = 16 * 1024 * 1024;

/** Looked for in this order when nothing names a file; the last one is the default of messages. */
export const DEFAULT_CONFIGURATION_PATHS: readonly string[] = ["/etc/walbrook.yml", "/etc/litestream.yml"];

/** How to read a file; everything has the default of the program itself. */
export interface ReadOptions {
  readonly files?: Files;
  readonly lookup?: EnvironmentLookup;
  /** False with `-no-expand-env`. Default true. */
  readonly isExpanding?: boolean;
  /** True makes warnings errors whatever the file says. Default: what the file says. */
  readonly strict?: boolean;
  readonly expandPath?: (path: string) => string;
}

/** What was read, and what to say about it: each warning is one WARN line at start. */
export interface LoadedConfiguration {
  readonly configuration: Configuration;
  readonly warnings: readonly Finding[];
}

/**
 * Which file to read: the flag, `WALBROOK_CONFIG`, `LITESTREAM_CONFIG`, our own default where it exists, else
 * Litestream's. Absolute; whether it exists is for `readConfiguration()` to say.
 *
 * @throws {Error} for `~/` without a home
 */
export function findConfigurationPath(flag: string | undefined, options: ReadOptions = {}): string {
  const { files = systemFiles, lookup = environmentVariable } = options;
  const named = flag || configurationVariable(lookup);
  if (named !== undefined) return (options.expandPath ?? expandPath)(named);
  return DEFAULT_CONFIGURATION_PATHS.find((path) => files.statSync(path) !== undefined) ??
    DEFAULT_CONFIGURATION_PATHS.at(-1)!;
}

/** What `WALBROOK_CONFIG`, or else `LITESTREAM_CONFIG`, names; one that is empty names nothing. */
export function configurationVariable(lookup: EnvironmentLookup = environmentVariable): string | undefined {
  return lookup("WALBROOK_CONFIG") || lookup("LITESTREAM_CONFIG") || undefined;
}

/**
 * Read the file at the absolute `path`, and the files with secrets that it names.
 *
 * @throws {ConfigurationError} for what is wrong in the file, and under `strict` for what is doubtful
 * @throws {UsageError} for a file that isn't there or can't be read
 */
export function readConfiguration(path: string, options: ReadOptions = {}): LoadedConfiguration {
  const { files = systemFiles } = options;
  if (files.statSync(path) === undefined) throw new UsageError(`config file not found: ${path}`);
  return parseConfiguration(
    decodeText(readTextFile(files, path, { limit: MAX_FILE_SIZE }), path),
    path,
    options,
  );
}

/** UTF-8, or UTF-16 with its byte order mark. */
function decodeText(bytes: Uint8Array, path: string): string {
  const isMarked = (first: number, second: number) => bytes[0] === first && bytes[1] === second;
  const encoding = isMarked(0xff, 0xfe) ? "utf-16le" : isMarked(0xfe, 0xff) ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`${path}: cannot read YAML: invalid ${encoding.toUpperCase()}`);
  }
}

/**
 * What the `text` of the file at `path` means. Reads files only where the text names some with secrets.
 *
 * @throws {ConfigurationError} as `readConfiguration()`
 */
export function parseConfiguration(
  text: string,
  path: string,
  options: ReadOptions = {},
): LoadedConfiguration {
  const { files = systemFiles, lookup = environmentVariable } = options;
  const expanded = options.isExpanding === false ? unexpandedText(text) : expandEnvironment(text, lookup);
  const findings = new Findings({ file: path, original: text, expanded });
  const secretPaths = new Set<string>();
  let hasSecret = false;
  const context: BuildContext = {
    findings,
    lookup,
    expandPath: options.expandPath ?? expandPath,
    readSecret(secretPath) {
      secretPaths.add(secretPath);
      return readSecretFile(files, secretPath);
    },
    noteSecret({ start, end }) {
      // One that comes from the environment doesn't stand in the file.
      hasSecret ||= !expanded.isFromEnvironment(start, end);
    },
  };
  const configuration = buildConfiguration(readTop(expanded, findings), { path, context });
  findings.addUnsetVariables();
  const shown = hasSecret ? [path, ...secretPaths] : [...secretPaths];
  for (const shownPath of shown) {
    const problem = permissionProblem(files, shownPath);
    if (problem !== undefined) findings.add("permissions", 0, problem);
  }
  return judge({ configuration, findings, strict: options.strict ?? configuration.strict });
}

/** Whether `strict: true` makes an error of this warning. */
export function isRefusedWhenStrict({ kind }: Finding): boolean {
  return kind !== "permissions" && kind !== "doubtful";
}

function judge(
  { configuration, findings, strict }: { configuration: Configuration; findings: Findings; strict: boolean },
): LoadedConfiguration {
  const list = findings.list();
  const wrong = list.filter(({ kind }) => kind === "wrong");
  if (wrong.length > 0) throw new ConfigurationError(wrong);
  const refused = strict ? list.filter(isRefusedWhenStrict) : [];
  if (refused.length > 0) throw new ConfigurationError(refused);
  return { configuration, warnings: list };
}

function readTop(expanded: ExpandedText, findings: Findings): SectionValues {
  try {
    const { root, notes } = parseYamlTree(expanded.text);
    for (const { kind, offset, message } of notes) findings.add(kind, offset, message);
    return SectionValues.read(root, "top", { findings, sectionCount: 0 });
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    findings.add("wrong", error.offset, `cannot read YAML: ${error.message}`);
    findings.addUnsetVariables();
    throw new ConfigurationError(findings.list().filter(({ kind }) => kind === "wrong"));
  }
}

function buildConfiguration(
  top: SectionValues,
  { path, context }: { path: string; context: BuildContext },
): Configuration {
  const { findings } = context;
  const globals = {
    accessKeyId: findings.try(() => secretOf(top, "access-key-id", context)),
    secretAccessKey: findings.try(() => secretOf(top, "secret-access-key", context)),
  };
  const built: BuiltDatabase[] = [];
  for (const section of top.children("dbs")) {
    const database = buildDatabase(section, { ...context, globals });
    if (database !== undefined) built.push(database);
  }
  const health = findings.try(() => buildHealth(top));
  checkOverlaps(built, findings);
  checkExec(top, findings);
  return {
    path,
    strict: top.flag("strict") ?? false,
    addr: top.text("addr"),
    exec: top.text("exec"),
    // Where it can't be built nobody gets to see this.
    health: health ?? { maxStallMs: 0, maxLagMs: 0 },
    logging: buildLogging(top.child("logging"), findings),
    databases: built.map(({ config }) => config),
  };
}

function buildHealth(top: SectionValues): HealthConfig {
  return {
    maxStallMs: positive(top, "health-max-stall", "5m is the usual"),
    maxLagMs: zeroOrMore(top, "health-max-lag"),
  };
}

function checkExec(top: SectionValues, findings: Findings): void {
  const exec = top.text("exec");
  if (exec === undefined) return;
  try {
    const { ignored } = splitExecCommand(exec);
    if (ignored === undefined) return;
    const message = `exec runs no shell: all from "${
      ignored[0]
    }" on is ignored; put the commands into a script`;
    findings.add("no-effect", top.offsetOf("exec"), message);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    findings.add("wrong", top.offsetOf("exec"), error.message);
  }
}

const LEVELS: Readonly<Record<string, LogLevel>> = {
  debug: "debug",
  info: "info",
  warn: "warn",
  warning: "warn",
  error: "error",
};

function buildLogging(section: SectionValues | undefined, findings: Findings): LoggingConfig {
  const level = section?.text("level")?.toLowerCase() ?? "info";
  const type = section?.text("type") ?? "text";
  if (section !== undefined && !Object.hasOwn(LEVELS, level)) {
    const near = nearestName(level, Object.keys(LEVELS)) ?? Object.keys(LEVELS).join(", ");
    findings.add(
      "no-effect",
      section.offsetOf("level"),
      `unknown logging level, info is used: write ${near}`,
    );
  }
  if (section !== undefined && type !== "text" && type !== "json") {
    findings.try(() => {
      throw new Refusal(
        section.offsetOf("type"),
        `unknown logging type ${JSON.stringify(type)}: write text or json`,
      );
    });
  }
  return {
    level: Object.hasOwn(LEVELS, level) ? LEVELS[level]! : "info",
    type: type === "json" ? "json" : "text",
    stderr: section?.flag("stderr") ?? false,
  };
}
