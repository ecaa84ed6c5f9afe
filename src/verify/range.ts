/** The part of a generation that restores to a stretch of time need. */
import type { Inventory, MomentOf } from "../restore/inventory.ts";
import { countSegmentsUntil, countSnapshotsUntil } from "../restore/plan.ts";

/** The moments that are asked for, both included; absent means no bound. */
export interface MomentRange {
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
}

/**
 * What of `inventory` is read for restores to moments in the range, and one object behind them, which shows where the
 * last of them has to end. `undefined` when there is nothing so old.
 */
export async function withinRange(
  inventory: Inventory,
  { from, to }: MomentRange,
  momentOf: MomentOf,
): Promise<Inventory | undefined> {
  let { snapshots, segments } = inventory;
  if (to !== undefined) {
    const count = await countSnapshotsUntil(inventory, to, momentOf);
    const segmentCount = await countSegmentsUntil(inventory, to, momentOf);
    if (count === 0 && (snapshots.length > 0 || segmentCount === 0)) return undefined;
    snapshots = snapshots.slice(0, count);
    segments = segments.slice(0, segmentCount + 1);
  }
  const first = from && await firstNeeded({ ...inventory, snapshots }, from, momentOf);
  if (first === undefined) return { ...inventory, snapshots, segments };
  return {
    ...inventory,
    snapshots: snapshots.filter(({ index }) => index >= first),
    segments: segments.filter(({ index }) => index >= first),
  };
}

/** The index of the newest snapshot that is right at `from` whatever WAL it needs. */
async function firstNeeded(
  inventory: Inventory,
  from: Date,
  momentOf: MomentOf,
): Promise<number | undefined> {
  const { snapshots } = inventory;
  const count = await countSnapshotsUntil(inventory, from, momentOf);
  for (const snapshot of snapshots.slice(0, count).reverse()) {
    // One of the middle of an index may be right only later, and the one before it is needed then.
    if ((await momentOf(snapshot)).offset === 0) return snapshot.index;
  }
  return snapshots[0]?.index;
}
