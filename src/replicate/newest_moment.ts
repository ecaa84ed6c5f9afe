/** The newest moment that a replica can be restored to, over all its generations. */
import { describeError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { type Bounds, boundsOf, notedBounds } from "../restore/choose.ts";
import { endsOf, listGeneration, type MomentOf } from "../restore/inventory.ts";
import { momentsOf } from "../restore/moments.ts";
import type { Forgiveness } from "../restore/unreadable.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ObjectInfo, StoreOptions } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** Clocks of a store and of this machine may differ by so much without a word. */
const CLOCK_TOLERANCE_MS = 60_000;

/**
 * In milliseconds since 1970; 0 when there is nothing. The clock may have been ahead then, or be behind now: a moment
 * in the future is warned of. Two listings and up to three small reads a generation.
 *
 * An object that can't be read, while others can be, has the time of the listing: it must not keep a new generation from
 * being begun.
 */
export async function newestMomentOf(
  client: ReplicaClient,
  { clock, logger, ...options }: StoreOptions & { readonly clock: Clock; readonly logger: Logger },
): Promise<number> {
  const generations = await client.generations(options);
  const tell = tellOnce(logger);
  let newest = 0;
  for (const generation of generations) {
    const forgiveness = { others: () => someObjects(client, { generation, generations, ...options }), tell };
    const momentOf = momentsOf(client, { ...options, forgiveness });
    const ends = await client.ends(generation, options);
    const bounds = (ends && await notedBounds(ends, momentOf)) ??
      await listedBounds(client, generation, { momentOf, ...options });
    newest = Math.max(newest, bounds?.endAt.getTime() ?? 0);
  }
  if (newest - clock.now() > CLOCK_TOLERANCE_MS) {
    logger.warn("the replica has commits from the future, ours will count as later: check the clock", {
      newest: new Date(newest).toISOString(),
    });
  }
  return newest;
}

function tellOnce(logger: Logger): Forgiveness["tell"] {
  let isTold = false;
  return ({ key, generation }, error) => {
    if (isTold) return;
    isTold = true;
    logger.warn(
      "an object of another generation can't be read: our commits count as later than its listed time",
      {
        generation,
        key,
        error: describeError(error),
      },
    );
  };
}

/** The ends of one generation, and the newest snapshot of each. */
async function someObjects(
  client: ReplicaClient,
  { generation, generations, ...options }: StoreOptions & {
    readonly generation: string;
    readonly generations: readonly string[];
  },
): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = endsOf(await listGeneration(client, generation, options));
  for (const other of generations) found.push(...(await client.snapshots(other, options)).slice(-1));
  return found;
}

/** Where no note tells it, every object tells its time. */
async function listedBounds(
  client: ReplicaClient,
  generation: string,
  { momentOf, ...options }: StoreOptions & { readonly momentOf: MomentOf },
): Promise<Bounds | undefined> {
  const inventory = await listGeneration(client, generation, options);
  return inventory.snapshots.length === 0 ? undefined : await boundsOf(inventory, momentOf);
}
