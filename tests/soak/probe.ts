/** Restoring a replica and judging what came of it. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describeError } from "../../src/errors.ts";
import type { RestoreTarget } from "../../src/restore/plan.ts";
import type { RestoreSummary } from "../../src/restore/restore.ts";
import { comparePlaces, type Content } from "./ledger.ts";
import type { SoakReplica } from "./replicas.ts";
import type { Scene } from "./scene.ts";

/** What a restore came to. */
export type Restored =
  | { readonly kind: "content"; readonly content: Content; readonly path: string }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "not judged" };

let outputCount = 0;

/** A name that no file has. */
export function outputPathIn(scene: Scene): string {
  return join(scene.folder, `restored-${++outputCount}.db`);
}

/** What is wrong with a restored file; otherwise what it holds. */
async function look(scene: Scene, path: string): Promise<Content | { readonly problem: string }> {
  const content = await scene.judge.content(path);
  if ("problem" in content) return content;
  scene.ledger.read();
  const objection = scene.ledger.objection(content);
  if (objection !== undefined) return { problem: objection };
  scene.restoredIds.add(content.id);
  return content;
}

/** Judge a restored file; anything wrong with it is a problem of the round. */
export async function judgeFile(scene: Scene, path: string, what: string): Promise<Content | undefined> {
  const content = await look(scene, path);
  if (!("problem" in content)) return content;
  scene.problem(`${what}: ${content.problem} (${path})`);
  return undefined;
}

/** Restore with our own code and judge it; `undefined` when it is wrong, which is noted then. */
export async function restoreOurs(
  scene: Scene,
  replica: SoakReplica,
  options: { target?: RestoreTarget; generation?: string; what: string },
): Promise<Restored | undefined> {
  const path = outputPathIn(scene);
  let summary: RestoreSummary;
  try {
    summary = await replica.restore(path, options);
  } catch (error) {
    return { kind: "refused", reason: describeError(error) };
  }
  const content = await look(scene, path);
  if (!("problem" in content)) return { kind: "content", content, path };
  if (scene.hasForeignObjects && await replica.isAheadOfItsWal(summary)) {
    scene.tally.litestream.add("its snapshot may be ahead of its WAL, not judged");
    removeOutput(path);
    return { kind: "not judged" };
  }
  scene.problem(`${replica.name}, ${options.what}: ${content.problem} (${path})`);
  return undefined;
}

/** Remove a restored file. */
export function removeOutput(path: string): void {
  for (const suffix of ["", "-wal", "-shm", ".tmp", ".tmp-wal", ".tmp-shm"]) {
    rmSync(path + suffix, { force: true });
  }
}

/** Tries of a probe while retention deletes what it was about to read. */
const PROBE_TRIES = 4;

/** Restore the newest state while everything goes on: it is a commit, and never an older one than before. */
export async function probe(scene: Scene, replica: SoakReplica): Promise<Content | undefined> {
  const floor = scene.floorOf(replica);
  let reason = "";
  for (let tries = 0; tries < PROBE_TRIES; tries++) {
    const restored = await restoreOurs(scene, replica, { what: "newest, meanwhile" });
    if (restored === undefined || restored.kind === "not judged") return undefined;
    if (restored.kind === "content") {
      const { content, path } = restored;
      removeOutput(path);
      scene.tally.restores.add("newest, meanwhile");
      if (floor !== undefined && comparePlaces(content, floor) < 0) {
        if (!replica.isSpoiled) scene.problem(`${replica.name} went back from ${floor.id} to ${content.id}`);
        return content;
      }
      if (!replica.isSpoiled) scene.raiseFloor(replica, content);
      return content;
    }
    // Until the first snapshot is stored nothing can be.
    if (floor === undefined) return undefined;
    reason = restored.reason;
  }
  scene.tally.refusals.add(`meanwhile: ${wordsOf(scene, reason)}`);
  if (!replica.isSpoiled) scene.problem(`${replica.name} can't be restored meanwhile: ${reason}`);
  return undefined;
}

/** An error without what differs each time. */
export function wordsOf(scene: Scene, reason: string): string {
  return reason.replaceAll(scene.folder, "").replace(/[0-9a-f]{8,}/g, "…").replace(/\d+/g, "N").slice(0, 120);
}
