/** What `walbrook check` does. */
import type { CheckRequest, CheckRow } from "./check.ts";
import { checkReplica } from "./check_replica.ts";
import type { Output } from "./command.ts";
import { EndSignals } from "./end_signals.ts";
import { createLogger } from "./logger.ts";
import { formatJson, formatTable } from "./table.ts";
import { Semaphore } from "../async.ts";
import type { Configuration } from "../config/configuration.ts";
import { ConfigurationError, type Finding } from "../config/finding.ts";
import {
  findConfigurationPath,
  isRefusedWhenStrict,
  readConfiguration,
} from "../config/read_configuration.ts";
import { inspectDatabase } from "../database/inspect.ts";
import { describeError } from "../errors.ts";

/** Replicas that are tried at once. */
const PARALLEL = 8;

/** Check; returns the exit code. */
export async function runCheck(request: CheckRequest, output: Output): Promise<number> {
  const path = findConfigurationPath(request.configPath);
  const { rows, configuration } = checkConfiguration(path, request);
  if (configuration !== undefined) {
    rows.push(...checkDatabases(configuration));
    rows.push(...await checkReplicas(configuration, output));
  }
  output.writeOutput(
    request.isJson ? formatJson(rows) : formatTable(
      ["result", "what", "name", "found"],
      rows.map(({ result, what, name, found }) => [result, what, name, found]),
    ),
  );
  return rows.some(({ result }) => result === "failed") ? 1 : 0;
}

/** @throws {UsageError} for a file that can't be read at all */
function checkConfiguration(
  path: string,
  { isExpanding }: CheckRequest,
): { rows: CheckRow[]; configuration: Configuration | undefined } {
  const rowOf = (finding: Finding): CheckRow => ({
    result: finding.kind === "wrong" || isRefusedWhenStrict(finding) ? "failed" : "warning",
    what: "configuration",
    name: path,
    found: `line ${finding.line}, column ${finding.column}: ${finding.message}`,
  });
  try {
    const { configuration, warnings } = readConfiguration(path, { isExpanding, strict: false });
    const rows = warnings.map(rowOf);
    const count = configuration.databases.length;
    if (count === 0) rows.push({ ...CONFIGURATION_ROW, name: path, result: "failed", found: NO_DATABASES });
    if (rows.length === 0) {
      const found = `${count} ${count === 1 ? "database" : "databases"}`;
      rows.push({ ...CONFIGURATION_ROW, name: path, result: "ok", found });
    }
    return { rows, configuration };
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return { rows: error.findings.map(rowOf), configuration: undefined };
  }
}

const CONFIGURATION_ROW = { what: "configuration" } as const;

const NO_DATABASES = "no databases specified: name them under dbs";

function checkDatabases({ databases }: Configuration): CheckRow[] {
  return databases.map(({ path, metaPath }) => {
    const row = { what: "database", name: path } as const;
    try {
      const { found, isWaitedFor } = inspectDatabase(path, { metaPath });
      return { ...row, result: isWaitedFor ? "warning" : "ok", found };
    } catch (error) {
      return { ...row, result: "failed", found: describeError(error) };
    }
  });
}

async function checkReplicas({ databases }: Configuration, output: Output): Promise<CheckRow[]> {
  using signals = new EndSignals();
  const turns = new Semaphore(PARALLEL);
  // What stores tell beside their answers, such as a region that is better written down.
  const logger = createLogger({ level: "warn", write: output.writeError });
  const checks = databases.flatMap(({ path, replicas }) =>
    replicas.map(async (replica): Promise<CheckRow> => {
      using _ = await turns.acquire();
      const name = `${path} ${replica.name}`;
      return { what: "replica", name, ...await checkReplica(replica, { logger, signal: signals.aborted }) };
    })
  );
  const rows = await Promise.all(checks);
  signals.aborted.throwIfAborted();
  return rows;
}
