/** The newest moment that a replica can be restored to, over all its generations. */
import type { Logger } from "../logger.ts";
import { boundsOf } from "../restore/choose.ts";
import { listGeneration } from "../restore/inventory.ts";
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
    const inventory = await listGeneration(client, generation, options);
    if (inventory.snapshots.length === 0) continue;
    newest = Math.max(newest, (await boundsOf(inventory, momentOf)).endAt.getTime());
  }
  if (newest - clock.now() > CLOCK_TOLERANCE_MS) {
    logger.warn("the replica has commits from the future, ours will count as later: check the clock", {
      newest: new Date(newest).toISOString(),
    });
  }
  return newest;
}
