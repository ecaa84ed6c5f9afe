/** Where a replica stands, read from the replica itself: its listing is the state. */
import { decodeObject } from "../codec/object.ts";
import { requireSameSeal, SEAL_SIZE } from "../codec/sealed.ts";
import { readAll, viewOf } from "../bytes.ts";
import type { Cipher } from "../cipher.ts";
import { BrokenHistoryError, describeError, EncryptionError } from "../errors.ts";
import { formatIndex, frameSize, type IndexOffset, type Position, WAL_HEADER_SIZE } from "../position.ts";
import { frameChecksumAt } from "../wal/frames.ts";
import type { ObjectInfo, StoreOptions } from "../storage/object_store.ts";
import { checkOrder } from "../restore/plan.ts";
import { segmentsPrefix } from "../storage/keys.ts";
import type { ReplicaClient, SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import type { Checksum } from "../wal/checksum.ts";

/** What a replica has of one generation. */
export interface RemoteState {
  /** Index of the newest snapshot; `undefined` when there is none, and the generation can't be restored yet. */
  readonly snapshotIndex: number | undefined;
  /** When that was stored. */
  readonly snapshotAt: Date | undefined;
  /** When the newest object was stored. */
  readonly newestAt: Date | undefined;
  /** Where the next segment has to start; `undefined` when there is neither snapshot nor segment. */
  readonly position: Position | undefined;
  /** Checksum of the last frame before `position`, where a segment was read. */
  readonly checksum: Checksum | undefined;
  /** The time in the newest note; milliseconds since 1970, 0 without one. */
  readonly newestCommitAt: number;
  /** The newest segment, when it can't be read, and why: it has to be stored again. */
  readonly damaged: { readonly key: string; readonly reason: string } | undefined;
  /**
   * Why the end of the newest segment can't be known: it is encrypted, and there is no identity. `position` is where
   * it begins then.
   */
  readonly unreadable: string | undefined;
  /** The newest segment, when it is whole. */
  readonly newest: KnownSegment | undefined;
  /** What is missing behind the newest snapshot, as far as names tell: only a new snapshot helps. */
  readonly missingKey: string | undefined;
}

/** A segment that we stored or read ourselves: it needn't be downloaded again while it is the newest. */
export interface KnownSegment extends IndexOffset {
  readonly key: string;
  /** Bytes as stored. */
  readonly size: number;
  /** Decoded bytes. */
  readonly length: number;
}

/** What the last segment ends with. */
interface SegmentEnd {
  readonly length: number;
  readonly checksum: Checksum | undefined;
  readonly newestCommitAt: number;
}

/**
 * Read where `generation` stands in a replica: one listing, or two of a long history, and one download: of the last
 * segment unless it is `known`, or, when there is none, of the first bytes of the last snapshot. Without keys to
 * read with, of no more than the first bytes of either.
 *
 * @throws {EncryptionError} when the replica is encrypted otherwise than its keys say, or can't be read with them;
 * {Error} what the store fails with; a segment that comes but can't be decoded is no failure
 */
export async function readRemoteState(
  client: ReplicaClient,
  { generation, pageSize, fromIndex = 0, known, tried, signal }: {
    generation: string;
    pageSize: number;
    /** The oldest index that can still be sent: the newest segment is looked for from there first. */
    fromIndex?: number | undefined;
    known?: KnownSegment | undefined;
    /** A segment whose upload failed, as far as we know. */
    tried?: IndexOffset | undefined;
    signal?: AbortSignal | undefined;
  },
): Promise<RemoteState> {
  const { snapshot, segments, isWhole } = await client.newest(generation, { fromIndex, signal });
  const last = segments.at(-1);
  const snapshotIndex = snapshot?.index;
  const none = {
    snapshotIndex,
    snapshotAt: snapshot?.createdAt,
    newestAt: later(snapshot?.createdAt, last?.createdAt),
    checksum: undefined,
    newestCommitAt: 0,
    damaged: undefined,
    unreadable: undefined,
    newest: undefined,
    missingKey: snapshot && missingBehind(snapshot, { segments, isWhole }),
  };
  if (last === undefined || (snapshotIndex !== undefined && last.index < snapshotIndex)) {
    if (snapshot !== undefined) await requireSealOf(client, snapshot, { signal });
    const position = snapshotIndex === undefined
      ? undefined
      : { generation, index: snapshotIndex, offset: 0 };
    return { ...none, position };
  }
  const { key, size, index, offset } = last;
  const endAt = (length: number) => ({ generation, index, offset: offset + length });
  if (known !== undefined && known.key === key && known.size === size) {
    return { ...none, position: endAt(known.length), newest: known };
  }
  if (client.cipher?.canDecrypt === false) {
    await requireSealOf(client, last, { signal });
    // Its upload seemed to fail and did not: the same goes there again.
    const isTried = tried?.index === index && tried.offset === offset;
    const unreadable = isTried ? undefined : `${key} can't be read back without age.identities`;
    return { ...none, position: endAt(0), unreadable };
  }
  const end = await readSegmentEnd(client, last, { pageSize, signal });
  if ("reason" in end) return { ...none, position: endAt(0), damaged: { key, reason: end.reason } };
  const { length, checksum, newestCommitAt } = end;
  const newest = { key, size, index, offset, length };
  return { ...none, position: endAt(length), checksum, newestCommitAt, newest };
}

function later(left: Date | undefined, right: Date | undefined): Date | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return left > right ? left : right;
}

/**
 * The first object that is missing between a snapshot and the index that is written now; of a history that isn't
 * whole, between the first listed segment and that index.
 */
function missingBehind(
  snapshot: SnapshotInfo,
  { segments, isWhole }: { segments: readonly SegmentInfo[]; isWhole: boolean },
): string | undefined {
  const behind = segments.filter(({ index }) => index >= snapshot.index);
  let previous: SnapshotInfo | SegmentInfo = isWhole ? snapshot : behind.shift() ?? snapshot;
  for (const segment of behind) {
    try {
      checkOrder(previous, segment);
    } catch (error) {
      if (!(error instanceof BrokenHistoryError)) throw error;
      // Nor would a snapshot help while what it needs of its own index is missing.
      const isCurrent = error.key.startsWith(
        `${segmentsPrefix(snapshot.generation)}${formatIndex(segments.at(-1)!.index)}_`,
      );
      return isCurrent ? undefined : error.key;
    }
    previous = segment;
  }
  return undefined;
}

/** Where no object is read whole, the first bytes of one tell whether the replica is encrypted. */
async function requireSealOf(
  client: ReplicaClient,
  object: ObjectInfo,
  options: StoreOptions,
): Promise<void> {
  const limit = SEAL_SIZE;
  const range = { start: 0, end: limit };
  const head = await readAll(await client.store.get(object.key, { ...options, range }), { limit });
  try {
    requireSameSeal(head, client.cipher);
  } catch (error) {
    throw unreadable(object, error);
  }
}

function unreadable({ key }: ObjectInfo, cause: unknown): EncryptionError {
  return new EncryptionError(`cannot determine replica position: ${key}`, { cause });
}

async function readSegmentEnd(
  client: ReplicaClient,
  segment: SegmentInfo,
  { pageSize, signal }: { pageSize: number; signal: AbortSignal | undefined },
): Promise<SegmentEnd | { readonly reason: string }> {
  const stored = new WatchedSource(await client.store.get(segment.key, { signal }));
  try {
    return await decodeEnd(stored.stream, { segment, pageSize, cipher: client.cipher });
  } catch (error) {
    // A connection that breaks says nothing about the object, which must not be replaced then.
    if (stored.failure !== undefined) throw stored.failure.error;
    signal?.throwIfAborted();
    // Other keys may read it: nothing of ours may take its place.
    if (error instanceof EncryptionError) throw unreadable(segment, error);
    return { reason: describeError(error) };
  }
}

/** The same bytes, and whether reading them failed. */
class WatchedSource {
  failure: { readonly error: unknown } | undefined;
  readonly stream: ReadableStream<Uint8Array>;

  constructor(source: ReadableStream<Uint8Array>) {
    const reader = source.getReader();
    this.stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          this.failure = { error };
          throw error;
        }
      },
      cancel: (reason) => reader.cancel(reason),
    }, { highWaterMark: 0 });
  }
}

async function decodeEnd(
  stored: ReadableStream<Uint8Array>,
  { segment, pageSize, cipher }: { segment: SegmentInfo; pageSize: number; cipher: Cipher | undefined },
): Promise<SegmentEnd> {
  const object = await decodeObject(stored, { cipher });
  const frame = frameSize(pageSize);
  let tail: Uint8Array = new Uint8Array(0);
  let length = 0;
  for await (const chunk of object.raw) {
    length += chunk.length;
    tail = lastBytes(tail, chunk, frame);
  }
  // An object without a byte was left by a race of the tool that we replace, and is as bad as a damaged one.
  if (length === 0) throw new Error("the segment is empty");
  const hasFrame = length >= frame + (segment.offset === 0 ? WAL_HEADER_SIZE : 0);
  return {
    length,
    checksum: hasFrame ? frameChecksumAt(viewOf(tail), 0) : undefined,
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
