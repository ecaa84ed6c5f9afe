/** The times of stored objects, from their notes. */
import { readAll, streamOf } from "../bytes.ts";
import { readNote } from "../codec/object.ts";
import { DamagedObjectError, NotFoundError } from "../errors.ts";
import type { Note } from "../codec/note.ts";
import type { ObjectInfo, StoreOptions } from "../storage/object_store.ts";
import type { ReplicaClient, SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import type { MomentOf, ObjectMoment } from "./inventory.ts";
import { type Forgiveness, isOwnFailure } from "./unreadable.ts";

/** Bytes from the start of an object that hold its note, whatever its version. */
const NOTE_RANGE = 4096;

/** The same where it is encrypted: age's first 64 KiB as a whole, behind a header of some 100 bytes a recipient. */
const SEALED_NOTE_RANGE = 128 * 1024;

/** What a look at the start of an object gave. */
export interface FetchedNote {
  /** Absent when there is none that can be used. */
  readonly note: Note | undefined;
  /** Whether there may be one all the same: the start of the object is damaged, or no key fits. */
  readonly isDoubtful: boolean;
}

/** The note of an object by a small range request; `undefined` when it has none that can be used. */
export async function fetchNote(
  client: ReplicaClient,
  object: ObjectInfo,
  options: StoreOptions = {},
): Promise<Note | undefined> {
  return (await lookAtNote(client, object, options)).note;
}

/**
 * The same, and whether that can be believed.
 *
 * What is wrong with the object beyond its note is found when its content is read.
 */
export async function lookAtNote(
  { store, cipher }: ReplicaClient,
  object: ObjectInfo,
  options: StoreOptions = {},
): Promise<FetchedNote> {
  const unreadable = { note: undefined, isDoubtful: true };
  if (object.size === 0) return unreadable;
  let start: Uint8Array;
  try {
    const limit = cipher?.canDecrypt === true ? SEALED_NOTE_RANGE : NOTE_RANGE;
    const range = { start: 0, end: limit };
    start = await readAll(await store.get(object.key, { ...options, range }), { limit });
  } catch (error) {
    if (error instanceof NotFoundError) throw vanished(object.key, error);
    throw error;
  }
  // Not an object, one cut short or for another key: said when its content is read. Until then its time is the store's.
  return await readNote(streamOf(start), { cipher }).then(
    ({ note, noteDamage }) => ({ note, isDoubtful: noteDamage !== undefined }),
    () => unreadable,
  );
}

/** The error for an object that was listed and is not there any more. */
export function vanished(key: string, cause: unknown): DamagedObjectError {
  return new DamagedObjectError(
    key,
    "gone since it was listed, as by retention on another machine: try again",
    { cause },
  );
}

/** Whether `error` is that of an object which was listed and is not there any more. */
export function isVanished(error: unknown): boolean {
  return error instanceof DamagedObjectError && error.cause instanceof NotFoundError;
}

/** An object that retention takes meanwhile, elsewhere, tells nothing; whoever needs it fails by itself. */
export function noneIfGone(error: unknown): undefined {
  if (isVanished(error)) return undefined;
  throw error;
}

/** Looks up times in a replica, each object at most once. */
export function momentsOf(
  client: ReplicaClient,
  { forgiveness, ...options }: StoreOptions & {
    /** How an object that can't be read gets the time of the listing. Default: its error is thrown. */
    readonly forgiveness?: Forgiveness | undefined;
  } = {},
): MomentOf {
  const known = new Map<string, Promise<ObjectMoment>>();
  const look = async (object: SnapshotInfo | SegmentInfo): Promise<ObjectMoment> => {
    const listed = { at: object.createdAt, isNoted: false, offset: 0 };
    let note: Note | undefined;
    try {
      note = await fetchNote(client, object, options);
    } catch (error) {
      if (forgiveness === undefined) throw error;
      const { others } = forgiveness;
      if (!await isOwnFailure(error, { client, object, others, ...options })) throw error;
      forgiveness.tell(object, error);
      return { ...listed, isUnreadable: true };
    }
    if (note === undefined) return listed;
    const offset = note.kind === "snapshot" ? note.offset : 0;
    return { at: note.newestCommitAt, isNoted: true, offset };
  };
  return (object) => {
    let moment = known.get(object.key);
    if (moment === undefined) {
      moment = look(object);
      known.set(object.key, moment);
    }
    return moment;
  };
}
