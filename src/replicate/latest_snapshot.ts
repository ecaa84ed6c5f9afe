/** The newest snapshot of a generation, and whether the database has moved on since. */
import type { Position } from "../position.ts";
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

/**
 * Whether the database has come to an index that `snapshot` is not of. One of the same index has the same name: it would
 * take its place, and with it the moments before the new one, while the WAL from the index's start on leads to both.
 */
export function hasChangedSince(snapshot: StoredSnapshot, position: Position): boolean {
  return snapshot.position.generation !== position.generation || position.index > snapshot.position.index;
}
