/** When a database is looked at: what one cheap read of the wal-index says, and what is beside it. */
import { Activity, type Flow, REST_BYTES } from "./activity.ts";
import type { CheckpointSchedule } from "./checkpoint_schedule.ts";
import { shouldMove } from "./decide.ts";
import type { InstanceLock } from "./instance_lock.ts";
import type { DatabaseMeter } from "./measure.ts";
import { hasSpare, type Opened } from "./opened.ts";
import { Surroundings } from "./surroundings.ts";
import type { Troubles } from "./troubles.ts";
import type { Clock } from "../runtime/clock.ts";
import { equalPair, type Salts } from "../wal/header.ts";
import type { WalIndex } from "../wal/wal_index.ts";

/** As long as the wal-index says the same, what else can call for a turn is asked for no more often than this. */
const SAME_PEEK_MS = 200;

/** What they judge by. */
export interface LookoutParts {
  /** What is open now. */
  readonly opened: () => Opened | undefined;
  readonly clock: Clock;
  readonly lock: Pick<InstanceLock, "requireThere">;
  readonly schedule: CheckpointSchedule;
  readonly troubles: Troubles;
  /** Told of a look that found all well. */
  readonly meter: DatabaseMeter;
}

/** The cheap looks at one database, and what they remember. */
export class Lookout {
  readonly #parts: LookoutParts;
  readonly activity: Activity;
  readonly #surroundings: Surroundings;
  /** Whether the last turn came to its end: only then is it known what another one would find. */
  isSettled = false;
  /** Whether the last peek at a busy database found nothing new, since the last turn. */
  #isLull = false;
  #flow: Flow = "usual";
  /** See `isAtRest`. */
  #isAtRest = false;
  /** What the last peek found, and when it was asked what else there is. */
  #peeked: { readonly index: WalIndex; readonly atMs: number } | undefined;
  /** Up to where the WAL with these salts may grow before the next turn. */
  #bound: { readonly salts: Salts; readonly mostFrames: number } | undefined;

  constructor(parts: LookoutParts) {
    this.#parts = parts;
    this.activity = new Activity(parts.clock);
    this.#surroundings = new Surroundings(parts);
  }

  /**
   * A real look begins.
   *
   * @returns whether it was called for because a busy database has paused: somebody may be waiting for our reader
   * @throws what `Surroundings.look` throws
   */
  begin(opened: Opened): boolean {
    const isLull = this.#isLull;
    this.#isLull = false;
    this.#isAtRest = false;
    this.#bound = this.#peeked = undefined;
    this.activity.noteLook();
    this.#surroundings.look(opened);
    return isLull;
  }

  /** The next real look takes nothing from the ones before. */
  expire(): void {
    this.#isAtRest = false;
    this.#surroundings.expire();
  }

  /**
   * At a slow turn: is there anything new, a check that is due, or something wrong?
   *
   * @param isRare whether the next look around would come too late otherwise
   */
  peek(isRare: boolean): boolean {
    return orTurn(() => this.#peek(isRare));
  }

  /** Whether the last look around found that nothing but a write to the `-wal` can bring anything new before the next. */
  get isAtRest(): boolean {
    return this.#isAtRest;
  }

  #peek(isRare: boolean): boolean {
    const { schedule, troubles, clock } = this.#parts;
    const { activity } = this;
    const opened = this.#parts.opened();
    const index = opened?.live.look();
    if (opened === undefined || index === undefined) return true;
    const atMs = clock.monotonicMs();
    // Where others may come to wait for our reader this is asked up to fifty times a second.
    if (index === this.#peeked?.index && atMs - this.#peeked.atMs < SAME_PEEK_MS) return false;
    this.#peeked = { index, atMs };
    return activity.isNew(index) || troubles.lastError !== "" || schedule.isTime(index, activity) ||
      shouldMove(index, opened.follower.readers.standing!) ||
      (isRare || this.#surroundings.isOverdue) && !this.#isAllWell(opened, index);
  }

  /** The look around of a quiet database, in place of a whole turn. */
  #isAllWell(opened: Opened, index: WalIndex): boolean {
    const { troubles, meter, clock } = this.#parts;
    if (!this.isSettled || !opened.follower.isAtEnd(index)) return false;
    if (this.activity.isIdle && hasSpare(opened) || opened.follower.hasLostCopies) return false;
    const startMs = clock.monotonicMs();
    if (!this.#surroundings.glance(opened)) return false;
    // What a checkpoint has left to do is nothing that a watch tells of.
    this.#isAtRest = index.mxFrame === index.backfilledCount && !opened.follower.isInTheWay;
    troubles.clear();
    meter.glance(clock.monotonicMs() - startMs);
    return true;
  }

  /** How many commits the last peek at a busy database found. */
  get flow(): Flow {
    return this.#flow;
  }

  /** While the next commit is awaited: whether it is there. */
  isHere(): boolean {
    return orTurn(() => {
      const opened = this.#parts.opened();
      const index = opened?.live.look();
      return opened === undefined || index === undefined || !opened.follower.isAtEnd(index);
    });
  }

  /** While the database is busy and nobody waits for its next change. */
  isDue(): boolean {
    return orTurn(() => this.#isDue());
  }

  #isDue(): boolean {
    const opened = this.#parts.opened();
    const index = opened?.live.look();
    if (opened === undefined || index === undefined) return true;
    const flow = this.activity.flowTo(index);
    // An application that checkpoints itself may do so in a way that waits for our reader.
    this.#flow = flow === "gentle" && this.#parts.schedule.areOthersSeen ? "usual" : flow;
    this.#isLull = this.#flow === "none";
    if (this.#isLull || isWaitedFor(opened, index)) return true;
    // Some dozens of times a second code is never warm: what a turn alone changes is asked for once.
    if (this.#bound === undefined || !equalPair(this.#bound.salts, index.salts)) {
      const mostFrames = opened.follower.mostFrames(index, { maxBytes: REST_BYTES });
      this.#bound = { salts: index.salts, mostFrames };
    }
    return index.mxFrame >= this.#bound.mostFrames || this.activity.isRestOver;
  }
}

/** Whether a checkpoint of somebody else may be waiting for our reader now: all is backfilled. */
function isWaitedFor({ follower }: Opened, index: WalIndex): boolean {
  return index.mxFrame > 0 && index.backfilledCount === index.mxFrame && follower.isInTheWay;
}

/** A look that fails calls for a turn, which tells why; nobody would catch it in a timer. */
function orTurn(look: () => boolean): boolean {
  try {
    return look();
  } catch {
    return true;
  }
}
