/** One segment of the shadow WAL on its way into a replica. */
import { encodeObject, encodeObjectBytes } from "../codec/object.ts";
import type { Note } from "../codec/note.ts";
import { readAll } from "../bytes.ts";
import type { Segment } from "../database/segment.ts";
import { segmentKey } from "../storage/keys.ts";
import type { ObjectInfo } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** Segments up to this size go as one array: no stream, no multipart upload. */
const SMALL_BYTES = 1 << 20;

/** Store a segment under its name, with its note in front. */
export async function uploadSegment(
  client: ReplicaClient,
  segment: Segment,
  { newestCommitAt, signal }: { newestCommitAt: Date; signal?: AbortSignal },
): Promise<ObjectInfo> {
  const { generation, index, offset, previousEnd } = segment;
  const note: Note = { kind: "segment", generation, index, offset, newestCommitAt, previousEnd };
  const body = segment.length <= SMALL_BYTES
    ? encodeObjectBytes(await readAll(segment.read(), { limit: SMALL_BYTES }), { note })
    : encodeObject(segment.read(), { note });
  return await client.put(segmentKey(segment), body, { signal });
}
