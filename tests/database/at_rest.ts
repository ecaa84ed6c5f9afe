/** A database that one other process has to itself, and how to have it come to rest. */
import { Neighbour } from "./neighbour.ts";
import { type Stage, until } from "./stage.ts";
import type { LiveDatabase } from "../../src/database/database.ts";
import type { DatabaseOptions } from "../../src/database/database_options.ts";
import { readLastSeen } from "../../src/database/last_seen.ts";
import { isUnwritten } from "../../src/database/seen_file.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";

/** What surrounds a quiet database is looked at this often. */
export const LOOK_AROUND_MS = 5000;

/** A database with one row that only another process has open, which takes part in no checkpoint by itself. */
export async function onlyNeighbour(stage: Stage): Promise<Neighbour> {
  stage.insert();
  stage.closeApplication();
  const neighbour = stage.neighbour();
  await neighbour.sql("INSERT INTO t (x) VALUES (1)");
  return neighbour;
}

/**
 * The neighbour's commits are all in the database file, nobody has to wait for our reader, and walbrook has written down
 * that it is so.
 */
export async function atRest(database: LiveDatabase, { neighbour, clock }: {
  neighbour: Neighbour;
  clock: SkippingClock;
}): Promise<void> {
  await until(async () => {
    clock.skip(LOOK_AROUND_MS);
    await database.settle();
    const { frameCount, backfilledCount } = await neighbour.checkpoint("PASSIVE");
    return frameCount === backfilledCount && isSeenAtRest(database);
  }, { what: "all to be backfilled" });
}

/** A database that is followed and has come to rest. */
export async function followedAtRest(
  stage: Stage,
  options: Partial<DatabaseOptions> & { clock?: SkippingClock } = {},
): Promise<{ neighbour: Neighbour; database: LiveDatabase; clock: SkippingClock }> {
  const neighbour = await onlyNeighbour(stage);
  const { clock = new SkippingClock() } = options;
  const database = await stage.follow({ ...options, clock });
  await atRest(database, { neighbour, clock });
  return { neighbour, database, clock };
}

function isSeenAtRest({ path, meta }: LiveDatabase): boolean {
  const seen = readLastSeen(meta);
  const isStill = seen?.isAtRest === true && isUnwritten(seen.main, systemFiles.statSync(path)!);
  return isStill && isUnwritten(seen.wal, systemFiles.statSync(`${path}-wal`)!);
}
