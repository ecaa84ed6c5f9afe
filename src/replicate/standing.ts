/** Where one replica stands in the history of its database: by its own listing, and then by what is stored in it. */
import { newestMomentOf } from "./newest_moment.ts";
import { type KnownSegment, readRemoteState, type RemoteState } from "./remote_position.ts";
import { UploadMemory } from "./upload_memory.ts";
import type { LiveDatabase } from "../database/database.ts";
import { ContinuityLostError } from "../database/continuity.ts";
import type { Segment } from "../database/segment.ts";
import type { Logger } from "../logger.ts";
import { formatPosition, type Position } from "../position.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ObjectInfo } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";
import { equalPair } from "../wal/header.ts";

/** Whose standing it is. */
export interface StandingParts {
  readonly database: LiveDatabase;
  readonly client: ReplicaClient;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One replica's standing. */
export class Standing {
  readonly #parts: StandingParts;
  #position: Position | undefined;
  #newest: KnownSegment | undefined;
  /** Where the replica can't be read back. */
  readonly #memory: UploadMemory | undefined;
  /** A segment whose upload failed, or whose answer got lost. */
  #tried: (Position & { readonly length: number }) | undefined;
  #newestCommitAt = 0;

  constructor(parts: StandingParts) {
    this.#parts = parts;
    const { client: { cipher, name }, database } = parts;
    const isReadable = cipher === undefined || cipher.canDecrypt;
    this.#memory = isReadable ? undefined : new UploadMemory(database.meta, name);
  }

  /** Where the next segment has to start; `undefined` until that is known. */
  get position(): Position | undefined {
    return this.#position;
  }

  /** Whether a listing can't tell how far the replica reaches, for want of keys to read with. */
  get isRemembered(): boolean {
    return this.#memory !== undefined;
  }

  /** The newest time that a note gave; milliseconds since 1970. */
  get newestCommitAt(): number {
    return this.#newestCommitAt;
  }

  /**
   * Find out where the replica stands in the generation of `database`.
   *
   * @param database the position of the shadow WAL
   * @throws {ContinuityLostError} when the replica can't go on with that generation
   */
  async find(database: Position, { signal }: { signal: AbortSignal }): Promise<RemoteState> {
    const { client, logger } = this.#parts;
    const { generation } = database;
    const remembered = this.#newest === undefined ? this.#memory?.read() : undefined;
    const tried = this.#tried;
    const remote = await readRemoteState(client, {
      generation,
      pageSize: this.#parts.database.pageSize,
      fromIndex: this.#parts.database.meta.shadowFiles(generation)[0]?.index,
      known: this.#newest ?? remembered,
      tried: tried?.generation === generation ? tried : undefined,
      signal,
    });
    if (remote.damaged !== undefined) {
      logger.warn("the newest segment can't be read, it is stored again", remote.damaged);
    }
    if (remote.missingKey !== undefined) {
      logger.error("the replica has a hole: a new snapshot is stored, and what is there is kept", {
        key: remote.missingKey,
      });
    }
    const position = this.#position = remote.position ?? { generation, index: database.index, offset: 0 };
    const checksum = remote.newest === remembered ? remembered?.checksum : remote.checksum;
    const ours = this.#parts.database.checksumBefore(position);
    if (checksum !== undefined && ours !== undefined && !equalPair(ours, checksum)) {
      throw new ContinuityLostError(
        `the replica's ${formatPosition(position)} was written from another history`,
      );
    }
    if (remote.unreadable !== undefined) throw new ContinuityLostError(remote.unreadable);
    this.#newest = remote.newest;
    await this.#noteTimes(Math.max(remote.newestCommitAt, remembered?.newestCommitAt ?? 0), {
      isFresh: remote.position === undefined,
      signal,
    });
    return remote;
  }

  async #noteTimes(
    noted: number,
    { isFresh, signal }: { isFresh: boolean; signal: AbortSignal },
  ): Promise<void> {
    const { client, clock, logger } = this.#parts;
    const isOfOthers = noted === 0 && this.#newestCommitAt === 0;
    if (isOfOthers) {
      // Nothing may count as older than what the replica has of other generations, or a restore would prefer those.
      this.#newestCommitAt = await newestMomentOf(client, { clock, logger, signal });
    }
    // Later than other generations by a little at least, or nothing would tell which of them is the newest one.
    if ((isFresh || isOfOthers) && this.#newestCommitAt > 0) this.#newestCommitAt++;
    this.#newestCommitAt = Math.max(this.#newestCommitAt, noted);
  }

  /**
   * A failed PUT may still arrive, late, and replace what was stored under its name meanwhile: the same bytes have to
   * go there again, never more.
   *
   * @returns their length; `undefined` where nothing was tried
   */
  triedLengthAt({ generation, index, offset }: Position): number | undefined {
    const tried = this.#tried;
    const isHere = tried?.generation === generation && tried.index === index && tried.offset === offset;
    return isHere ? tried.length : undefined;
  }

  /** The time for the note of the segment that comes next: times never go back along a generation. */
  timeOf({ newestCommitAt }: Segment): Date {
    return new Date(Math.max(this.#newestCommitAt, newestCommitAt.getTime()));
  }

  /** An upload begins, of the segment at `position`. */
  trying({ generation, index, offset, length, newestCommitAt }: Segment): void {
    // Not when it is prepared: the one before may have to be sent again, with the same note.
    this.#newestCommitAt = Math.max(this.#newestCommitAt, newestCommitAt.getTime());
    this.#tried = { generation, index, offset, length };
  }

  /** It was stored. */
  stored({ generation, index, offset, length }: Segment, { key, size }: ObjectInfo): void {
    this.#tried = undefined;
    this.#newest = { key, size, index, offset, length };
    this.#position = { generation, index, offset: offset + length };
    const checksum = this.#memory && this.#parts.database.checksumBefore(this.#position);
    this.#memory?.write({ ...this.#newest, checksum, newestCommitAt: this.#newestCommitAt });
  }
}
