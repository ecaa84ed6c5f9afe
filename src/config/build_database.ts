/** One entry of `dbs`. */
import { resolve } from "../runtime/paths.ts";
import { atKey, type BuildContext, positive, zeroOrMore } from "./build_context.ts";
import { buildReplica, type GlobalCredentials } from "./build_replica.ts";
import type { DatabaseConfig, ReplicaConfig } from "./configuration.ts";
import { Refusal } from "./findings.ts";
import type { SectionValues } from "./section_values.ts";

/** A built part with the section that it was built from. */
export interface Built<T> {
  readonly config: T;
  readonly section: SectionValues;
}

/** A database, and its replicas with their sections. */
export interface BuiltDatabase extends Built<DatabaseConfig> {
  readonly replicas: readonly Built<ReplicaConfig>[];
}

/** Build a database and its replicas; what can't be built is left out, with a finding each. */
export function buildDatabase(
  section: SectionValues,
  context: BuildContext & { readonly globals: GlobalCredentials },
): BuiltDatabase | undefined {
  const replicas: Built<ReplicaConfig>[] = [];
  for (const one of section.children("replicas")) {
    const config = one.isBroken ? undefined : context.findings.try(() => buildReplica(one, context));
    if (config !== undefined) replicas.push({ config, section: one });
  }
  if (section.isBroken) return undefined;
  const counts = context.findings.try(() => pageCounts(section, context));
  const paths = context.findings.try(() => databasePaths(section, context));
  const limits = context.findings.try(() => databaseLimits(section));
  if (counts === undefined || paths === undefined || limits === undefined) return undefined;
  if (section.children("replicas").length === 0) {
    context.findings.add(
      "doubtful",
      section.start,
      `database ${paths.path} has no replicas: nothing is replicated`,
    );
  }
  const at = context.findings.locationOf(section.start);
  const config = { ...paths, ...limits, ...counts, replicas: replicas.map(({ config }) => config), at };
  return { config, section, replicas };
}

function databasePaths(
  section: SectionValues,
  { expandPath, findings }: BuildContext,
): Pick<DatabaseConfig, "path" | "metaPath"> {
  const path = section.text("path");
  if (path === undefined) throw new Refusal(section.offsetOf("path"), "database path required");
  const metaPath = section.text("meta-path");
  if (metaPath?.startsWith("~/")) {
    const message = `meta-path is taken as written: "~" is a folder of that name in the working directory`;
    findings.add("doubtful", section.offsetOf("meta-path"), message);
  }
  return {
    path: atKey(section, "path", () => expandPath(path)),
    metaPath: metaPath === undefined ? undefined : resolve(metaPath),
  };
}

function databaseLimits(
  section: SectionValues,
): Pick<DatabaseConfig, "monitorIntervalMs" | "checkpointIntervalMs" | "busyTimeoutMs" | "maxShadowSize"> {
  return {
    monitorIntervalMs: positive(section, "monitor-interval", "1s is the usual"),
    checkpointIntervalMs: zeroOrMore(section, "checkpoint-interval"),
    busyTimeoutMs: zeroOrMore(section, "busy-timeout"),
    maxShadowSize: zeroOrMore(section, "max-shadow-size"),
  };
}

function pageCounts(
  section: SectionValues,
  { findings }: BuildContext,
): Pick<DatabaseConfig, "minCheckpointPageCount" | "maxCheckpointPageCount" | "truncatePageCount"> {
  const min = positive(section, "min-checkpoint-page-count", "1000 is the usual");
  const max = zeroOrMore(section, "max-checkpoint-page-count");
  const truncate = section.numberOrDefault("truncate-page-count");
  if (truncate < 0) {
    const message = "truncate-page-count must not be below 0: 0 turns it off";
    throw new Refusal(section.offsetOf("truncate-page-count"), message);
  }
  const counts = { minCheckpointPageCount: min, maxCheckpointPageCount: max, truncatePageCount: truncate };
  if (max === 0 || min <= max) return counts;
  // Such files work with the tool we replace, and the wish behind them is plain: it looks at the maximum first.
  if (section.number("max-checkpoint-page-count") === undefined) {
    const message =
      `min-checkpoint-page-count ${min} is more than the default of max-checkpoint-page-count, ${max}: ` +
      `taken for both`;
    findings.add("doubtful", section.offsetOf("min-checkpoint-page-count"), message);
    return { ...counts, maxCheckpointPageCount: min };
  }
  const isDefault = section.number("min-checkpoint-page-count") === undefined;
  const message = `max-checkpoint-page-count ${max} is less than ${isDefault ? "the default of " : ""}` +
    `min-checkpoint-page-count, ${min}: taken for both`;
  findings.add("doubtful", section.offsetOf("max-checkpoint-page-count"), message);
  return { ...counts, minCheckpointPageCount: max };
}
