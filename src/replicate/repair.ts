/**
 * What is done about a replica that was found damaged behind our back. A segment whose bytes the shadow WAL still has
 * is stored again; otherwise a new snapshot makes everything from now on restorable. Nothing is deleted: restore
 * points on either side of the damage stay what they are.
 */
import type { DutyParts } from "./duty.ts";
import { SegmentUpload } from "./upload_segment.ts";
import type { Proof } from "./validator.ts";
import { ContinuityLostError } from "../database/continuity.ts";
import type { Segment } from "../database/segment.ts";
import type { Logger } from "../logger.ts";
import { formatPosition, type Position } from "../position.ts";
import { fetchNote } from "../restore/moments.ts";
import { parseSegmentName, segmentsPrefix } from "../storage/keys.ts";
import type { SegmentInfo } from "../storage/replica_client.ts";

/** What was done: nothing where it was done before and did not help, or can't be done now. */
export type Repair = "segment stored again" | "new snapshot" | "none";

/** Say that the generation can't be restored for want of a snapshot; `ReplicaLoop.lookAgain()` has one stored. */
export function tellLostSnapshots(logger: Logger): void {
  logger.error(
    "the replica has lost its snapshots: a new one is stored, so that everything from now on can be restored; a " +
      "lifecycle rule of the bucket must not take the newest one",
  );
}

/** Mends one replica, each fault once until all is well again. */
export class Repairer {
  readonly #parts: DutyParts;
  readonly #mended = new Set<string>();
  /** Faults that were left as they are for now, which is told once. */
  readonly #left = new Set<string>();

  constructor(parts: DutyParts) {
    this.#parts = parts;
  }

  /** Do what can be done about what `proof` has found; to be told of those that found nothing wrong, too. */
  async repair({ outcome, key, position, error }: Proof, signal: AbortSignal): Promise<Repair> {
    // What comes after that is a fault of its own, also where it looks like one from before. Nothing that is done to the
    // replica mends the database.
    if (outcome === "ok" || outcome === "bad database") {
      for (const faults of [this.#mended, this.#left]) faults.clear();
    }
    if (outcome !== "damaged" && outcome !== "mismatch" || position === undefined) return "none";
    const { loop, logger } = this.#parts;
    if (await this.#hasLostSnapshots(position, signal)) {
      tellLostSnapshots(logger);
      loop.lookAgain();
      return "new snapshot";
    }
    const healed = key === undefined ? undefined : await this.#heal(key, signal);
    if (healed !== undefined) {
      logger.warn("a damaged segment was stored again from the shadow wal", { key: healed, error });
      return "segment stored again";
    }
    // A snapshot that did not help once would not help again, and costs a whole database each time.
    const fault = `${position.generation} ${outcome} ${key ?? ""}`;
    if (this.#mended.has(fault)) return "none";
    if (outcome === "mismatch" && await this.#wouldReplace(position, signal)) {
      if (!this.#left.has(fault)) {
        logger.error(
          "the replica and the database differ, and either may be the damaged one: a new snapshot would take the place " +
            "of the one that is there, and is stored when the database has gone on; restore a copy, and compare",
          { error },
        );
      }
      this.#left.add(fault);
      return "none";
    }
    const stored = await loop.snapshot({ signal });
    if (stored === undefined) return "none";
    this.#mended.add(fault);
    logger.error(
      "the replica is damaged: a new snapshot was stored, so that everything from now on can be restored; " +
        "what was stored before is kept, walbrook verify tells what of it can be restored",
      { key, error, snapshot: formatPosition(stored.position) },
    );
    return "new snapshot";
  }

  /** A disk of the database that fails is no reason to write over what may be the last good copy. */
  async #wouldReplace(proven: Position, signal: AbortSignal): Promise<boolean> {
    const { client, database } = this.#parts;
    const { generation, index } = database.position ?? proven;
    return (await client.snapshots(generation, { signal })).some((snapshot) => snapshot.index >= index);
  }

  async #hasLostSnapshots({ generation }: Position, signal: AbortSignal): Promise<boolean> {
    const { client, loop } = this.#parts;
    return loop.isRestorable && loop.position?.generation === generation &&
      (await client.snapshots(generation, { signal })).length === 0;
  }

  /**
   * Store a segment again that is missing or damaged, exactly as far as the one that follows it.
   *
   * @returns its key; `undefined` when it is no segment or its bytes are gone
   */
  async #heal(key: string, signal: AbortSignal): Promise<string | undefined> {
    const { client, database, loop } = this.#parts;
    const now = database.position;
    const stands = loop.position;
    if (now === undefined || stands?.generation !== now.generation) return undefined;
    const { generation } = now;
    const at = parseSegmentName(key.slice(segmentsPrefix(generation).length));
    if (at === undefined || !key.startsWith(segmentsPrefix(generation))) return undefined;
    const stored = await client.segments(generation, { signal });
    const next = stored.find(({ index, offset }) => index === at.index && offset > at.offset);
    const end = next?.offset ?? (at.index === stands.index ? stands.offset : Infinity);
    const segment = this.#bytesAt({ generation, ...at }, end - at.offset);
    if (segment === undefined || (end !== Infinity && segment.length !== end - at.offset)) return undefined;
    const newestCommitAt = await this.#timeOf(segment, stored, signal);
    const { pageSize } = database;
    return (await new SegmentUpload(client, segment, { pageSize, newestCommitAt }).put({ signal })).key;
  }

  #bytesAt(
    position: { generation: string; index: number; offset: number },
    maxBytes: number,
  ): Segment | undefined {
    try {
      const segment = this.#parts.database.segmentAfter(position, { maxBytes });
      return segment?.index === position.index && segment.offset === position.offset ? segment : undefined;
    } catch (error) {
      if (error instanceof ContinuityLostError) return undefined;
      throw error;
    }
  }

  /** Not later than what follows says: times never go back along a generation. */
  async #timeOf(
    { index, offset, newestCommitAt }: Segment,
    stored: readonly SegmentInfo[],
    signal: AbortSignal,
  ): Promise<Date> {
    const next = stored.find((other) =>
      other.index > index || other.index === index && other.offset > offset
    );
    const note = next && await fetchNote(this.#parts.client, next, { signal });
    return note !== undefined && note.newestCommitAt < newestCommitAt ? note.newestCommitAt : newestCommitAt;
  }
}
