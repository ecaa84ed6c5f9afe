/** Rounds one after the other, until the time is up. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../../src/errors.ts";
import { type S3Server, startMinio, startVersitygw } from "../servers/s3_servers.ts";
import { Chance } from "./chance.ts";
import { FAULTS } from "./faults/all.ts";
import { availableRuntimes } from "./follower.ts";
import { Judge } from "./judge.ts";
import { playRound } from "./round.ts";
import { canMount } from "./scene.ts";
import { compileShim } from "./shim.ts";
import { Tally } from "./tally.ts";

/** What a campaign is. */
export interface CampaignOptions {
  readonly seed: number;
  readonly minutes: number;
  /** Names of faults, or beginnings of them. Default: all. */
  readonly scenarios?: readonly string[];
  /** Things go wrong for so long in each round. */
  readonly faultMs: number;
  readonly leastFaultCount?: number;
  readonly leastCommitCount?: number;
  /** Looks at each replica, before things go wrong. */
  readonly lookCount: number;
  readonly pointCount: number;
  readonly litestreamCount: number;
  readonly settleLimitMs: number;
  /** Commits a second. */
  readonly rate: number;
  /** At least one round is played; default: as many as the time lets. */
  readonly roundCount?: number;
  /** The first round to play, to repeat one that went wrong. Default 1. */
  readonly firstRound?: number;
  readonly hasStore: boolean;
  /** Called after each round. */
  readonly onRound?: (tally: Tally) => void;
}

/** Play a campaign. Evidence of problems stays in the folder that is returned, which is gone when there are none. */
export async function playCampaign(options: CampaignOptions): Promise<{ tally: Tally; folder: string }> {
  const { seed, minutes, scenarios, firstRound = 1, roundCount = Infinity } = options;
  const folder = mkdtempSync(join(tmpdir(), "walbrook-soak-"));
  const shimPath = compileShim(folder);
  const isMountable = canMount(folder);
  const tally = new Tally();
  await using judge = new Judge();
  const server = options.hasStore ? await startStore(seed) : undefined;
  try {
    const faults = FAULTS.filter(({ name, needsStore, needsSmallDisk, needsMount }) => {
      if (needsStore && server === undefined) return false;
      if ((needsSmallDisk || needsMount) && !isMountable) return false;
      return scenarios === undefined || scenarios.some((scenario) => name.startsWith(scenario));
    });
    if (faults.length === 0) {
      throw new UsageError(`no such scenario; there are ${FAULTS.map(({ name }) => name).join(", ")}`);
    }
    const endMs = performance.now() + minutes * 60_000;
    for (let round = firstRound; round < firstRound + roundCount && performance.now() < endMs; round++) {
      const roundFolder = join(folder, `seed-${seed}-round-${round}`);
      mkdirSync(roundFolder);
      const isSmall = isMountable && new Chance(seed + round).happens(0.3);
      await playRound({
        ...options,
        seed: seed * 1009 + round,
        folder: roundFolder,
        shimPath,
        judge,
        server,
        runtimes: availableRuntimes(),
        tally,
        hasSmallDisk: isSmall,
        faults: faults.filter(({ needsSmallDisk }) => isSmall || !needsSmallDisk),
      });
      options.onRound?.(tally);
    }
  } finally {
    await server?.stop();
  }
  if (tally.problems.length === 0) rmSync(folder, { recursive: true, force: true });
  return { tally, folder };
}

function startStore(seed: number): Promise<S3Server> {
  return seed % 2 === 0 ? startMinio() : startVersitygw();
}
