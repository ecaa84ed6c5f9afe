/** Another file where the database was, and another program that looks after it. */
import { copyFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Litestream } from "../../litestream.ts";
import type { Scene } from "../scene.ts";
import { type Fault, waitFor } from "./fault.ts";

/** With the applications away, and walbrook there or killed; all are there again afterwards. */
async function withoutApplications(scene: Scene, act: () => Promise<void>): Promise<void> {
  const { applications, follower, chance } = scene;
  await applications.stop({ isAbrupt: chance.happens(0.3) });
  const isDead = chance.happens(0.4);
  if (isDead) await follower.killAndHold();
  try {
    await act();
  } finally {
    if (isDead) follower.start();
    applications.start();
  }
  // Long enough for walbrook to notice, and for commits in what is new.
  await waitFor(scene, [1500, 3000]);
}

function removeWal(databasePath: string): void {
  for (const suffix of ["-wal", "-shm"]) rmSync(databasePath + suffix, { force: true });
}

/**
 * Note what the database says last; without it no other may come.
 *
 * @returns `false` when a full disk keeps it from being read
 */
async function seeLast({ judge, ledger, databasePath }: Scene): Promise<boolean> {
  try {
    const { id } = await judge.live(databasePath);
    ledger.read();
    ledger.see(id);
    return true;
  } catch (error) {
    if (!isFullDisk(error)) throw error;
    return false;
  }
}

function isFullDisk(error: unknown): boolean {
  return /full|disk I\/O error/.test(String(error));
}

/** A copy of now, which becomes the database some commits later. */
async function putBack(scene: Scene, how: "rename" | "overwrite"): Promise<void> {
  const { databasePath, applications, judge } = scene;
  const copyPath = join(scene.diskPath, "copy.db");
  try {
    await judge.backup(databasePath, { to: copyPath });
  } catch (error) {
    // A full disk has no room for a copy; then there is none to put back.
    if (!isFullDisk(error)) throw error;
    return rmSync(copyPath, { force: true });
  }
  await waitFor(scene, [300, 1500]);
  await withoutApplications(scene, async () => {
    if (!await seeLast(scene)) return rmSync(copyPath, { force: true });
    await applications.adopt(copyPath, { epoch: ++scene.epoch });
    removeWal(copyPath);
    removeWal(databasePath);
    if (how === "rename") renameSync(copyPath, databasePath);
    else copyFileSync(copyPath, databasePath);
    rmSync(copyPath, { force: true });
  });
}

export const DATABASE_FAULTS: readonly Fault[] = [
  { name: "database-replaced-by-older", isExclusive: true, run: (scene) => putBack(scene, "rename") },
  { name: "database-overwritten-by-older", isExclusive: true, run: (scene) => putBack(scene, "overwrite") },
  {
    name: "database-deleted",
    isExclusive: true,
    run: (scene) =>
      withoutApplications(scene, async () => {
        const { databasePath, applications, chance } = scene;
        if (!await seeLast(scene)) return;
        removeWal(databasePath);
        rmSync(databasePath);
        if (chance.happens(0.5)) await waitFor(scene, [0, 1500]);
        await applications.initialize({ epoch: ++scene.epoch, pageSize: scene.pickPageSize() });
      }),
  },
  {
    name: "litestream-takes-over",
    isExclusive: true,
    async run(scene) {
      const { applications, follower, replicas, folder, databasePath } = scene;
      scene.hasForeignObjects = true;
      await applications.stop();
      await follower.stop();
      const { place, settingsLines } = replicas[0]!;
      if (place.type !== "file") return;
      const litestream = Litestream.start({
        configPath: join(folder, "litestream-replicate.yml"),
        databases: [{ databasePath, replicaPath: place.path }],
        replicaLines: ["snapshot-interval: 1s", ...settingsLines],
      });
      applications.startGently();
      await waitFor(scene, [1500, 3500]);
      await applications.stop();
      if (scene.chance.happens(0.3)) await litestream.kill();
      else await litestream.stop();
      follower.start();
      applications.start();
      await waitFor(scene, [500, 1500]);
    },
  },
];
