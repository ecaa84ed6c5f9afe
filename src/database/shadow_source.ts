/** What replicas read: the shadow WAL of the database that is followed, or of one that went away. */
import type { Follower } from "./follower.ts";
import { type Segment, segmentAt } from "./segment.ts";
import { comparePositions, type Position } from "../position.ts";
import type { Checksum } from "../wal/checksum.ts";

/** What a replica lacks of what was copied. */
export interface Backlog {
  /** Bytes of WAL, as far as it is still kept. */
  readonly bytes: number;
  /** How long ago the oldest of it was seen, in milliseconds; `undefined` when nothing is lacking. */
  readonly ageMs: number | undefined;
}

/** The readable end of one database. */
export class ShadowSource {
  readonly #current: () => Follower | undefined;
  #retired: Follower | undefined;
  #uncopied: unknown;

  /** @param current what follows the database; `undefined` while there is no generation to read */
  constructor(current: () => Follower | undefined) {
    this.#current = current;
  }

  get #follower(): Follower | undefined {
    return this.#retired ?? this.#current();
  }

  /**
   * Go on offering what `follower` has copied: its database went away, and replicas may lack the end of it.
   *
   * @param options.uncopied what kept its last commits from being copied, if anything did
   */
  retire(follower: Follower, { uncopied }: { uncopied?: unknown } = {}): void {
    this.#retired = follower;
    this.#uncopied = uncopied;
  }

  /** What kept the last commits of the database that went away from being copied; `undefined` when all are. */
  get uncopied(): unknown {
    return this.#uncopied;
  }

  /** Whether a database that went away is what is read. */
  get hasRetired(): boolean {
    return this.#retired !== undefined;
  }

  /** Whether `follower` is still read although its database went away. */
  isRetired(follower: Follower): boolean {
    return this.#retired === follower;
  }

  /** The database is there again, or nobody reads any more. */
  forget(): void {
    this.#retired?.close();
    this.#retired = this.#uncopied = undefined;
  }

  /** Bytes of a page, of a database that went away. */
  get retiredPageSize(): number | undefined {
    return this.#retired?.shadow.chain?.pageSize;
  }

  /** Where the shadow WAL ends. */
  get position(): Position | undefined {
    const follower = this.#follower;
    if (follower === undefined) return undefined;
    const { generation, index, committedSize } = follower.shadow;
    return { generation, index, offset: committedSize };
  }

  #followerOf(generation: string): Follower | undefined {
    const follower = this.#follower;
    return follower?.shadow.generation === generation ? follower : undefined;
  }

  /** @see LiveDatabase.segmentAfter */
  segmentAfter(position: Position, limit: { maxBytes: number }): Segment | undefined {
    const follower = this.#followerOf(position.generation);
    return follower && segmentAt(follower, position, limit);
  }

  /** @see LiveDatabase.checksumBefore */
  checksumBefore(position: Position): Checksum | undefined {
    return this.#followerOf(position.generation)?.shadow.checksumBefore(position);
  }

  /** @see LiveDatabase.backlogAfter */
  backlogAfter(position: Position | undefined): Backlog | undefined {
    const follower = this.#follower;
    if (follower === undefined) return undefined;
    const { shadow, times } = follower;
    const isSame = position?.generation === shadow.generation;
    const from = isSame ? position : { index: 0, offset: 0 };
    const end = { index: shadow.index, offset: shadow.committedSize };
    if (isSame && comparePositions(from, end) >= 0) return { bytes: 0, ageMs: undefined };
    return { bytes: shadow.bytesAfter(from), ageMs: times.ageAfter(from) };
  }

  /** @see LiveDatabase.releaseBefore */
  releaseBefore(generation: string, index: number): void {
    const follower = this.#followerOf(generation);
    if (follower === undefined || index <= 1) return;
    follower.shadow.removeBefore(index - 1);
    follower.times.forgetBefore({ index: index - 1, offset: 0 });
  }
}
