/** Objects that are listed and can't be read, while others of their replica can. */
import { readAll } from "../bytes.ts";
import { isOfObject, isOfStore } from "../errors.ts";
import type { ObjectInfo, StoreOptions } from "../storage/object_store.ts";
import type { ReplicaClient, SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";

/** Objects that are tried at once; one that can be read is enough. */
const WITNESS_COUNT = 8;

/** A byte that takes longer than this shows nothing. */
const WITNESS_LIMIT_MS = 10_000;

/** What to do about objects that can't be read. */
export interface Forgiveness {
  /** Objects of the replica, of which one that can be read shows that it is there; asked for when a look fails. */
  others(): Promise<readonly ObjectInfo[]>;
  /** Called for each object that can't be read, once. */
  tell(object: SnapshotInfo | SegmentInfo, error: unknown): void;
}

/**
 * Whether a look at `object` failed for a reason that is its own: the store says so, or it gives another object right
 * after. Not so when the store is away, refuses everything or fails as a whole, nor of an object that is gone: another
 * try may do without it.
 *
 * @throws the signal's reason when it fires
 */
export async function isOwnFailure(
  error: unknown,
  { client, object, others, signal }: StoreOptions & {
    readonly client: ReplicaClient;
    readonly object: ObjectInfo;
    readonly others: Forgiveness["others"];
  },
): Promise<boolean> {
  signal?.throwIfAborted();
  if (isOfObject(error)) return true;
  if (!isOfStore(error)) return false;
  try {
    const witnesses = (await others()).filter(({ key, size }) => key !== object.key && size > 0)
      .toSorted((left, right) => right.createdAt.getTime() - left.createdAt.getTime());
    await readAny(client, witnesses.slice(0, WITNESS_COUNT), signal);
    return true;
  } catch {
    signal?.throwIfAborted();
    return false;
  }
}

/** Resolves when a byte of one of them was read; rejects when none can be. */
async function readAny(
  { store }: ReplicaClient,
  objects: readonly ObjectInfo[],
  outer: AbortSignal | undefined,
): Promise<void> {
  const ended = new AbortController();
  const limit = AbortSignal.timeout(WITNESS_LIMIT_MS);
  const signal = AbortSignal.any([ended.signal, limit, ...(outer === undefined ? [] : [outer])]);
  try {
    await Promise.any(objects.map(async ({ key }) => {
      await readAll(await store.get(key, { range: { start: 0, end: 1 }, signal }), { limit: 1 });
    }));
  } finally {
    ended.abort(new Error("one is enough"));
  }
}
