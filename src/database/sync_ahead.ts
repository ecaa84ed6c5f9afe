/** Bringing a WAL and its copy to the disk before somebody has to wait for that. */
import type { Follower } from "./follower.ts";
import type { LiveFiles } from "./live_files.ts";
import type { ShadowWal } from "./shadow_wal.ts";
import { Semaphore, sleep } from "../async.ts";
import { frameSize } from "../position.ts";
import type { Files, OpenFile } from "../runtime/files.ts";

/** What a WAL may grow by while we wait for the disk. */
const MOST_GROWTH_BYTES = 32 << 20;

/** Between two looks at how it grows. */
const LOOK_MS = 5;

/** Tells whether the WAL grows faster than what is done about it, counted from this call. */
export function patienceWith({ live }: Follower): () => boolean {
  const start = live.look();
  return () => {
    const now = live.look();
    if (start === undefined || now === undefined) return false;
    return (now.mxFrame - start.mxFrame) * frameSize(now.pageSize) >= MOST_GROWTH_BYTES;
  };
}

/** Of one disk: one that hangs must not take the threads that the files of others are read and written by. */
const SYNCS_AT_ONCE = 2;

/** By device. */
const syncTurns = new Map<number, Semaphore>();

function syncTurnsOf(device: number): Semaphore {
  const known = syncTurns.get(device);
  if (known !== undefined) return known;
  const turns = new Semaphore(SYNCS_AT_ONCE);
  syncTurns.set(device, turns);
  return turns;
}

/**
 * Bring both to the disk beside other work: a checkpoint, and the begin of the next index, block everything until that
 * is done, and have little left to do then.
 *
 * @param isOver asked now and then, whether to wait no longer
 */
export async function syncAhead({ live, shadow }: Follower, isOver: () => boolean): Promise<void> {
  let isDone = false;
  const turns = syncTurnsOf(live.mainStat().device);
  const syncBoth = async () => {
    using _ = await turns.acquire();
    // There may be no time left for it by now.
    if (!isOver()) await Promise.all([syncWal(live), syncNewest(shadow, live.files)]);
    isDone = true;
  };
  const done = syncBoth();
  while (!isDone && !isOver()) await Promise.race([done, sleep(LOOK_MS)]);
}

/**
 * Bring the copy to the disk beside whatever follows, without waiting for it: the first commit after a quiet time begins
 * another index, and would have to.
 */
export function syncCopySoon({ live, shadow }: Follower): void {
  const turns = syncTurnsOf(live.mainStat().device);
  void (async () => {
    using _ = await turns.acquire();
    await syncNewest(shadow, live.files);
  })();
}

/** By a descriptor of its own: what the disk fails with is told to each, also to the one that SQLite relies on. */
async function syncWal({ walPath, files }: LiveFiles): Promise<void> {
  try {
    using file = await files.open(walPath, { access: "read" });
    await file.sync();
  } catch {
    // Not every system syncs for a reader.
  }
}

/** A failure is noted, also where nobody waits for it any more: the next sync may succeed without what was lost. */
async function syncNewest(shadow: ShadowWal, files: Files): Promise<void> {
  const { index, size } = shadow;
  let file: OpenFile;
  try {
    file = await files.open(shadow.path(index), { access: "read-write" });
  } catch {
    return; // A new copy has another name at first.
  }
  try {
    await file.sync();
    shadow.noteSynced(file, { index, size });
  } catch (error) {
    shadow.noteSyncError(error);
  } finally {
    file.close();
  }
}
