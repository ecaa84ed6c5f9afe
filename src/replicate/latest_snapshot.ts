/** The newest snapshot of a generation, and whether the database has moved on since. */
import { comparePositions, type Position } from "../position.ts";
import { fetchNote } from "../restore/moments.ts";
import type { StoreOptions } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";
import type { StoredSnapshot } from "./take_snapshot.ts";

/** Find it in the replica: a listing and a small read of its note. */
export async function findLatestSnapshot(
  client: ReplicaClient,
  generation: string,
  options: StoreOptions = {},
): Promise<StoredSnapshot | undefined> {
  const newest = (await client.snapshots(generation, options)).at(-1);
  if (newest === undefined) return undefined;
  const note = await fetchNote(client, newest, options);
  const offset = note?.kind === "snapshot" ? note.offset : 0;
  return { position: { generation, index: newest.index, offset }, at: newest.createdAt };
}

/** Whether `snapshot` lacks something that the database has; a new one would be the same otherwise. */
export function hasChangedSince(snapshot: StoredSnapshot, position: Position): boolean {
  return snapshot.position.generation !== position.generation ||
    comparePositions(position, snapshot.position) > 0;
}
