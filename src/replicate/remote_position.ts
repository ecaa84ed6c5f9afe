/** Where a replica stands, read from the replica itself: its listing is the state. */
import { decodeObject } from "../codec/object.ts";
import { notSealed, requireSameSeal, SEAL_SIZE } from "../codec/sealed.ts";
import { readAll, viewOf } from "../bytes.ts";
import { describeError, EncryptionError } from "../errors.ts";
import { FRAME_HEADER_SIZE, frameSize, type Position } from "../position.ts";
import type { ObjectInfo, StoreOptions } from "../storage/object_store.ts";
import type { ReplicaClient, SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import type { Checksum } from "../wal/checksum.ts";

/** What a replica has of one generation. */
export interface RemoteState {
  /** Index of the newest snapshot; `undefined` when there is none, and the generation can't be restored yet. */
  readonly snapshotIndex: number | undefined;
  /** Where the next segment has to start; `undefined` when there is neither snapshot nor segment. */
  readonly position: Position | undefined;
  /** Checksum of the last frame before `position`, where a segment was read. */
  readonly checksum: Checksum | undefined;
  /** The time in the newest note; milliseconds since 1970, 0 without one. */
  readonly newestCommitAt: number;
  /** The newest segment, when it can't be read, and why: it has to be stored again. */
  readonly damaged: { readonly key: string; readonly reason: string } | undefined;
}

/** What the last segment ends with. */
interface SegmentEnd {
  readonly length: number;
  readonly checksum: Checksum | undefined;
  readonly newestCommitAt: number;
}

/**
 * Read where `generation` stands in a replica: two listings, and one download of the last segment or of the first
 * bytes of the last snapshot.
 *
 * @throws {EncryptionError} when the replica is encrypted otherwise than its keys say, or can't be read with them
 */
export async function readRemoteState(
  client: ReplicaClient,
  { generation, pageSize, signal }: {
    generation: string;
    pageSize: number;
    signal?: AbortSignal | undefined;
  },
): Promise<RemoteState> {
  const snapshot = (await client.snapshots(generation, { signal })).at(-1);
  const snapshotIndex = snapshot?.index;
  const last = (await client.segments(generation, { signal })).at(-1);
  const none = { snapshotIndex, checksum: undefined, newestCommitAt: 0, damaged: undefined };
  if (last === undefined || (snapshotIndex !== undefined && last.index < snapshotIndex)) {
    if (snapshot !== undefined) await requireSealOf(client, snapshot, { signal });
    const position = snapshotIndex === undefined
      ? undefined
      : { generation, index: snapshotIndex, offset: 0 };
    return { ...none, position };
  }
  const { index, offset } = last;
  try {
    const end = await readSegmentEnd(client, last, { pageSize, signal });
    return { ...none, ...end, position: { generation, index, offset: offset + end.length } };
  } catch (error) {
    signal?.throwIfAborted();
    // Other keys may read it: nothing of ours may take its place.
    if (error instanceof EncryptionError) throw unreadable(last, error);
    const damaged = { key: last.key, reason: describeError(error) };
    return { ...none, position: { generation, index, offset }, damaged };
  }
}

/** Without a segment that is read whole, the snapshot's first bytes tell whether the replica is encrypted. */
async function requireSealOf(
  client: ReplicaClient,
  snapshot: SnapshotInfo,
  options: StoreOptions,
): Promise<void> {
  const range = { start: 0, end: SEAL_SIZE };
  const head = await readAll(await client.store.get(snapshot.key, { ...options, range }), {
    limit: SEAL_SIZE,
  });
  try {
    requireSameSeal(head, client.cipher);
  } catch (error) {
    throw unreadable(snapshot, error);
  }
}

function unreadable({ key }: ObjectInfo, cause: unknown): EncryptionError {
  return new EncryptionError(`cannot determine replica position: ${key}`, { cause });
}

async function readSegmentEnd(
  client: ReplicaClient,
  segment: SegmentInfo,
  { pageSize, signal }: { pageSize: number; signal: AbortSignal | undefined },
): Promise<SegmentEnd> {
  const { cipher } = client;
  const object = await decodeObject(await client.store.get(segment.key, { signal }), { cipher });
  if (cipher?.canDecrypt === false) {
    await object.raw.cancel();
    throw notSealed();
  }
  const frame = frameSize(pageSize);
  let tail: Uint8Array = new Uint8Array(0);
  let length = 0;
  for await (const chunk of object.raw) {
    length += chunk.length;
    tail = lastBytes(tail, chunk, frame);
  }
  // An object without a byte was left by a race of the tool that we replace, and is as bad as a damaged one.
  if (length === 0) throw new Error("the segment is empty");
  const view = viewOf(tail);
  const hasFrame = tail.length === frame &&
    length >= frame + (segment.offset === 0 ? FRAME_HEADER_SIZE + 8 : 0);
  return {
    length,
    checksum: hasFrame ? [view.getUint32(16), view.getUint32(20)] : undefined,
    newestCommitAt: object.note?.newestCommitAt.getTime() ?? 0,
  };
}

/** The last `count` bytes of `before` and `chunk` together, in memory of their own. */
function lastBytes(before: Uint8Array, chunk: Uint8Array, count: number): Uint8Array {
  if (chunk.length >= count) return chunk.slice(chunk.length - count);
  const kept = before.subarray(Math.max(0, before.length + chunk.length - count));
  const joined = new Uint8Array(kept.length + chunk.length);
  joined.set(kept);
  joined.set(chunk, kept.length);
  return joined;
}
