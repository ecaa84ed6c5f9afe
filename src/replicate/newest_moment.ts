/** The newest moment that a replica can be restored to, over all its generations. */
import type { Logger } from "../logger.ts";
import { type Bounds, boundsOf, notedBounds } from "../restore/choose.ts";
import { listGeneration, type MomentOf } from "../restore/inventory.ts";
import { momentsOf } from "../restore/moments.ts";
import type { Clock } from "../runtime/clock.ts";
import type { StoreOptions } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** Clocks of a store and of this machine may differ by so much without a word. */
const CLOCK_TOLERANCE_MS = 60_000;

/**
 * In milliseconds since 1970; 0 when there is nothing. The clock may have been ahead then, or be behind now: a moment
 * in the future is warned of. Two listings and up to three small reads a generation.
 */
export async function newestMomentOf(
  client: ReplicaClient,
  { clock, logger, ...options }: StoreOptions & { readonly clock: Clock; readonly logger: Logger },
): Promise<number> {
  const momentOf = momentsOf(client, options);
  let newest = 0;
  for (const generation of await client.generations(options)) {
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

/** Where no note tells it, every object tells its time. */
async function listedBounds(
  client: ReplicaClient,
  generation: string,
  { momentOf, ...options }: StoreOptions & { readonly momentOf: MomentOf },
): Promise<Bounds | undefined> {
  const inventory = await listGeneration(client, generation, options);
  return inventory.snapshots.length === 0 ? undefined : await boundsOf(inventory, momentOf);
}
