/** The snapshot's pages to the file that becomes the database. */
import { viewOf } from "../bytes.ts";
import { acquireKernel, releaseKernel } from "../codec/lz4_kernel.ts";
import { decodeObject } from "../codec/object.ts";
import type { SnapshotNote } from "../codec/note.ts";
import { DamagedObjectError } from "../errors.ts";
import type { SnapshotInfo } from "../storage/replica_client.ts";
import { isPageSize } from "../wal/header.ts";
import { damagedBy } from "./damage.ts";
import { checkNote } from "./wal_replay.ts";
import { WriteBehind, type WriteBehindOptions } from "./write_behind.ts";

/** What a snapshot turned out to be. */
export interface RestoredSnapshot {
  readonly note: SnapshotNote | undefined;
  readonly noteDamage: string | undefined;
  /** Bytes written. */
  readonly size: number;
  /** 0 for an empty snapshot without a note. */
  readonly pageSize: number;
  readonly pageCount: number;
}

/** Bytes of the database header. */
const HEADER_SIZE = 100;

/**
 * Decode a snapshot into `file` and check it.
 *
 * @param reserve called once with the bytes that are going to be written, as far as that is known at the start;
 * throws when there is no room for them
 * @throws {DamagedObjectError}
 */
export async function writeSnapshot(
  stored: ReadableStream<Uint8Array>,
  { snapshot, file, syncEvery, reserve, signal }: WriteBehindOptions & {
    snapshot: SnapshotInfo;
    reserve: (bytes: number) => Promise<void>;
    signal?: AbortSignal | undefined;
  },
): Promise<RestoredSnapshot> {
  // What one has decoded is written while the other decodes.
  const kernels = [acquireKernel(), acquireKernel()];
  try {
    const { note, noteDamage, raw } = await damagedBy(snapshot, () => decodeObject(stored, { kernels }));
    const reader = raw.getReader();
    const header = new Uint8Array(HEADER_SIZE);
    try {
      checkNote(snapshot, note);
      const snapshotNote = note?.kind === "snapshot" ? note : undefined;
      await using output = new WriteBehind({ file, syncEvery });
      let isReserved = false;
      while (true) {
        const { done, value } = await damagedBy(snapshot, () => reader.read());
        if (done) break;
        signal?.throwIfAborted();
        const { size } = output;
        if (size < HEADER_SIZE) header.set(value.subarray(0, HEADER_SIZE - size), size);
        if (!isReserved) await reserve(announcedSize(snapshotNote, header));
        isReserved = true;
        await output.write(value);
      }
      await output.finish();
      const { size } = output;
      const pageSize = checkPages(snapshot, { note: snapshotNote, header, size });
      return {
        note: snapshotNote,
        noteDamage,
        size,
        pageSize,
        pageCount: pageSize === 0 ? 0 : size / pageSize,
      };
    } finally {
      await reader.cancel().catch(() => {});
    }
  } finally {
    for (const kernel of kernels) releaseKernel(kernel);
  }
}

/** The page size, once size and header agree with each other and the note. */
function checkPages(
  snapshot: SnapshotInfo,
  { note, header, size }: { note: SnapshotNote | undefined; header: Uint8Array; size: number },
): number {
  if (note !== undefined && size !== note.pageSize * note.pageCount) {
    throw new DamagedObjectError(
      snapshot.key,
      `it holds ${size} bytes, and its note says ${note.pageCount} pages of ${note.pageSize} bytes`,
    );
  }
  if (size === 0) return note?.pageSize ?? 0;
  const pageSize = headerPageSize(header);
  if (pageSize === undefined) throw new DamagedObjectError(snapshot.key, "it is not a SQLite database");
  if (note !== undefined && note.pageSize !== pageSize) {
    throw new DamagedObjectError(
      snapshot.key,
      `its page size is ${pageSize}, and its note says ${note.pageSize}`,
    );
  }
  if (size % pageSize !== 0) {
    throw new DamagedObjectError(
      snapshot.key,
      `its ${size} bytes are not a whole number of pages of ${pageSize} bytes`,
    );
  }
  return pageSize;
}

/** The page size in a database header; `undefined` when it isn't one. */
function headerPageSize(header: Uint8Array): number | undefined {
  if (new TextDecoder("latin1").decode(header.subarray(0, 16)) !== "SQLite format 3\0") return undefined;
  const stated = viewOf(header).getUint16(16);
  const size = stated === 1 ? 65536 : stated;
  return isPageSize(size) ? size : undefined;
}

/** What the snapshot decodes to, as it says itself; 0 when it doesn't. */
function announcedSize(note: SnapshotNote | undefined, header: Uint8Array): number {
  if (note !== undefined) return note.pageSize * note.pageCount;
  const view = viewOf(header);
  // The page count in the header holds only when the last writer also set the version beside it.
  if (view.getUint32(24) !== view.getUint32(92)) return 0;
  return (headerPageSize(header) ?? 0) * view.getUint32(28);
}
