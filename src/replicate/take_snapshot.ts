/** Takes one snapshot of a live database into a replica, while everything else goes on. */
import { encodeSnapshot } from "./encode_snapshot.ts";
import type { ReplicaProgress } from "./progress.ts";
import { takeRoom } from "./stage_room.ts";
import { StagedSnapshot } from "./staged_snapshot.ts";
import { type Notice, orAbort, type Semaphore } from "../async.ts";
import type { LiveDatabase } from "../database/database.ts";
import type { SnapshotSource } from "../database/snapshot.ts";
import { formatGoDuration } from "../duration.ts";
import type { Logger } from "../logger.ts";
import { comparePositions, formatPosition, type Position } from "../position.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Files, systemFiles } from "../runtime/files.ts";
import { join } from "../runtime/paths.ts";
import { snapshotKey } from "../storage/keys.ts";
import type { ObjectInfo } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** What a snapshot depends on. */
export interface SnapshotParts {
  readonly database: LiveDatabase;
  readonly client: ReplicaClient;
  readonly generation: string;
  /** Bounds the snapshots that run at once. */
  readonly slots: Semaphore;
  /** Where the WAL stands in the replica; `undefined` while it can't be uploaded. Told by `progressed`. */
  readonly position: () => Position | undefined;
  readonly progressed: Notice;
  /** Ends a rest between two uploads. */
  readonly hurry: () => void;
  /** The time, in milliseconds since 1970, before which nothing in the snapshot can have been the newest. */
  readonly notBefore: number;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Told how far it comes and when it waits; absent for snapshots that nothing depends on. */
  readonly progress?: Pick<ReplicaProgress, "snapshotAdvanced" | "snapshotWaits"> | undefined;
  /**
   * A folder for the compressed snapshot, when there is room: the live WAL is then held only while the database is
   * read, not as long as a slow link takes, and what is compressed is sent meanwhile. Default: none, it goes straight to
   * the store.
   */
  readonly stagePath?: string | undefined;
  readonly files?: Files | undefined;
  /** Whether the last try failed. Default false. */
  readonly isRetry?: boolean | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A snapshot that is in the replica. */
export interface StoredSnapshot {
  /** From here on it is right. */
  readonly position: Position;
  /** By our clock, when it began to be taken. */
  readonly at: Date;
}

/**
 * Take a snapshot of `generation` now.
 *
 * @returns `undefined` when the database has another generation by now, or the WAL that it needs can't be uploaded
 */
export async function takeSnapshot(
  parts: SnapshotParts,
  signal: AbortSignal,
): Promise<StoredSnapshot | undefined> {
  const { database, client, clock, logger } = parts;
  using _ = await acquireSlot(parts, signal);
  const at = new Date(clock.now());
  using source = await database.openSnapshot();
  // Whoever started us finds that out too, and begins anew.
  if (source.generation !== parts.generation) return undefined;
  const { generation, index, offset } = source;
  const position = { generation, index, offset };
  const fields = { position: formatPosition(position) };
  const newestCommitAt = new Date(Math.max(parts.notBefore, source.newestCommitAt.getTime()));
  let encodedShare = 0;
  const onProgress = (done: number, total: number) => {
    parts.onProgress?.(done, total);
    encodedShare = done / total;
    parts.progress?.snapshotAdvanced(encodedShare);
  };
  // What is stored is no larger than the database, so that this is below 1, and rises.
  const onRead = (done: number) => parts.progress?.snapshotAdvanced(encodedShare + done / sizeOf(source));
  const encode = () => encodeSnapshot(source, { newestCommitAt, onProgress });
  await using staged = await stage(source, { parts, encode, signal });
  // It is right only together with the WAL up to its offset, so that has to be there first.
  if (!await isWalUploaded(position, { parts, signal })) return undefined;
  const startMs = clock.monotonicMs();
  // A replica that is dead is not said to be written to at each try.
  if (!parts.isRetry) logger.info("write snapshot", fields);
  const body = staged?.read(onRead) ?? encode();
  const written: ObjectInfo = await client.put(snapshotKey(source), body, { signal });
  // A text in JSON too, as Litestream has it.
  const elapsed = formatGoDuration(clock.monotonicMs() - startMs);
  logger.info("snapshot written", { ...fields, elapsed, sz: written.size });
  return { position, at };
}

/** Others may take long, for which this one is not to blame. */
async function acquireSlot({ slots, progress }: SnapshotParts, signal: AbortSignal): Promise<Disposable> {
  using _ = progress?.snapshotWaits();
  return await slots.acquire({ signal });
}

async function isWalUploaded(
  wanted: Position,
  { parts: { position, progressed, progress, hurry }, signal }: { parts: SnapshotParts; signal: AbortSignal },
): Promise<boolean> {
  using _ = progress?.snapshotWaits();
  for (;;) {
    const token = progressed.token;
    const now = position();
    if (now?.generation !== wanted.generation) return false;
    if (comparePositions(now, wanted) >= 0) return true;
    // Others wait for their turn meanwhile, and the live WAL may have to: no rest is waited for.
    hurry();
    await orAbort(token, signal);
  }
}

/** @returns `undefined` when it isn't to be staged or there is no room */
async function stage(
  source: SnapshotSource,
  { parts, encode, signal }: {
    parts: SnapshotParts;
    encode: () => ReadableStream<Uint8Array>;
    signal: AbortSignal;
  },
): Promise<StagedSnapshot | undefined> {
  const { stagePath, files = systemFiles, client, logger } = parts;
  if (stagePath === undefined) return undefined;
  using beginning = new DisposableStack();
  // Twice what it can take at most: the disk is the application's, and its WAL grows meanwhile.
  const room = beginning.use(await takeRoom(stagePath, { bytes: 2 * sizeOf(source), files }));
  if (room === undefined) {
    logger.debug("no room to stage the snapshot, it goes straight to the replica", { path: stagePath });
    return undefined;
  }
  // `.tmp`: what a killed process leaves is removed when the meta directory is next opened.
  // One of its own each time: another of this replica may be waiting for its WAL.
  const path = join(stagePath, `snapshot-${encodeURIComponent(client.name)}-${crypto.randomUUID()}.tmp`);
  const staged = await StagedSnapshot.begin(encode(), { path, files, signal });
  const held = beginning.move();
  void staged.ended.then(() => {
    source.close();
    // From now on the disk itself tells what is left.
    held.dispose();
  });
  return staged;
}

function sizeOf({ pageSize, pageCount }: SnapshotSource): number {
  return pageSize * pageCount;
}
