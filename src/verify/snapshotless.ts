/** WAL without any snapshot: what it is, by the generations beside it. */
import { type MomentOf, sortInventory } from "../restore/inventory.ts";
import { momentsOf, noneIfGone } from "../restore/moments.ts";
import type { StoreOptions } from "../storage/object_store.ts";
import type { ReplicaClient, SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";

/**
 * What a generation without a snapshot is.
 *
 * - `damage`: nothing of the replica can be restored
 * - `beginning`: the newest generation, or one that may be it; its first snapshot may be on its way
 * - `leftover`: another one with a snapshot began after it
 */
export type Snapshotless = "damage" | "beginning" | "leftover";

/** Judge `generation`, which has WAL and no snapshot. Lists the whole replica. */
export async function judgeSnapshotless(
  client: ReplicaClient,
  generation: string,
  options: StoreOptions = {},
): Promise<Snapshotless> {
  const all = (await client.allObjects(options)).map(sortInventory);
  const firstSnapshots = all.filter((other) => other.generation !== generation)
    .flatMap(({ snapshots }) => snapshots.slice(0, 1));
  if (firstSnapshots.length === 0) return "damage";
  const newest = all.find((own) => own.generation === generation)?.segments.at(-1);
  // Retention has taken it meanwhile.
  if (newest === undefined) return "leftover";
  const momentOf = momentsOf(client, options);
  for (const snapshot of firstSnapshots) {
    if (await isLater(snapshot, { than: newest, momentOf })) return "leftover";
  }
  return "beginning";
}

/** By their notes, which copies keep; where those don't tell, by the store's times. */
async function isLater(
  snapshot: SnapshotInfo,
  { than, momentOf }: { than: SegmentInfo; momentOf: MomentOf },
): Promise<boolean> {
  const [began, ended] = await Promise.all(
    [snapshot, than].map((object) => momentOf(object).catch(noneIfGone)),
  );
  if (began === undefined || ended === undefined) return false;
  const byNotes = began.isNoted && ended.isNoted ? began.at.getTime() - ended.at.getTime() : 0;
  return (byNotes || snapshot.createdAt.getTime() - than.createdAt.getTime()) > 0;
}
