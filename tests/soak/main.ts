/**
 * The campaign: `deno task soak [--minutes N] [--seed S] [--round R] [--scenario NAME,…] [--rate COMMITS] [--looks N]`.
 *
 * Real processes commit to real databases while things go wrong; every restored file is judged by what the
 * applications recorded. Exit code 1 when anything is lost or wrong: then the folder with the evidence stays, and seed
 * and round are printed. `--round` plays that round alone; `--looks` is how often in a round the window of replication
 * is looked at, before things go wrong.
 */
import process from "node:process";
import { UsageError } from "../../src/errors.ts";
import { ensureServers } from "../servers/install.ts";
import { type CampaignOptions, playCampaign } from "./campaign.ts";

function parseArguments(args: readonly string[]): CampaignOptions {
  const values = new Map<string, string>();
  for (let at = 0; at < args.length; at += 2) {
    const name = args[at]!;
    if (!["--minutes", "--seed", "--round", "--scenario", "--rate", "--looks"].includes(name)) {
      throw new UsageError(`${name}: unknown option`);
    }
    const value = args[at + 1];
    if (value === undefined) throw new UsageError(`${name} needs a value`);
    values.set(name, value);
  }
  const number = (name: string, otherwise: number) => {
    const value = Number(values.get(name) ?? otherwise);
    if (!Number.isFinite(value) || value < 0) throw new UsageError(`${name} takes a number`);
    return value;
  };
  const scenarios = values.get("--scenario")?.split(",");
  return {
    seed: number("--seed", Date.now() % 1_000_000),
    minutes: number("--minutes", 10),
    rate: number("--rate", 900),
    lookCount: number("--looks", 4),
    faultMs: 45_000,
    pointCount: 20,
    litestreamCount: 20,
    settleLimitMs: 60_000,
    hasStore: true,
    onRound: ({ rounds, commits, faults, restores, problems }) =>
      console.log(
        `${rounds} rounds: ${commits} commits, ${faults.sum} faults, ${restores.sum} restores, ` +
          `lost = ${problems.length}`,
      ),
    ...(values.has("--round") ? { firstRound: number("--round", 1), roundCount: 1 } : {}),
    ...(scenarios === undefined ? {} : { scenarios }),
  };
}

async function run(): Promise<boolean> {
  const options = parseArguments(process.argv.slice(2));
  console.log(`seed ${options.seed}`);
  await ensureServers();
  const startMs = performance.now();
  const { tally, folder } = await playCampaign(options);
  for (const line of tally.lines({ seed: options.seed, elapsedMs: performance.now() - startMs })) {
    console.log(line);
  }
  for (const problem of tally.problems) console.log(`PROBLEM ${problem}`);
  if (tally.problems.length > 0) console.log(`evidence: ${folder}`);
  return tally.problems.length === 0;
}

// Whatever was started is killed on exit.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
try {
  process.exit(await run() ? 0 : 1);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exit(1);
}
