/** One fetched segment through the replay. */
import { decodeObject, decodeObjectBytes, type ObjectNote } from "../codec/object.ts";
import type { SegmentInfo } from "../storage/replica_client.ts";
import { asDamage, damagedBy } from "./damage.ts";
import type { FetchedObject } from "./prefetch.ts";
import type { WalReplay } from "./wal_replay.ts";

/** Most bytes of an object that is decoded at one go: it can't become more than 255 times as many. */
const SMALL_SIZE = 32 * 1024;

/**
 * Decode a segment and have every byte of it checked.
 *
 * @param onNote called with what stands in front, before anything is replayed
 * @throws {DamagedObjectError} what the object or its place in the history is wrong in
 */
export async function replaySegment(
  replay: Pick<WalReplay, "begin" | "accept" | "end">,
  fetched: FetchedObject,
  { segment, onNote, signal }: {
    segment: SegmentInfo;
    onNote: (note: ObjectNote) => void;
    signal?: AbortSignal | undefined;
  },
): Promise<void> {
  signal?.throwIfAborted();
  if (fetched.whole !== undefined && fetched.whole.length <= SMALL_SIZE) {
    const decoded = decodeSmall(segment, fetched.whole);
    onNote(decoded);
    replay.begin(segment, decoded.note);
    await replay.accept(decoded.raw);
  } else {
    const decoded = await damagedBy(segment, () => decodeObject(fetched.stream()));
    const reader = decoded.raw.getReader();
    try {
      onNote(decoded);
      replay.begin(segment, decoded.note);
      while (true) {
        const { done, value } = await damagedBy(segment, () => reader.read());
        if (done) break;
        signal?.throwIfAborted();
        await replay.accept(value);
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  }
  replay.end();
}

function decodeSmall(segment: SegmentInfo, stored: Uint8Array): ReturnType<typeof decodeObjectBytes> {
  try {
    return decodeObjectBytes(stored);
  } catch (error) {
    throw asDamage(segment, error);
  }
}
