/** One segment of the shadow WAL on its way into a replica. */
import { verifySegment } from "./verify_segment.ts";
import { encodeObject, encodeObjectBytes } from "../codec/object.ts";
import type { Note } from "../codec/note.ts";
import { readAll } from "../bytes.ts";
import type { Segment } from "../database/segment.ts";
import { segmentKey } from "../storage/keys.ts";
import type { ObjectInfo } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** Segments up to this size go as one array: no stream, no multipart upload. */
const SMALL_BYTES = 1 << 20;

/** What an upload takes beside the segment. */
export interface SegmentUploadOptions {
  /** That of the database. */
  readonly pageSize: number;
  readonly newestCommitAt: Date;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Store a segment under its name, with its note in front.
 *
 * @throws {ContinuityLostError} when its bytes are not a sound piece of a WAL; nothing is stored then
 */
export async function uploadSegment(
  client: ReplicaClient,
  segment: Segment,
  { pageSize, newestCommitAt, signal }: SegmentUploadOptions,
): Promise<ObjectInfo> {
  const { generation, index, offset, previousEnd } = segment;
  const note: Note = { kind: "segment", generation, index, offset, newestCommitAt, previousEnd };
  const { bytes, problem } = verifySegment(segment, { pageSize });
  try {
    const body = segment.length <= SMALL_BYTES
      ? encodeObjectBytes(await readAll(bytes, { limit: SMALL_BYTES }), { note })
      : encodeObject(bytes, { note });
    return await client.put(segmentKey(segment), body, { signal });
  } catch (error) {
    // A store may wrap what its source failed with.
    throw problem() ?? error;
  }
}
