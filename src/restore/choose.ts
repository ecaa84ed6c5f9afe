/** Which replica and which generation to restore from. */
import { Semaphore } from "../async.ts";
import { NoBackupsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { GenerationEnds, ReplicaClient } from "../storage/replica_client.ts";
import { snapshotKey } from "../storage/keys.ts";
import type { ObjectInfo } from "../storage/object_store.ts";
import {
  candidatesOf,
  type Choice,
  compareEnds,
  farthestOf,
  isReadable,
  isSameGeneration,
} from "./candidates.ts";
import type { Inventory, MomentOf } from "./inventory.ts";
import { lastNoted, noteBehind } from "./note_search.ts";
import { noSnapshots, type RestoreTarget } from "./plan.ts";

/** Generations whose times are looked up at once: each takes two ways to the store and back. */
const LOOK_COUNT = 8;

/** Commits of longer are not stored late, all at once, but by a copy; and what a copy brings next comes within this. */
const COPY_MS = 3_600_000;

/** From when to when a generation has something to restore. */
export interface Bounds {
  readonly startAt: Date;
  readonly endAt: Date;
  /** The newest note that was found. */
  readonly notedEndAt?: Date | undefined;
  /** Whether that is the end; else the store's times tell it. */
  readonly isNoted?: boolean;
  /** When the store got the first and the last object, in the order of time. */
  readonly storedStartAt?: Date;
  readonly storedEndAt?: Date;
}

/**
 * Of several bounds the one to restore from: the latest end, counted only up to a moment that is asked for; between
 * equals the one that began last. `undefined` when none had begun by then.
 */
export function chooseBounds<T extends Bounds>(all: readonly T[], target: RestoreTarget): T | undefined {
  const until = target.kind === "moment" ? target.at.getTime() : Infinity;
  const end = (bounds: Bounds) => Math.min(bounds.endAt.getTime(), until);
  let best: T | undefined;
  for (const bounds of all) {
    if (bounds.startAt.getTime() > until) continue;
    const order = best === undefined
      ? 1
      : end(bounds) - end(best) || bounds.startAt.getTime() - best.startAt.getTime();
    if (order > 0) best = bounds;
  }
  return best;
}

/** From the first snapshot's time to that of the newest object; WAL before the first snapshot doesn't count. */
export async function boundsOf(inventory: Inventory, momentOf: MomentOf): Promise<Bounds> {
  const { snapshots, segments } = inventory;
  const first = snapshots[0]!;
  const useful = segments.filter((segment) => segment.index >= first.index);
  const objects = [...snapshots, ...useful];
  const stored = {
    storedStartAt: new Date(
      objects.reduce((ms, { createdAt }) => Math.min(ms, createdAt.getTime()), Infinity),
    ),
    storedEndAt: new Date(newestMs(objects)),
  };
  const ends = { firstSnapshot: first, lastSnapshot: snapshots.at(-1), lastSegment: useful.at(-1) };
  if (await notedBounds(ends, momentOf) !== undefined) {
    const noted = (await notedBounds(ends, noLaterThanNotes(inventory, momentOf)))!;
    return { ...noted, ...stored };
  }
  const { at } = await momentOf(first);
  const lasts = await Promise.all([lastNoted(snapshots, momentOf), lastNoted(useful, momentOf)]);
  const notes = lasts.filter((end) => end !== undefined);
  const notedEndAt = notes.length === 0 ? undefined : boundsFrom(notes[0]!, notes).endAt;
  // Times of the store don't have to rise.
  const bounds = boundsFrom(at, [stored.storedEndAt, ...notes]);
  return { ...bounds, notedEndAt, isNoted: false, ...stored };
}

/**
 * The same generations, all of one store: one without a note at its end ends after every other that the store has got
 * nothing for since. Notes may be of a time when this machine's clock was ahead.
 */
export function inStoredOrder<T extends Bounds>(all: readonly T[]): T[] {
  const storedEnd = ({ storedEndAt }: T) => storedEndAt?.getTime() ?? 0;
  const rising = all.toSorted((left, right) =>
    storedEnd(left) - storedEnd(right) || left.startAt.getTime() - right.startAt.getTime()
  );
  let notedMs = -Infinity;
  let before: T | undefined;
  return rising.map((bounds) => {
    if (bounds.isNoted !== false) {
      notedMs = Math.max(notedMs, bounds.endAt.getTime());
      return bounds;
    }
    // No later than it has to be: ours that goes on after it begins a little behind the last note.
    const isLastToBegin = before === undefined || bounds.startAt > before.startAt;
    const beforeMs = before === undefined ? -Infinity : before.endAt.getTime() + (isLastToBegin ? 0 : 1);
    const endAt = new Date(Math.max(bounds.endAt.getTime(), notedMs + 1, beforeMs));
    before = { ...bounds, endAt };
    return before;
  });
}

/**
 * The same generations, all of one store: one whose end can't be read ends before each other with notes that the store
 * has got something for since. It has the store's time, which is later than its notes would be, and may be by another
 * clock.
 */
export function beforeWhatCameLater<T extends Bounds>(
  all: readonly T[],
  isUnreadable: (bounds: T) => boolean,
): T[] {
  return all.map((bounds) => {
    if (bounds.isNoted !== false || !isUnreadable(bounds)) return bounds;
    const limits = all.filter(({ isNoted, storedEndAt }) =>
      isNoted === true && storedEndAt! > bounds.storedEndAt!
    ).map(({ startAt, endAt, storedStartAt }) => storedStartAt! > bounds.storedEndAt! ? startAt : endAt);
    const limitMs = Math.min(...limits.map((at) => at.getTime() - 1));
    const endAt = new Date(Math.min(bounds.endAt.getTime(), limitMs));
    const startAt = new Date(Math.min(bounds.startAt.getTime(), limitMs));
    return { ...bounds, startAt, endAt };
  });
}

/**
 * The same generations, all of one store, without those that only look newer than one with notes, since a copy of the
 * replica has lost the times of files: they give way to that one wherever it can be restored.
 */
export function withoutCopied<T extends Bounds>(all: readonly T[], target: RestoreTarget): T[] {
  const until = target.kind === "moment" ? target.at.getTime() : Infinity;
  const copied = all.filter((bounds) => bounds.startAt.getTime() <= until && isStoredLate(bounds));
  if (copied.length === 0) return [...all];
  return all.filter((bounds) => !copied.some((noted) => isCopiedWith(bounds, noted)));
}

/** Whether the store has got everything of a generation with notes only after its newest commit. */
function isStoredLate({ isNoted, storedStartAt, endAt }: Bounds): boolean {
  return isNoted === true && storedStartAt! > endAt;
}

/**
 * Whether a generation without a note at its end came in a copy together with one that has notes, of which the store
 * has got everything only after its newest commit. What came behind that one may also be Litestream's, who went on when
 * it had ended: copied it surely is only where the one with notes is long.
 */
function isCopiedWith(bounds: Bounds, noted: Bounds): boolean {
  if (bounds.isNoted !== false) return false;
  if (bounds.notedEndAt !== undefined && bounds.notedEndAt > noted.endAt) return false;
  const isLong = noted.endAt.getTime() - noted.startAt.getTime() > COPY_MS;
  const behindMs = bounds.storedEndAt!.getTime() - noted.storedEndAt!.getTime();
  return behindMs <= (isLong ? COPY_MS : 0);
}

/**
 * The same, from the notes of its ends alone, whose times rise and tell more than the store's: what is between them
 * needn't be known.
 *
 * @returns `undefined` when no end has a note, or there is no snapshot
 */
export async function notedBounds(
  { firstSnapshot, lastSnapshot, lastSegment }: GenerationEnds,
  momentOf: MomentOf,
): Promise<Bounds | undefined> {
  if (firstSnapshot === undefined) return undefined;
  const isUseful = lastSegment !== undefined && lastSegment.index >= firstSnapshot.index;
  const lasts = [isUseful ? lastSegment : undefined, lastSnapshot].filter((last) => last !== undefined);
  const [start, ...ends] = await Promise.all([firstSnapshot, ...lasts].map(momentOf));
  const notes = ends.filter((end) => end.isNoted).map((end) => end.at);
  if (notes.length === 0) return undefined;
  const bounds = boundsFrom(start!.at, ends.map((end) => end.at));
  const notedEndAt = boundsFrom(notes[0]!, notes).endAt;
  return { ...bounds, notedEndAt, isNoted: notedEndAt >= bounds.endAt };
}

/** The same times, but that no snapshot without a note is later than a note of what follows it. */
function noLaterThanNotes(inventory: Inventory, momentOf: MomentOf): MomentOf {
  return async (object) => {
    const moment = await momentOf(object);
    if (moment.isNoted || "offset" in object) return moment;
    const behindAt = await noteBehind(object, inventory, momentOf);
    return behindAt !== undefined && behindAt < moment.at ? { ...moment, at: behindAt } : moment;
  };
}

/** Nothing in a generation is earlier than its start, whatever a store whose clock differs says of what follows. */
function boundsFrom(startAt: Date, others: readonly Date[]): Bounds {
  const endAt = new Date(others.reduce((newest, at) => Math.max(newest, at.getTime()), startAt.getTime()));
  return { startAt, endAt };
}

/**
 * Look through all replicas. One that fails is reported and passed over while another has something.
 *
 * @throws {NoBackupsError} when nothing matches
 */
export async function chooseGeneration(
  clients: readonly ReplicaClient[],
  { generation, target, logger, signal }: {
    generation: string | undefined;
    target: RestoreTarget;
    logger: Logger;
    signal?: AbortSignal | undefined;
  },
): Promise<Choice> {
  // Side by side: one that is slow to fail holds up none but itself.
  const listed = await Promise.allSettled(
    clients.map((client) => candidatesOf(client, { generation, logger, signal })),
  );
  signal?.throwIfAborted();
  const candidates = listed.flatMap((result) => result.status === "fulfilled" ? result.value : []);
  const failures = listed.flatMap((result, at) =>
    result.status === "rejected" ? [{ client: clients[at]!, error: result.reason as unknown }] : []
  );
  const orphan = candidates.find(({ inventory }) => inventory.snapshots.length === 0);
  const restorable = candidates.filter(({ inventory }) => inventory.snapshots.length > 0);
  const choice = await chooseAmong(restorable, { target, logger });
  if (choice === undefined && failures.length > 0) throw failures[0]!.error;
  if (choice === undefined && restorable.length === 0 && orphan !== undefined) {
    throw noSnapshots(orphan.inventory);
  }
  if (choice === undefined) {
    throw new NoBackupsError(
      target.kind === "moment" && restorable.length > 0
        ? await explainMoment(restorable, target.at)
        : explainNothing(clients, generation),
    );
  }
  for (const { client, error } of failures) {
    logger.warn("replica cannot be read, restoring from another", { replica: client.name, error });
  }
  for (
    const { client, inventory } of candidates.filter((other) => isNewerOrphan(other, { choice, target }))
  ) {
    const message = "a later generation has wal but no snapshot, restoring an earlier one";
    const key = snapshotKey({ generation: inventory.generation, index: inventory.segments[0]!.index });
    logger.warn(message, { replica: client.name, generation: inventory.generation, missing: key });
  }
  return choice;
}

/** Whether there was something later, of what is asked for, that can't be restored: its snapshot isn't there, or not yet. */
function isNewerOrphan(
  { inventory: { generation, snapshots, segments } }: Choice,
  { choice: { inventory: chosen }, target }: { choice: Choice; target: RestoreTarget },
): boolean {
  const [first] = segments;
  if (snapshots.length > 0 || first === undefined || generation === chosen.generation) return false;
  if (target.kind === "moment" && first.createdAt > target.at) return false;
  return newestMs(segments) > newestMs([...chosen.snapshots, ...chosen.segments]);
}

/** When the store got the last of these, in milliseconds since 1970. */
function newestMs(objects: readonly ObjectInfo[]): number {
  return objects.reduce((newest, { createdAt }) => Math.max(newest, createdAt.getTime()), -Infinity);
}

function explainNothing(clients: readonly ReplicaClient[], generation: string | undefined): string {
  const what = generation === undefined ? "" : ` of generation ${generation}`;
  const places = clients.map(({ store }) => store.place).join(", ");
  return `no matching backups found${what} in ${places}: look at what is given, and with "walbrook generations"`;
}

/** A moment that nothing reaches is told with those that can be restored. */
async function explainMoment(restorable: readonly Choice[], at: Date): Promise<string> {
  const bounds = await Promise.all(
    restorable.map(({ inventory, roughMomentOf }) => boundsOf(inventory, roughMomentOf)),
  );
  const earliest = Math.min(...bounds.map(({ startAt }) => startAt.getTime()));
  const latest = Math.max(...bounds.map(({ endAt }) => endAt.getTime()));
  return `no matching backups found: nothing is as old as ${at.toISOString()}: the earliest moment that can be ` +
    `restored is ${new Date(earliest).toISOString()}, the latest ${new Date(latest).toISOString()}`;
}

async function chooseAmong(
  candidates: readonly Choice[],
  options: { target: RestoreTarget; logger: Logger },
): Promise<Choice | undefined> {
  if (options.target.kind === "moment") return await chooseByTimes(candidates, options);
  // The only generation is it, without a request for where it begins and ends.
  const generations = new Set(candidates.map(({ inventory }) => inventory.generation));
  const chosen = generations.size <= 1 ? candidates[0] : await chooseByTimes(candidates, options);
  return chosen && await farthestOf(candidates.filter((other) => isSameGeneration(other, chosen)), chosen);
}

async function chooseByTimes(
  candidates: readonly Choice[],
  { target, logger }: { target: RestoreTarget; logger: Logger },
): Promise<Choice | undefined> {
  const places = new Semaphore(LOOK_COUNT);
  const bounded = await Promise.all(candidates.map(async (choice) => {
    using _ = await places.acquire();
    return { choice, ...await boundsOf(choice.inventory, choice.roughMomentOf) };
  }));
  const byReplica = [
    ...Map.groupBy(await withoutReplaced(bounded, target), ({ choice }) => choice.client).values(),
  ]
    .map((all) => beforeWhatCameLater(all, ({ choice }) => !isReadable(choice)));
  const newest = chooseBounds(byReplica.flatMap(inStoredOrder), target)?.choice;
  const told = byReplica.flatMap((all) => inStoredOrder(withoutCopied(all, target)));
  const chosen = chooseBounds(told, target)?.choice;
  if (newest && chosen && !isSameGeneration(newest, chosen)) {
    const message =
      "a generation without notes has the times of a copy and may be older than they say, restoring " +
      "one whose notes tell its times: to get the other, name it with -generation";
    const generations = { generation: chosen.inventory.generation, other: newest.inventory.generation };
    logger.warn(message, { replica: newest.client.name, ...generations });
  }
  return chosen;
}

interface BoundedChoice extends Bounds {
  readonly choice: Choice;
}

/**
 * The same without each of which an object can't be read, where another replica, of which all can be, has as much of the
 * same generation, or all up to the moment that is asked for.
 */
async function withoutReplaced(
  all: readonly BoundedChoice[],
  target: RestoreTarget,
): Promise<BoundedChoice[]> {
  const until = target.kind === "moment" ? target.at.getTime() : Infinity;
  const isReplacedBy = async (bounds: BoundedChoice, { choice, startAt, endAt }: BoundedChoice) => {
    const isOther = !isReadable(choice) || !isSameGeneration(choice, bounds.choice);
    if (isOther || startAt.getTime() > until) return false;
    return endAt.getTime() >= until || await compareEnds(choice, bounds.choice) >= 0;
  };
  const left: BoundedChoice[] = [];
  for (const bounds of all) {
    const isReplaced = !isReadable(bounds.choice) &&
      (await Promise.all(all.map((other) => isReplacedBy(bounds, other)))).includes(true);
    if (!isReplaced) left.push(bounds);
  }
  return left;
}
