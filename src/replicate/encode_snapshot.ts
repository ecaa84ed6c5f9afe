/** A snapshot as replicas store it. */
import { useCompressionThread } from "./compression_thread.ts";
import { encodeObject } from "../codec/object.ts";
import type { Note } from "../codec/note.ts";
import type { SnapshotSource } from "../database/snapshot.ts";

/** What is told and asked beside the snapshot. */
export interface SnapshotEncodeOptions {
  readonly newestCommitAt: Date;
  /** Called with the bytes read so far and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A snapshot as it is stored, with its note in front. */
export function encodeSnapshot(
  source: SnapshotSource,
  { newestCommitAt, onProgress }: SnapshotEncodeOptions,
): ReadableStream<Uint8Array> {
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
  return encodeObject(raw, { note, openCompressor: useCompressionThread });
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
