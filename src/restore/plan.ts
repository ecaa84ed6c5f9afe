/**
 * What to restore: one snapshot and the segments to replay over it. Pure but for asking the time of an object.
 *
 * @see docs/DESIGN.md, "Restore"
 */
import { BrokenHistoryError, DamagedObjectError } from "../errors.ts";
import {
  comparePositions,
  formatIndex,
  formatPosition,
  type IndexOffset,
  type Position,
} from "../position.ts";
import { segmentKey, snapshotKey } from "../storage/keys.ts";
import type { SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import type { Inventory, MomentOf, ObjectMoment } from "./inventory.ts";
import { isTakenOver } from "./note_search.ts";

/** How far to restore: all there is, to the end of an index, to a position between two commits, or to a moment. */
export type RestoreTarget =
  | { readonly kind: "latest" }
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "position"; readonly index: number; readonly offset: number }
  | { readonly kind: "moment"; readonly at: Date };

/** What a restore reads. */
export interface RestorePlan {
  readonly generation: string;
  readonly snapshot: SnapshotInfo;
  /** From offset 0 of the snapshot's index on, in order; empty for a snapshot alone. */
  readonly segments: readonly SegmentInfo[];
  /** The stored segment that follows them and is not restored; it says where they have to end. */
  readonly next: SegmentInfo | undefined;
  /** A snapshot of the index after them, which says the same, should `next` not be there. */
  readonly nextSnapshot: SnapshotInfo | undefined;
  /**
   * Of a restore to an index: the object that is missing between it and what is stored behind it, so that nothing
   * shows where the index ended. Any other restore is refused then.
   */
  readonly missingBehindKey: string | undefined;
}

/**
 * Decide what to restore of one generation.
 *
 * @throws {Error} when there is no snapshot for the target, or when segments that it needs are missing
 */
export async function planRestore(
  inventory: Inventory,
  target: RestoreTarget,
  momentOf: MomentOf,
): Promise<RestorePlan> {
  const { generation, segments } = inventory;
  if (inventory.snapshots.length === 0) throw noSnapshots(inventory);
  const { snapshot, end } = await chooseEnds(inventory, target, momentOf);
  const start = countWhile(segments, (segment) => segment.index < snapshot.index);
  const chosen = segments.slice(start, Math.max(start, end));
  const next = segments[Math.max(start, end)];
  checkSegments(chosen, snapshot);
  const missing = missingBehind(inventory, { snapshot, last: chosen.at(-1), next });
  if (missing !== undefined && target.kind !== "index") throw missing;
  const highest = chosen.at(-1)?.index;
  if (target.kind === "index" && highest !== target.index) {
    const hint = highest === undefined
      ? "leave -index out"
      : `the last one is -index ${formatIndex(highest)}`;
    throw new Error(
      `unable to locate index ${target.index} in generation "${generation}", highest index was ` +
        `${highest ?? -1}: ${hint}`,
    );
  }
  const nextSnapshot = highest === undefined
    ? undefined
    : inventory.snapshots.find((other) => other.index === highest + 1);
  return { generation, snapshot, segments: chosen, next, nextSnapshot, missingBehindKey: missing?.key };
}

interface Ends {
  readonly snapshot: SnapshotInfo;
  /** How many of all segments, from the first, lie within the target. */
  readonly end: number;
}

async function chooseEnds(inventory: Inventory, target: RestoreTarget, momentOf: MomentOf): Promise<Ends> {
  const { snapshots, segments } = inventory;
  if (target.kind === "moment") return await chooseByMoment(inventory, target.at, momentOf);
  if (target.kind === "position") return await chooseByPosition(inventory, target, momentOf);
  const limit = target.kind === "index" ? target.index : Infinity;
  const snapshot = snapshots[countWhile(snapshots, (other) => other.index <= limit) - 1];
  if (snapshot === undefined) {
    throw new Error(
      `cannot find snapshot index: no snapshots available up to index ${
        formatIndex(limit)
      }: the first one is of ` +
        `-index ${formatIndex(snapshots[0]!.index)}`,
    );
  }
  return { snapshot, end: countWhile(segments, (segment) => segment.index <= limit) };
}

/** The newest snapshot that is right at `position`, and the segments that begin before it. */
async function chooseByPosition(
  { snapshots, segments }: Inventory,
  position: IndexOffset,
  momentOf: MomentOf,
): Promise<Ends> {
  const end = countWhile(segments, (segment) => comparePositions(segment, position) < 0);
  for (const snapshot of snapshots.toReversed()) {
    if (snapshot.index > position.index) continue;
    const isBefore = snapshot.index < position.index;
    if (isBefore || (await momentOf(snapshot)).offset <= position.offset) return { snapshot, end };
  }
  throw new Error("cannot find snapshot index: no snapshots available");
}

/**
 * The newest snapshot that is right at `at`. One that was taken at an offset of its index is right only from there
 * on, so one whose offset the segments up to `at` don't reach gives way to the one before it.
 */
async function chooseByMoment(inventory: Inventory, at: Date, momentOf: MomentOf): Promise<Ends> {
  const { generation, snapshots, segments } = inventory;
  const end = await countSegmentsUntil(inventory, at, momentOf);
  const count = await countSnapshotsUntil(inventory, at, momentOf);
  if (count === 0) throw new Error("cannot find snapshot index by timestamp: no snapshots available");
  for (const snapshot of snapshots.slice(0, count).reverse()) {
    const { offset } = await momentOf(snapshot);
    const position = { generation, index: snapshot.index, offset };
    if (reaches({ segments, end }, position)) return { snapshot, end };
    requireIndex({ segments, end }, { snapshot, position });
    await requireReadable(segments[end]!, { snapshot, momentOf });
  }
  const [first] = snapshots;
  const { offset } = await momentOf(first!);
  const position = formatPosition({ generation, index: first!.index, offset });
  const until = segments[end]!;
  throw new Error(
    `cannot restore to ${at.toISOString()}: ${first!.key} is right only from ${position} on, which ` +
      `${until.key} reaches: ask for ${(await momentOf(until)).at.toISOString()} or later`,
  );
}

/**
 * A snapshot of the moment that is asked for, or of one before it, which the segments up to there don't reach: the one
 * that reaches it has to be there and of a later moment. Else WAL is missing that may belong to what was asked for.
 */
function requireIndex(
  { segments, end }: { segments: readonly SegmentInfo[]; end: number },
  { snapshot, position }: { snapshot: SnapshotInfo; position: Position },
): void {
  const next = segments[end];
  const isBegun = segments[end - 1]?.index === snapshot.index;
  if (next?.index === snapshot.index && (isBegun || next.offset === 0)) return;
  throw new BrokenHistoryError(
    `missing WAL: ${snapshot.key} is right only from ${formatPosition(position)} on`,
    segmentKey({ ...position, offset: 0 }),
  );
}

/**
 * The segment that such a snapshot needs, left out by the time of the listing alone: the snapshot's note says that some of
 * it is of the moment that is asked for.
 */
async function requireReadable(
  segment: SegmentInfo,
  { snapshot, momentOf }: { snapshot: SnapshotInfo; momentOf: MomentOf },
): Promise<void> {
  if ((await momentOf(segment)).isUnreadable !== true) return;
  throw new DamagedObjectError(
    segment.key,
    `it can't be read, and holds what was committed before ${snapshot.key}, which is not later than the moment asked for`,
  );
}

/** Whether the segments before `end`, where none is missing, hold all of the WAL up to a position. */
function reaches(
  { segments, end }: { segments: readonly SegmentInfo[]; end: number },
  { index, offset }: { index: number; offset: number },
): boolean {
  if (offset === 0) return true;
  const last = segments[end - 1];
  if (last === undefined || last.index < index) return false;
  if (last.index > index) return true;
  const next = segments[end];
  // Where nothing of the same index follows, its end is known only once it is read, and is judged then.
  return next === undefined || next.index > index || next.offset >= offset;
}

/**
 * How many of the segments, from the first, are not later than `at`. What was left behind before the first snapshot
 * counts as earlier, whatever time it has.
 */
export async function countSegmentsUntil(
  { snapshots, segments }: Inventory,
  at: Date,
  momentOf: MomentOf,
): Promise<number> {
  const [first] = snapshots;
  const start = first === undefined ? 0 : countWhile(segments, ({ index }) => index < first.index);
  return start + await countUntil(segments.slice(start), at, momentOf);
}

/**
 * How many of the snapshots, from the first, are not later than `at`. One without a note that looks later, as in a copy
 * of the replica, is not later than the note of a segment that follows it.
 */
export async function countSnapshotsUntil(
  inventory: Inventory,
  at: Date,
  momentOf: MomentOf,
): Promise<number> {
  const { snapshots, segments } = inventory;
  const last = segments[await countSegmentsUntil(inventory, at, momentOf) - 1];
  if (last === undefined) return await countUntil(snapshots, at, momentOf);
  const note = await momentOf(last);
  if (!note.isNoted || note.at > at) return await countUntil(snapshots, at, momentOf);
  const own = segments.filter(({ index }) => index === last.index);
  const isFollowed = async ({ index }: SnapshotInfo) =>
    index < last.index || index === last.index && await isTakenOver(own, momentOf);
  return await countUntil(snapshots, at, async (snapshot) => {
    const moment = await momentOf(snapshot);
    const isLate = !moment.isNoted && moment.at > at;
    return isLate && await isFollowed(snapshot) ? { ...moment, at: note.at, isNoted: true } : moment;
  });
}

/**
 * How many of `objects`, from the first, are not later than `at`: O(log n) questions.
 *
 * The times of notes never go back, so a note that is early enough vouches for all before it. Times of the store
 * can, and where a replica was copied they are all late: they count only behind the last such note, where the first
 * that is too late ends it.
 */
export async function countUntil(
  objects: readonly (SnapshotInfo | SegmentInfo)[],
  at: Date,
  momentOf: MomentOf,
): Promise<number> {
  const all = { vouched: 0, end: objects.length };
  const look = (nth: number) => momentOf(objects[nth]!);
  const byNotes = await narrow(all, look, (moment) => !moment.isNoted || moment.at <= at);
  const { vouched, end } = await narrow(byNotes, look, (moment) => moment.at <= at);
  for (let nth = vouched; nth < end; nth++) {
    // A listing has this time already; only one that looks too late is worth a request.
    if (objects[nth]!.createdAt > at && (await look(nth)).at > at) return nth;
  }
  return end;
}

/** Of some objects those before `vouched` are early enough, those from `end` on are not. */
interface Stretch {
  readonly vouched: number;
  readonly end: number;
}

/** Halve what is not known until nothing is left; a note that is early enough vouches for all before it. */
async function narrow(
  { vouched, end }: Stretch,
  look: (nth: number) => Promise<ObjectMoment>,
  isEarly: (moment: ObjectMoment) => boolean,
): Promise<Stretch> {
  let low = vouched;
  let high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const moment = await look(middle);
    if (!isEarly(moment)) high = middle;
    else {
      low = middle + 1;
      if (moment.isNoted) vouched = low;
    }
  }
  return { vouched, end: low };
}

/** Each index from the snapshot's on is there, begins at offset 0, and its offsets rise. */
function checkSegments(segments: readonly SegmentInfo[], snapshot: SnapshotInfo): void {
  let previous: SnapshotInfo | SegmentInfo = snapshot;
  for (const segment of segments) {
    checkOrder(previous, segment);
    previous = segment;
  }
}

/**
 * What is stored behind the last segment that is restored has to follow it: where something between them is missing,
 * nobody knows whether it belongs to what was asked for.
 */
function missingBehind(
  { snapshots }: Inventory,
  { snapshot, last, next }: {
    snapshot: SnapshotInfo;
    last: SegmentInfo | undefined;
    next: SegmentInfo | undefined;
  },
): BrokenHistoryError | undefined {
  const before = last ?? snapshot;
  const later = snapshots.find(({ index }) => index > before.index);
  const isNext = later !== undefined && (next === undefined || next.index >= later.index);
  const behind = isNext ? later : next;
  return behind && orderProblem(before, behind);
}

/**
 * Whether `object` can follow `previous`, by their names.
 *
 * @param previous the segment before it, or the snapshot of the index that begins
 * @throws {BrokenHistoryError} that names what is missing between them, or `object`
 */
export function checkOrder(
  previous: SnapshotInfo | SegmentInfo,
  object: SnapshotInfo | SegmentInfo,
): void {
  const problem = orderProblem(previous, object);
  if (problem !== undefined) throw problem;
}

function orderProblem(
  previous: SnapshotInfo | SegmentInfo,
  object: SnapshotInfo | SegmentInfo,
): BrokenHistoryError | undefined {
  const { generation, index } = object;
  const offset = "offset" in object ? object.offset : 0;
  if ("offset" in previous && previous.index === index) {
    if (offset > previous.offset) return undefined;
    return new BrokenHistoryError(
      `wal segments out of order: generation=${generation} index=${formatIndex(index)} ` +
        `offsets=(${previous.offset},${offset})`,
      object.key,
    );
  }
  const expected = "offset" in previous ? previous.index + 1 : previous.index;
  if (index !== expected) {
    return new BrokenHistoryError(
      `missing WAL index: ${generation}/${formatIndex(expected)}`,
      segmentKey({ generation, index: expected, offset: 0 }),
    );
  }
  if (offset === 0) return undefined;
  return new BrokenHistoryError(
    `missing initial wal segment: generation=${generation} index=${formatIndex(index)} offset=${offset}`,
    segmentKey({ generation, index, offset: 0 }),
  );
}

/** The error for a generation without snapshots; where there is WAL one must have been there. */
export function noSnapshots({ generation, segments }: Inventory): Error {
  const [first] = segments;
  if (first === undefined) return new Error("cannot find snapshot index: no snapshots available");
  const key = snapshotKey({ generation, index: first.index });
  return new Error(
    `cannot find snapshot index: no snapshots available: generation ${generation} has WAL from index ` +
      `${formatIndex(first.index)} on, but neither ${key} nor a later one`,
  );
}

/** How many items, from the first, fulfil `holds`, which then holds for no later one. */
function countWhile<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(items[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}
