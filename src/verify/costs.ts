/** Which restore points a fault makes unreachable. Pure. */
import type { IndexOffset } from "../position.ts";
import type { SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import type { Cost } from "./report.ts";

/** A snapshot or a segment of a generation. */
export type StoredItem = SnapshotInfo | SegmentInfo;

/** What was learned of an item when it was read. */
export interface ItemFacts {
  readonly item: StoredItem;
  /** The time of its newest commit. */
  readonly at: Date;
  /** For a snapshot: from which offset of its index on it is right. */
  readonly rightFrom: number;
}

/** The state after an item, and the snapshot that a restore of it begins with; both as places among the items. */
interface Point {
  readonly place: number;
  readonly snapshotPlace: number;
  readonly at: Date;
}

/** Snapshots and segments in the order of a restore: a snapshot stands before the segments of its index. */
export function orderItems(
  snapshots: readonly SnapshotInfo[],
  segments: readonly SegmentInfo[],
): StoredItem[] {
  const items: StoredItem[] = [];
  let next = 0;
  for (const snapshot of snapshots) {
    while (next < segments.length && segments[next]!.index < snapshot.index) items.push(segments[next++]!);
    items.push(snapshot);
  }
  return [...items, ...segments.slice(next)];
}

/** The restore points of a generation and what faults do to them. */
export class RestorePoints {
  readonly #facts: readonly ItemFacts[];
  readonly #points: readonly Point[];
  /** Of the points, by their order. */
  readonly #isLost: boolean[];

  /** @param facts of all items, in the order of `orderItems()` */
  constructor(facts: readonly ItemFacts[]) {
    this.#facts = facts;
    this.#points = pointsOf(facts);
    this.#isLost = this.#points.map(() => false);
  }

  get count(): number {
    return this.#points.length;
  }

  /** Those that nothing that `lose()` was told of makes unreachable. */
  get reachable(): readonly { readonly at: Date }[] {
    return this.#points.filter((_, nth) => !this.#isLost[nth]);
  }

  /** The fault at `position` makes points unreachable; where nothing is stored there, what comes before it lost its end. */
  lose(position: IndexOffset): void {
    for (const nth of this.#lostBy(position)) this.#isLost[nth] = true;
  }

  /** What the fault at `position` costs, once `lose()` was told of all. */
  costOf(position: IndexOffset): Cost {
    const lost = this.#lostBy(position);
    const [first, last] = [lost[0], lost.at(-1)];
    const isReachable = (nth: number) => !this.#isLost[nth];
    if (first === undefined || last === undefined) {
      return { pointCount: 0, isEarlierPossible: this.#points.some((_, nth) => isReachable(nth)) };
    }
    return {
      pointCount: lost.length,
      from: this.#points[first]!.at,
      until: this.#points.find((_, nth) => nth > last && isReachable(nth))?.at,
      isEarlierPossible: this.#points.some((_, nth) => nth < first && isReachable(nth)),
    };
  }

  #lostBy(position: IndexOffset): number[] {
    const place = placeOf(this.#facts, position);
    const lost: number[] = [];
    const isSnapshot = position.offset === SNAPSHOT_OFFSET;
    for (const [nth, { snapshotPlace, place: end }] of this.#points.entries()) {
      // A bad snapshot is nothing to what is restored from another; a bad segment is to all that is replayed over it.
      if (isSnapshot ? snapshotPlace === place : snapshotPlace <= place && place <= end) lost.push(nth);
    }
    return lost;
  }
}

/** Stands for the snapshot of an index, right before its segments. */
const SNAPSHOT_OFFSET = -1;

/** Where an item stands among the others. */
export function positionOf(item: StoredItem): IndexOffset {
  return { index: item.index, offset: "offset" in item ? item.offset : SNAPSHOT_OFFSET };
}

/** The place of the last item that is not behind `position`; −1 when all are. */
function placeOf(facts: readonly ItemFacts[], { index, offset }: IndexOffset): number {
  return facts.findLastIndex(({ item }) => {
    const at = positionOf(item);
    return at.index < index || (at.index === index && at.offset <= offset);
  });
}

function pointsOf(facts: readonly ItemFacts[]): Point[] {
  const points: Point[] = [];
  /** Places of the snapshots so far. */
  const snapshots: number[] = [];
  for (const [place, { item, at, rightFrom }] of facts.entries()) {
    if (!("offset" in item)) {
      snapshots.push(place);
      // One that needs WAL of its index is a state only together with that.
      const next = facts[place + 1]?.item;
      const isFollowed = next !== undefined && "offset" in next && next.index === item.index;
      if (rightFrom === 0 || !isFollowed) points.push({ place, snapshotPlace: place, at });
      continue;
    }
    const next = facts[place + 1]?.item;
    const end = next !== undefined && "offset" in next && next.index === item.index ? next.offset : Infinity;
    const snapshotPlace = snapshots.findLast((other) => {
      const snapshot = facts[other]!;
      return snapshot.item.index < item.index || snapshot.rightFrom <= end;
    });
    if (snapshotPlace !== undefined) points.push({ place, snapshotPlace, at });
  }
  return points;
}

/** `cost` in words. */
export function describeCost({ pointCount, from, until, isEarlierPossible }: Cost): string {
  if (pointCount === 0 || from === undefined) {
    return isEarlierPossible
      ? "costs nothing: no restore needs it"
      : "no restore of this generation is possible";
  }
  const start = from.toISOString();
  if (until === undefined) {
    return `restores to ${start} and later are not possible; ` +
      (isEarlierPossible ? "earlier ones are" : "there is none that is");
  }
  return `restores from ${start} to before ${until.toISOString()} are not possible; ` +
    (isEarlierPossible ? "earlier and later ones are" : "later ones are");
}
