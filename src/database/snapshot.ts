/**
 * A copy of the main file while the application goes on.
 *
 * A reader of its own stands meanwhile at mark M of index i. Nobody can restart the WAL or backfill past M, so all
 * that changes in the file is what frames of index i up to M bring. A restore replays index i from its start, which
 * makes the copy whole: it is right for every moment from (i, M) on, and that is the offset it states. On mark 0
 * the file stands still altogether.
 */
import type { Follower } from "./follower.ts";
import { beginReading, openByPath } from "./readers.ts";
import { isPageSize } from "../wal/header.ts";
import { type IndexEnd, WAL_HEADER_SIZE } from "../position.ts";
import { yieldToEvents } from "../runtime/clock.ts";

/** Bytes that are read at once; the read blocks, so not many. */
const READ_BYTES = 256 * 1024;

/** A snapshot that can be read; WAL can't be restarted until it is closed, so be quick. */
export interface SnapshotSource extends Disposable {
  readonly generation: string;
  readonly index: number;
  /** The offset within `index` from which on the snapshot is right; upload the WAL up to there first. */
  readonly offset: number;
  readonly pageSize: number;
  readonly pageCount: number;
  readonly newestCommitAt: Date;
  readonly previousEnd: IndexEnd | undefined;
  /** The bytes: pageCount × pageSize of them. A chunk is valid until the next one is read. */
  read(): ReadableStream<Uint8Array>;
  /** Let the WAL go. */
  close(): void;
}

/** Stand at the newest commit and describe the snapshot there; the caller makes sure that nobody else steps. */
export async function openSnapshot(follower: Follower): Promise<SnapshotSource> {
  await follower.catchUp();
  const connection = openByPath(follower.live, "read-only");
  try {
    beginReading(connection);
    // What was committed until the reader began has to be in the shadow WAL: its end is the offset that we state.
    await follower.catchUp();
    const pageSize = Number(connection.value("PRAGMA page_size"));
    const pages = Number(connection.value("PRAGMA page_count"));
    if (!isPageSize(pageSize)) throw new Error(`invalid db page size: ${pageSize}`);
    // chunk_size makes a file longer than its pages; pages that are not backfilled yet come from the WAL.
    const pageCount = Math.min(pages, Math.floor(follower.live.mainStat().size / pageSize));
    const { generation, index, committedSize } = follower.shadow;
    // Nothing is committed by a header alone, as one that was left without a commit: that is the start of the index.
    const offset = committedSize === WAL_HEADER_SIZE ? 0 : committedSize;
    return {
      generation,
      index,
      offset,
      pageSize,
      pageCount,
      newestCommitAt: new Date(follower.times.timeOf({ index, offset })),
      previousEnd: follower.shadow.knownEndOf(index - 1),
      read: () => readMain(follower, pageCount * pageSize),
      close: () => connection.close(),
      [Symbol.dispose]: () => connection.close(),
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}

function readMain(follower: Follower, size: number): ReadableStream<Uint8Array> {
  const buffer = new Uint8Array(Math.min(READ_BYTES, size));
  let position = 0;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (position === size) {
        // Whoever copies another file over ours changes what we have read, or have yet to read.
        follower.live.requireSame();
        return controller.close();
      }
      const chunk = buffer.subarray(0, Math.min(READ_BYTES, size - position));
      await yieldToEvents();
      const count = follower.live.readMain(chunk, position);
      if (count < chunk.length) throw new Error(`${follower.live.path} became shorter while it was read`);
      position += count;
      controller.enqueue(chunk);
    },
  }, { highWaterMark: 0 });
}
