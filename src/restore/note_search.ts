/** Where notes are among objects of which some have none, found with few looks. */
import { noneIfGone } from "./moments.ts";
import type { SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import type { Inventory, MomentOf } from "./inventory.ts";

/**
 * The time of the last object that has a note, where those at the end have none: Litestream went on with what we
 * began, and may have replaced our first snapshot. What follows a note is not older, whatever the store's clock says.
 *
 * Looks at some twenty objects of thousands: at growing distances from the end, then for where the notes end.
 */
export async function lastNoted<T extends SnapshotInfo | SegmentInfo>(
  objects: readonly T[],
  momentOf: MomentOf,
): Promise<Date | undefined> {
  const tried: number[] = [];
  for (let distance = 1; tried.at(-1) !== 0 && distance < 2 * objects.length; distance *= 2) {
    tried.push(Math.max(0, objects.length - 1 - distance));
  }
  const look = (at: number) => momentOf(objects[at]!).catch(noneIfGone);
  const moments = await Promise.all(tried.map(look));
  const nth = moments.findIndex((moment) => moment?.isNoted);
  if (nth === -1) return undefined;
  let last = moments[nth]!.at;
  let [low, high] = [tried[nth]!, tried[nth - 1] ?? objects.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const moment = await look(middle);
    if (moment?.isNoted) [low, last] = [middle, moment.at];
    else high = middle;
  }
  return last;
}

/**
 * The first note of what tells how old a snapshot without one is at most: later snapshots, segments of later indexes,
 * and of its own where we took that over from Litestream. In an index that Litestream took over from us, its snapshot
 * can be later than our notes.
 */
export async function noteBehind(
  snapshot: SnapshotInfo,
  { snapshots, segments }: Inventory,
  momentOf: MomentOf,
): Promise<Date | undefined> {
  const isLater = ({ index }: { index: number }) => index > snapshot.index;
  const own = segments.filter(({ index }) => index === snapshot.index);
  const taken = await isTakenOver(own, momentOf) ? own : [];
  const [left, right] = await Promise.all([
    lastNoted([snapshot, ...snapshots.filter(isLater)].toReversed(), momentOf),
    lastNoted([snapshot, ...taken, ...segments.filter(isLater)].toReversed(), momentOf),
  ]);
  return left === undefined || right !== undefined && right < left ? right : left;
}

/** Whether an index was begun without notes and ends with them. */
export async function isTakenOver(segments: readonly SegmentInfo[], momentOf: MomentOf): Promise<boolean> {
  if (segments.length === 0) return false;
  const ends = [segments[0]!, segments.at(-1)!];
  const [first, last] = await Promise.all(ends.map((end) => momentOf(end).catch(noneIfGone)));
  return first?.isNoted === false && last?.isNoted === true;
}
