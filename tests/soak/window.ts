/**
 * The window of asynchronous replication: how much would be lost if the machine were gone now.
 *
 * walbrook is stopped in its tracks, so that nothing more gets into the replicas, at moments that have nothing to do with
 * its own, while the applications write and nothing is wrong. Then each replica is restored, and what it comes to is held
 * against the newest commit of that moment.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { CommitRecord } from "./ledger.ts";
import { probe } from "./probe.ts";
import type { SoakReplica } from "./replicas.ts";
import type { Scene } from "./scene.ts";

/** One look at one replica. */
export interface WindowLook {
  /** From the newest commit that it held to the newest one that there was; milliseconds. */
  readonly behindMs: number;
  /** Its `sync-interval`. */
  readonly syncIntervalMs: number;
}

/** Until the first snapshot is stored nothing can be looked at. */
const FIRST_LIMIT_MS = 60_000;

/** Between two looks: what was committed during the one before has been sent, and some more time at random. */
const STEADY_MS = 1500;
const MORE_MS = 1000;

/** Look at every replica `lookCount` times. The caller sees to it that nothing is wrong. */
export async function measureWindow(scene: Scene, { lookCount }: { lookCount: number }): Promise<void> {
  for (const replica of scene.replicas) {
    if (lookCount > 0 && !await isRestorableSoon(scene, replica)) return;
  }
  for (let count = 0; count < lookCount; count++) {
    await delay(STEADY_MS + scene.chance.between([0, MORE_MS]));
    const wake = scene.follower.freeze();
    try {
      const newest = scene.newestCommit();
      if (newest === undefined) return scene.problem("nothing is committed, though nothing is wrong");
      for (const replica of scene.replicas) await look(scene, replica, newest);
    } finally {
      wake();
    }
  }
}

async function isRestorableSoon(scene: Scene, replica: SoakReplica): Promise<boolean> {
  for (const startMs = performance.now(); performance.now() - startMs < FIRST_LIMIT_MS;) {
    if (await probe(scene, replica) !== undefined) return true;
    await delay(100);
  }
  scene.problem(`${replica.name} could not be restored for ${FIRST_LIMIT_MS} ms, though nothing was wrong`);
  return false;
}

async function look(scene: Scene, replica: SoakReplica, newest: CommitRecord): Promise<void> {
  const content = await probe(scene, replica);
  const record = content && scene.ledger.recordOf(content.id);
  // What is wrong with a restored file is told by who looked into it.
  if (record === undefined) return;
  scene.tally.window.push(windowOf({ newest, held: record, syncIntervalMs: replica.syncIntervalMs }));
}

/** What a replica lacked that held `held` when `newest` was the newest commit. */
export function windowOf(
  { newest, held, syncIntervalMs }: {
    newest: Pick<CommitRecord, "at">;
    held: Pick<CommitRecord, "at">;
    syncIntervalMs: number;
  },
): WindowLook {
  // A commit of the last moment can be in the replica before its application has heard of it.
  return { behindMs: Math.max(0, newest.at - held.at), syncIntervalMs };
}
