/** A follower by itself, and a look at the wal-index from outside. */
import { openSync, readSync } from "node:fs";
import type { Stage } from "./stage.ts";
import { Follower, type FollowerOptions } from "../../src/database/follower.ts";
import { LiveFiles } from "../../src/database/live_files.ts";
import { MetaDirectory } from "../../src/database/meta_directory.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { parseWalIndex, type WalIndex } from "../../src/wal/wal_index.ts";
import { hookFiles } from "../doubles/hooked_files.ts";

// The -shm file is read through a descriptor that is never closed: closing it would drop the locks under test.
const held = new Map<string, number>();

/** Whether the database file holds all that is committed. */
export function isBackfilled({ path }: Stage): boolean {
  const { backfilledCount, mxFrame } = lookAt(path);
  return backfilledCount === mxFrame;
}

/** The wal-index of the database at `path`. */
export function lookAt(path: string): WalIndex {
  const descriptor = held.get(path) ?? openSync(`${path}-shm`, "r");
  held.set(path, descriptor);
  const bytes = new Uint8Array(136);
  for (;;) {
    readSync(descriptor, bytes, 0, 136, 0);
    const index = parseWalIndex(bytes);
    if (index !== undefined) return index;
  }
}

/** A follower and what it is built on. */
export interface BareFollower extends Disposable {
  readonly follower: Follower;
  readonly live: LiveFiles;
  readonly meta: MetaDirectory;
}

function followerOf(options: Omit<FollowerOptions, "clock">): Follower {
  const { live } = options;
  try {
    return new Follower({ ...options, clock: systemClock });
  } catch (error) {
    live.close();
    throw error;
  }
}

/** A follower with which nothing happens but what the test asks for. */
export function bareFollower(
  stage: Stage,
  files: Files = systemFiles,
  options: Pick<FollowerOptions, "stayFromPages"> = {},
): BareFollower {
  const live = new LiveFiles(stage.path, files);
  const meta = new MetaDirectory(`${stage.folder}/meta`, files);
  meta.adoptPermissions(stage.path);
  meta.create();
  const follower = followerOf({ live, meta, ...options });
  return {
    follower,
    live,
    meta,
    [Symbol.dispose]() {
      follower.close();
      live.close();
    },
  };
}

/** Files whose reads of the wal-index find nothing consistent while `isTorn()` says so, told the number of each. */
export function tornFiles() {
  const torn = { count: 0, isTorn: (_: number) => false };
  const files = hookFiles(systemFiles, (call, act) => {
    const result = act();
    if (call.kind !== "read" || !call.path.endsWith("-shm")) return result;
    if (!torn.isTorn(torn.count++)) return result;
    call.into!.fill(0);
    return result;
  });
  return { torn, files };
}
