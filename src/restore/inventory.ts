/** What a generation holds, and the times of its objects. */
import { comparePositions } from "../position.ts";
import type { ReplicaClient, SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import type { StoreOptions } from "../storage/object_store.ts";

/** The objects of one generation, as listed. Snapshots rise by index, segments by index and offset. */
export interface Inventory {
  readonly generation: string;
  readonly snapshots: readonly SnapshotInfo[];
  readonly segments: readonly SegmentInfo[];
}

/** What is known of the time of an object. */
export interface ObjectMoment {
  /** The time of its newest commit when it has a note, else when the store says that it came to be. */
  readonly at: Date;
  /** Whether a note says so, which copying a replica does not change. */
  readonly isNoted: boolean;
  /** For a snapshot, the offset within its index from which on it is right; 0 without a note. */
  readonly offset: number;
  /** The object can't be read, so that nobody knows whether it has a note. */
  readonly isUnreadable?: boolean | undefined;
}

/** Finds the time of an object; asking twice costs nothing. */
export type MomentOf = (object: SnapshotInfo | SegmentInfo) => Promise<ObjectMoment>;

/** List one generation. */
export async function listGeneration(
  client: ReplicaClient,
  generation: string,
  options: StoreOptions = {},
): Promise<Inventory> {
  return sortInventory({ generation, ...await client.objects(generation, options) });
}

/** The same in the order that `Inventory` promises. */
export function sortInventory({ generation, snapshots, segments }: Inventory): Inventory {
  return {
    generation,
    snapshots: snapshots.toSorted((left, right) => left.index - right.index),
    // A position can be written with more digits than it needs; the keys then decide.
    segments: segments.toSorted((left, right) =>
      comparePositions(left, right) || (left.key < right.key ? -1 : 1)
    ),
  };
}

/** The first and the last of its snapshots and of its segments. */
export function endsOf({ snapshots, segments }: Inventory): (SnapshotInfo | SegmentInfo)[] {
  return [snapshots[0], snapshots.at(-1), segments[0], segments.at(-1)].filter((end) => end !== undefined);
}
