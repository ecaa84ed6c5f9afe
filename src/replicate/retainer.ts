/** Removes from one replica what is past its retention; what that is, `retention.ts` decides. */
import type { Semaphore } from "../async.ts";
import type { DutyParts } from "./duty.ts";
import { hasChangedSince } from "./latest_snapshot.ts";
import { tellLostSnapshots } from "./repair.ts";
import { type Deletion, orderDeletion } from "./retention.ts";
import { explained, later, type Listed, type Look, lookAtReplica } from "./retention_look.ts";
import { describeError, isDenied, isServerAway } from "../errors.ts";
import { formatPosition, type Position } from "../position.ts";
import { chooseBounds } from "../restore/choose.ts";
import type { Inventory } from "../restore/inventory.ts";
import { planRestore } from "../restore/plan.ts";
import type { Forgiveness } from "../restore/unreadable.ts";
import { pause } from "../runtime/pause.ts";
import type { SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";

/** How long a replica reaches back. */
export interface RetainerOptions {
  /** Default 24 h; 0 and less: nothing is ever removed. */
  readonly retentionMs: number;
  /** Default 1 h; never more than `retentionMs`. */
  readonly checkIntervalMs: number;
}

/** Litestream's. */
export const RETAINER_DEFAULTS: RetainerOptions = { retentionMs: 24 * 3_600_000, checkIntervalMs: 3_600_000 };

/** Keys that are deleted by one call, between two looks at the signal. */
const DELETE_COUNT = 1000;

/** The retention of one replica. */
export class Retainer {
  readonly #parts: DutyParts;
  readonly #options: RetainerOptions;
  readonly #listings: Semaphore | undefined;
  /** What was there at the last complete check, and when that can change by itself. */
  #seen: string | undefined;
  #nextAt: Date | undefined;
  /** Generations whose WAL below this index is known to be gone. */
  readonly #cleaned = new Map<string, number>();
  readonly #warned = new Set<string>();
  readonly #warnedUnreadable = new Set<string>();
  /** What the store has got before this can have got its time in a copy of the replica. */
  readonly #begunAt: Date;
  #isDenialTold = false;

  /** @param listings bounds the replicas whose objects are in memory at once; default nothing */
  constructor(parts: DutyParts, options: Partial<RetainerOptions> = {}, listings?: Semaphore) {
    this.#parts = parts;
    this.#listings = listings;
    this.#options = { ...RETAINER_DEFAULTS, ...options };
    this.#begunAt = new Date(parts.clock.now());
  }

  /** Check after each interval until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    const { retentionMs, checkIntervalMs } = this.#options;
    const { clock, logger } = this.#parts;
    if (retentionMs <= 0) return;
    while (!signal.aborted) {
      try {
        await pause(Math.min(checkIntervalMs, retentionMs), { clock, signal });
        await this.check(signal);
      } catch (error) {
        if (!signal.aborted) logger.error("retainer error", { error: describeError(error) });
      }
    }
  }

  /** Check once. Without a request when nothing was written and nothing has come of age since the last time. */
  async check(signal: AbortSignal): Promise<void> {
    const { loop, clock, turn } = this.#parts;
    if (this.#options.retentionMs <= 0) return;
    const isDue = this.#nextAt !== undefined && clock.now() >= this.#nextAt.getTime();
    const before = this.#judged;
    if (before === undefined || this.#describe(before) === this.#seen && !isDue) return;
    this.#seen = undefined;
    // Our own validation reads what we would delete.
    using _ = await turn.acquire();
    using places = new DisposableStack();
    const place = places.use(await this.#listings?.acquire({ signal }));
    const position = this.#judged;
    if (position === undefined) return;
    let look = await this.#look(position, signal);
    let isComplete = true;
    if (this.#isStill(position) && look.plan.isSnapshotDue && await this.#isChanged(look, position)) {
      // For as long as that takes others may have it.
      place?.[Symbol.dispose]();
      isComplete = await loop.snapshot({ signal }) !== undefined;
      places.use(await this.#listings?.acquire({ signal }));
      if (isComplete) look = await this.#look(position, signal);
    }
    // Of one that has begun since, the listing may show WAL whose snapshot is yet to come.
    if (!this.#isStill(position)) return;
    if (look.plan.isCurrentLost && loop.isRestorable) {
      tellLostSnapshots(this.#parts.logger);
      return loop.lookAgain();
    }
    this.#warnOfOthers(look);
    if (!await this.#carryOutAll(look, signal) || !look.isReadable) isComplete = false;
    this.#nextAt = look.plan.nextAt;
    if (isComplete) this.#seen = this.#describe(position);
  }

  /** Where the database is, while that can be judged: the first snapshot of a generation is the replica loop's. */
  get #judged(): Position | undefined {
    const { loop, database } = this.#parts;
    return loop.isRestorable ? database.position : undefined;
  }

  #isStill({ generation }: Position): boolean {
    return this.#parts.database.position?.generation === generation;
  }

  #describe(position: Position): string {
    return `${formatPosition(position)} ${formatPosition(this.#parts.loop.latestSnapshot?.position)}`;
  }

  #look({ generation }: Position, signal: AbortSignal): Promise<Look> {
    const { retentionMs } = this.#options;
    const tell: Forgiveness["tell"] = (object, error) => this.#warnOfUnreadable(object, error);
    return lookAtReplica(this.#parts, { current: generation, retentionMs, tell, signal });
  }

  /** An idle database gets no snapshots: its newest one stays, and with it everything that is promised. */
  async #isChanged({ listed, momentOf }: Look, position: Position): Promise<boolean> {
    const { generation } = position;
    const newest = listed.find((other) => other.generation === generation)?.snapshots.at(-1);
    if (newest === undefined) return false;
    const own = this.#parts.loop.latestSnapshot;
    if (own?.position.generation === generation && own.position.index === newest.index) {
      return hasChangedSince(own, position);
    }
    const { at, offset } = await momentOf(newest);
    return hasChangedSince({ position: { generation, index: newest.index, offset }, at }, position);
  }

  #warnOfUnreadable({ generation, key }: SnapshotInfo | SegmentInfo, error: unknown): void {
    if (this.#warnedUnreadable.has(generation)) return;
    this.#warnedUnreadable.add(generation);
    const message = "retention keeps more: an object can't be read, and with it how old it is";
    this.#parts.logger.warn(message, { generation, key, error: describeError(error) });
  }

  #warnOfOthers({ listed, plan: { foreign } }: Look): void {
    for (const { generation, aged } of listed) {
      if (!foreign.includes(generation) || this.#warned.has(generation)) continue;
      const stored = aged.bounds.at(-1)?.endAt ?? this.#begunAt;
      if (later(stored, aged.newestWalAt ?? stored) <= this.#begunAt) continue;
      this.#warned.add(generation);
      this.#parts.logger.warn(
        "another machine or program writes to this replica: each database needs a path of its own; " +
          "its generation is left alone",
        { generation },
      );
    }
  }

  /**
   * What fails in one generation keeps nobody from the others, which don't depend on it; within it nothing goes on, since
   * what comes later there relies on what was to be gone.
   *
   * @returns whether all is done
   * @throws the first failure, when the others were tried
   */
  async #carryOutAll(look: Look, signal: AbortSignal): Promise<boolean> {
    let isDone = true;
    const failures: unknown[] = [];
    for (const deletion of look.plan.deletions) {
      try {
        if (!await this.#carryOutIfAllowed(deletion, look, signal)) isDone = false;
      } catch (error) {
        signal.throwIfAborted();
        if (isServerAway(error)) throw error;
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return isDone;
  }

  /**
   * Credentials that may add and not delete are meant so: said once, and old objects are left to the bucket's rules.
   *
   * @returns whether nothing is to be tried again before something changes
   */
  async #carryOutIfAllowed(deletion: Deletion, look: Look, signal: AbortSignal): Promise<boolean> {
    try {
      return await this.#carryOut(deletion, look, signal);
    } catch (error) {
      if (!isDenied(error)) throw error;
      if (!this.#isDenialTold) {
        this.#parts.logger.warn(
          "retention removes nothing, since these credentials may not delete: replication goes on; have a lifecycle " +
            "rule of the bucket remove old objects",
          { error: describeError(error) },
        );
      }
      this.#isDenialTold = true;
      return true;
    }
  }

  /** @returns whether it is done */
  async #carryOut(deletion: Deletion, look: Look, signal: AbortSignal): Promise<boolean> {
    const { client, logger } = this.#parts;
    const { generation, beforeIndex } = deletion;
    const listed = look.listed.find((other) => other.generation === generation)!;
    const hasOld = beforeIndex === undefined || (listed.snapshots[0]?.index ?? Infinity) < beforeIndex;
    if (!hasOld && this.#cleaned.get(generation) === beforeIndex) return true;
    const segments = listed.inventory?.segments ?? await client.segments(generation, { signal });
    const problem = hasOld ? await this.#whatWouldBreak(deletion, look, { ...listed, segments }) : undefined;
    if (problem !== undefined) {
      logger.warn("retention keeps more: without it a moment within retention could not be restored", {
        generation,
        error: describeError(problem),
      });
      return false;
    }
    const order = orderDeletion(deletion, { snapshots: listed.snapshots, segments });
    for (const snapshot of order.snapshots) {
      await explained("delete snapshots before index", client.store.delete([snapshot.key], { signal }));
      logger.info("snapshot deleted", { generation, index: snapshot.index });
    }
    await this.#deleteSegments(order.segments.map(({ key }) => key), signal);
    if (beforeIndex === undefined) {
      await explained("delete generation", client.deleteGeneration(generation, { signal }));
      this.#cleaned.delete(generation);
      logger.info("generation deleted", { generation });
      return true;
    }
    this.#cleaned.set(generation, beforeIndex);
    const n = order.segments.length;
    if (n > 0) logger.info("wal segmented deleted before", { generation, index: beforeIndex, n });
    return true;
  }

  async #deleteSegments(keys: readonly string[], signal: AbortSignal): Promise<void> {
    const { store } = this.#parts.client;
    const failures: unknown[] = [];
    for (let at = 0; at < keys.length; at += DELETE_COUNT) {
      signal.throwIfAborted();
      const some = keys.slice(at, at + DELETE_COUNT);
      await store.delete(some, { signal }).catch((error) => void failures.push(error));
      if (isServerAway(failures.at(-1))) break;
    }
    signal.throwIfAborted();
    if (failures.length > 0) {
      throw new Error("delete wal segments before index", { cause: failures[0] });
    }
  }

  /** Plan the oldest restore that is promised with what would be left; a missing object shows now, not on the day. */
  async #whatWouldBreak(
    { generation, beforeIndex }: Deletion,
    { listed, plan: { cutOffAt }, momentOf }: Look,
    own: Inventory,
  ): Promise<unknown> {
    const target = { kind: "moment", at: cutOffAt } as const;
    const isLeft = ({ aged, ...other }: Listed) => !aged.isUnreadable && other.generation !== generation;
    const all = listed.filter(isLeft)
      .flatMap((other) => other.aged.bounds.slice(0, 1).map((bounds) => ({ ...bounds, other })));
    const left = beforeIndex === undefined
      ? chooseBounds(all, target)?.other.inventory
      : { ...own, ...orderRemaining(own, beforeIndex) };
    if (left === undefined) return undefined;
    try {
      await planRestore(left, target, momentOf);
      return undefined;
    } catch (error) {
      return error;
    }
  }
}

function orderRemaining(
  { snapshots, segments }: Inventory,
  beforeIndex: number,
): Omit<Inventory, "generation"> {
  const stays = ({ index }: { index: number }) => index >= beforeIndex;
  return { snapshots: snapshots.filter(stays), segments: segments.filter(stays) };
}
