/** What retention has to know of a replica: generations and the ages of their snapshots, and what can go of them. */
import type { DutyParts } from "./duty.ts";
import { type AgedGeneration, type AgedSnapshot, planRetention, type RetentionPlan } from "./retention.ts";
import { boundsOf } from "../restore/choose.ts";
import { endsOf, type Inventory, type MomentOf } from "../restore/inventory.ts";
import { momentsOf } from "../restore/moments.ts";
import type { Forgiveness } from "../restore/unreadable.ts";
import type { SnapshotInfo } from "../storage/replica_client.ts";

/** A note that is so far ahead tells nothing of how old its snapshot is, but that some clock was wrong. */
const AHEAD_MS = 3_600_000;

/** A generation as listed; segments only where somebody needed them. */
export interface Listed {
  readonly generation: string;
  readonly snapshots: readonly SnapshotInfo[];
  readonly inventory: Inventory | undefined;
  readonly aged: AgedGeneration;
}

/** What a look at the replica gave. */
export interface Look {
  readonly listed: readonly Listed[];
  readonly plan: RetentionPlan;
  readonly momentOf: MomentOf;
  /** Whether all that was looked at could be read. */
  readonly isReadable: boolean;
}

/**
 * List the replica and decide what can go of it.
 *
 * @param options.current the generation that is being written
 * @param options.tell called for each object that can't be read; what it tells keeps more
 */
export async function lookAtReplica(
  parts: DutyParts,
  { current, retentionMs, tell, signal }: {
    readonly current: string;
    readonly retentionMs: number;
    readonly tell: Forgiveness["tell"];
    readonly signal: AbortSignal;
  },
): Promise<Look> {
  const { client, clock } = parts;
  const now = new Date(clock.now());
  const cutOffAt = new Date(now.getTime() - retentionMs);
  const names = await explained("generations", client.generations({ signal }));
  const isAlone = names.length <= 1;
  const all: Inventory[] = [];
  for (const generation of names) {
    const snapshots = await explained("snapshots", client.snapshots(generation, { signal }));
    // Alone, a generation needs no bounds, and its segments nobody's listing.
    const segments = isAlone ? [] : await explained("generations", client.segments(generation, { signal }));
    all.push({ generation, snapshots, segments });
  }
  const unreadable = new Set<string>();
  const momentOf = momentsOf(client, {
    signal,
    forgiveness: {
      others: async () => [
        ...all.flatMap(endsOf),
        ...(isAlone ? await client.segments(all[0]!.generation, { signal }) : []),
      ],
      tell: (object, error) => {
        unreadable.add(object.generation);
        tell(object, error);
      },
    },
  });
  const listed: Listed[] = [];
  for (const inventory of all) {
    const { generation, snapshots, segments } = inventory;
    const bounds = isAlone || snapshots.length === 0
      ? []
      : [await boundsOf(inventory, momentOf), await boundsOf(inventory, listedMoment)];
    const isUnreadable = unreadable.has(generation);
    const aged = {
      generation,
      isUnreadable,
      snapshots: await ageOf(snapshots, { parts, cutOffAt, momentOf }),
      bounds,
      newestWalAt: segments.map(({ createdAt }) => createdAt).reduce(later, new Date(0)),
    };
    listed.push({ generation, snapshots, inventory: isAlone ? undefined : inventory, aged });
  }
  const plan = planRetention({
    generations: listed.map(({ aged }) => aged),
    current,
    now,
    retentionMs,
  });
  return { listed, plan, momentOf, isReadable: unreadable.size === 0 };
}

/** Notes are read only of snapshots whose age by the listing would let older ones go. */
async function ageOf(
  snapshots: readonly SnapshotInfo[],
  { parts, cutOffAt, momentOf }: { parts: DutyParts; cutOffAt: Date; momentOf: MomentOf },
): Promise<AgedSnapshot[]> {
  /** The later of the store's time and ours, unless ours is of a clock that was far ahead. */
  const plausible = (stored: Date, noted: Date) =>
    noted.getTime() > parts.clock.now() + AHEAD_MS ? stored : later(stored, noted);
  const aged: AgedSnapshot[] = [];
  let isFound = false;
  for (const [nth, snapshot] of [...snapshots.entries()].reverse()) {
    const { index, createdAt } = snapshot;
    const own = parts.loop.latestSnapshot;
    const isOwn = own?.position.generation === snapshot.generation && own.position.index === index;
    let at = isOwn ? plausible(createdAt, own.at) : createdAt;
    const isLast = nth === 0 && snapshots.length > 1;
    let isUnreadable = false;
    if (!isFound && !isLast && at <= cutOffAt) {
      const moment = await momentOf(snapshot);
      at = plausible(at, moment.at);
      isUnreadable = moment.isUnreadable === true;
    }
    isFound ||= at <= cutOffAt && !isUnreadable;
    aged.unshift({ index, at, isUnreadable });
  }
  return aged;
}

const listedMoment: MomentOf = ({ createdAt }) =>
  Promise.resolve({ at: createdAt, isNoted: false, offset: 0 });

/** The later of two times. */
export function later(left: Date, right: Date): Date {
  return left > right ? left : right;
}

/** What `promise` resolves to; its failure is told as that of `what`. */
export async function explained<T>(what: string, promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (cause) {
    throw new Error(what, { cause });
  }
}
