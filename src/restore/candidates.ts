/** The generations that replicas have, and which replica has most of one. */
import type { Logger } from "../logger.ts";
import { comparePositions } from "../position.ts";
import type { StoreOptions } from "../storage/object_store.ts";
import type { ReplicaClient, SegmentInfo } from "../storage/replica_client.ts";
import { endsOf, type Inventory, type MomentOf, sortInventory } from "./inventory.ts";
import { isVanished, momentsOf } from "./moments.ts";
import type { Forgiveness } from "./unreadable.ts";

/** A generation that can be restored. */
export interface Choice {
  readonly client: ReplicaClient;
  readonly inventory: Inventory;
  readonly momentOf: MomentOf;
  /** The same for the choice alone, which an object that is gone since it was listed doesn't fail: who needs it does. */
  readonly roughMomentOf: MomentOf;
  /** The generations of its replica of which an object couldn't be read when it was looked at. */
  readonly unreadable: ReadonlySet<string>;
}

/** Generations with snapshots or WAL; a folder with neither is nothing. */
export async function candidatesOf(
  client: ReplicaClient,
  { generation: wanted, logger, ...options }: StoreOptions & {
    readonly generation: string | undefined;
    readonly logger: Logger;
  },
): Promise<Choice[]> {
  const unreadable = new Set<string>();
  const found: Choice[] = [];
  const tell: Forgiveness["tell"] = ({ key, generation }, error) => {
    if (unreadable.has(generation)) return;
    unreadable.add(generation);
    const message = "an object can't be read, and the time of the listing counts for it: to get another " +
      "generation than the one that is restored, name it with -generation";
    logger.warn(message, { replica: client.name, generation, key, error });
  };
  const others = () => Promise.resolve(found.flatMap(({ inventory }) => endsOf(inventory)));
  const momentOf = momentsOf(client, { ...options, forgiveness: { others, tell } });
  const roughMomentOf: MomentOf = (object) =>
    momentOf(object).catch((error) => {
      if (!isVanished(error)) throw error;
      tell(object, error);
      return { at: object.createdAt, isNoted: false, offset: 0, isUnreadable: true };
    });
  const listed = await client.allObjects({ wanted, ...options }).catch((cause) => {
    throw new Error("cannot fetch generations", { cause });
  });
  for (const objects of listed) {
    if (objects.snapshots.length + objects.segments.length === 0) continue;
    found.push({ client, inventory: sortInventory(objects), momentOf, roughMomentOf, unreadable });
  }
  return found;
}

/** Whether nothing of it was found that can't be read. */
export function isReadable({ inventory, unreadable }: Choice): boolean {
  return !unreadable.has(inventory.generation);
}

/** Whether both are of one generation. */
export function isSameGeneration(left: Choice, right: Choice): boolean {
  return left.inventory.generation === right.inventory.generation;
}

/** Of replicas of one generation the one that has most of it, which ends of generations don't tell where a clock was ahead. */
export async function farthestOf(replicas: readonly Choice[], chosen: Choice): Promise<Choice> {
  let best = chosen;
  for (const other of replicas) if (await compareEnds(other, best) > 0) best = other;
  return best;
}

/**
 * Which of two replicas has more of the same generation, as a sort does. Of one index the last objects' times tell:
 * where a segment starts says nothing of how far it reaches, and notes rise along a generation by any clock.
 */
export async function compareEnds(left: Choice, right: Choice): Promise<number> {
  const [one, other] = [lastOf(left), lastOf(right)];
  const isSame = one.offset === other.offset && one.size === other.size;
  if (one.index !== other.index || isSame) return one.index - other.index;
  const [leftEnd, rightEnd] = await Promise.all([left.roughMomentOf(one), right.roughMomentOf(other)]);
  // A store gets an object later than a note says: its time compares with that of a store alone.
  const isListed = leftEnd.isUnreadable || rightEnd.isUnreadable;
  const [leftAt, rightAt] = isListed ? [one.createdAt, other.createdAt] : [leftEnd.at, rightEnd.at];
  return leftAt.getTime() - rightAt.getTime() || one.offset - other.offset;
}

/** The object at the end of what is stored of a generation; a snapshot stands at the start of its index. */
function lastOf({ inventory: { snapshots, segments } }: Choice): SegmentInfo {
  const snapshot = { ...snapshots.at(-1)!, offset: 0 };
  const segment = segments.at(-1) ?? snapshot;
  return comparePositions(segment, snapshot) < 0 ? snapshot : segment;
}
