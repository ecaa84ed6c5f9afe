/** A snapshot on its way into a replica. */
import { encodeObject } from "../codec/object.ts";
import type { Note } from "../codec/note.ts";
import type { SnapshotSource } from "../database/snapshot.ts";
import { snapshotKey } from "../storage/keys.ts";
import type { ObjectInfo } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** What an upload takes beside the snapshot. */
export interface SnapshotUploadOptions {
  readonly newestCommitAt: Date;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes read so far and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Store a snapshot under its name, with its note in front. */
export async function uploadSnapshot(
  client: ReplicaClient,
  source: SnapshotSource,
  { newestCommitAt, signal, onProgress }: SnapshotUploadOptions,
): Promise<ObjectInfo> {
  const { generation, index, offset, pageSize, pageCount, previousEnd } = source;
  const note: Note = {
    kind: "snapshot",
    generation,
    index,
    offset,
    newestCommitAt,
    pageSize,
    pageCount,
    previousEnd,
  };
  const total = pageSize * pageCount;
  const raw = onProgress === undefined
    ? source.read()
    : counted(source.read(), (done) => onProgress(done, total));
  return await client.store.put(snapshotKey(source), encodeObject(raw, { note }), { signal });
}

/** The same stream, telling how many bytes have passed. */
function counted(
  stream: ReadableStream<Uint8Array>,
  tell: (done: number) => void,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  let done = 0;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await reader.read();
      if (next.done) return controller.close();
      done += next.value.length;
      tell(done);
      controller.enqueue(next.value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
