/** The newest moment that a replica can be restored to, over all its generations. */
import { boundsOf } from "../restore/choose.ts";
import { listGeneration } from "../restore/inventory.ts";
import { momentsOf } from "../restore/moments.ts";
import type { StoreOptions } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** In milliseconds since 1970; 0 when there is nothing. Two listings and up to three small reads a generation. */
export async function newestMomentOf(client: ReplicaClient, options: StoreOptions = {}): Promise<number> {
  const momentOf = momentsOf(client, options);
  let newest = 0;
  for (const generation of await client.generations(options)) {
    const inventory = await listGeneration(client, generation, options);
    if (inventory.snapshots.length === 0) continue;
    newest = Math.max(newest, (await boundsOf(inventory, momentOf)).endAt.getTime());
  }
  return newest;
}
