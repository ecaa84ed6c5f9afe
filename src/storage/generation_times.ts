/** From when to when the objects of a generation came to be. */
import { parseSegmentName, parseSnapshotName, segmentsPrefix, snapshotsPrefix } from "./keys.ts";
import type { ObjectInfo } from "./object_store.ts";

/** What a store says of the times of a generation. */
export interface GenerationTimes {
  readonly startAt: Date;
  readonly endAt: Date;
  /** Whether it has a snapshot. */
  readonly isRestorable: boolean;
}

/**
 * Passes over objects and keeps no more than these times, however many there are.
 *
 * Segments count from the index of the first snapshot on, since WAL from before restores nothing; without a snapshot all do.
 */
export class GenerationTimesSweep {
  readonly #snapshots: string;
  readonly #segments: string;
  #firstIndex: number | undefined;
  #startMs = Infinity;
  #endMs = -Infinity;

  constructor(generation: string) {
    this.#snapshots = snapshotsPrefix(generation);
    this.#segments = segmentsPrefix(generation);
  }

  /** Precondition: all snapshots come before all segments. */
  add({ key, createdAt }: ObjectInfo): void {
    if (key.startsWith(this.#segments)) {
      if (this.countsSegment(key.slice(this.#segments.length))) this.addTime(createdAt.getTime());
    } else if (key.startsWith(this.#snapshots)) {
      const index = parseSnapshotName(key.slice(this.#snapshots.length));
      if (index === undefined) return;
      this.#firstIndex = Math.min(index, this.#firstIndex ?? index);
      this.addTime(createdAt.getTime());
    }
  }

  /** Whether the time of the segment with this base name is to be added. Precondition as that of `add()`. */
  countsSegment(name: string): boolean {
    const index = parseSegmentName(name)?.index;
    return index !== undefined && index >= (this.#firstIndex ?? 0);
  }

  /** The time of a segment that counts, in milliseconds since 1970. */
  addTime(ms: number): void {
    if (ms < this.#startMs) this.#startMs = ms;
    if (ms > this.#endMs) this.#endMs = ms;
  }

  /** `undefined` when there was nothing that counts. */
  get times(): GenerationTimes | undefined {
    if (this.#startMs > this.#endMs) return undefined;
    return {
      startAt: new Date(this.#startMs),
      endAt: new Date(this.#endMs),
      isRestorable: this.#firstIndex !== undefined,
    };
  }
}
