/** Files and disks that don't do what they are asked. */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Scene } from "../scene.ts";
import { ERROR_NUMBERS, FAILING_CALLS } from "../shim.ts";
import { type Fault, waitFor } from "./fault.ts";

type ErrorName = keyof typeof ERROR_NUMBERS;

const CALLS: Readonly<Record<ErrorName, readonly (keyof typeof FAILING_CALLS)[]>> = {
  EIO: ["read", "write", "truncate", "sync", "open"],
  ENOSPC: ["write", "open"],
  EMFILE: ["open"],
  EROFS: ["write", "truncate", "open"],
};

function failing(code: ErrorName): Fault {
  return {
    name: `walbrook-${code}`,
    isExclusive: false,
    async run(scene) {
      const { follower, chance, folder } = scene;
      const part = chance.pick([folder, "app.db-wal", "-litestream/", join(folder, "replica")]);
      const share = chance.pick([0.01, 0.1, 1]);
      const calls = CALLS[code].filter(() => chance.happens(0.6));
      const before = follower.shim.failedCount;
      follower.shim.fail({ calls, code, share, part });
      await waitFor(scene, [100, 3000]);
      follower.shim.mend();
      scene.tally.failedCalls += follower.shim.failedCount - before;
    },
  };
}

/** A random file in the meta directory; `undefined` when there is none. */
function someMetaFile({ diskPath, chance }: Scene): string | undefined {
  const folder = metaPath(diskPath);
  try {
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
      .map((name) => join(folder, name)).filter((path) => statSync(path).isFile());
    return files.length === 0 ? undefined : chance.pick(files);
  } catch {
    return undefined; // It went while we looked.
  }
}

function metaPath(diskPath: string): string {
  return join(diskPath, ".app.db-litestream");
}

/** Change the meta directory while walbrook is there, or while it is dead. */
async function underneath(scene: Scene, act: () => void): Promise<void> {
  const { follower, chance } = scene;
  const isDead = chance.happens(0.5);
  if (isDead) await follower.killAndHold();
  try {
    act();
  } catch {
    // A file went while we were at it.
  }
  if (isDead) follower.start();
  await waitFor(scene, [200, 1500]);
}

/**
 * Run `act` while the folder at `path` is read-only to whoever opens something in it from now on; a file that is open
 * already can still be written, as no system takes that away while somebody does.
 */
async function readOnly(path: string, act: () => Promise<void>): Promise<void> {
  if (!existsSync(path) || !coverReadOnly(path)) return;
  try {
    await act();
  } finally {
    spawnSync("umount", ["--lazy", path]);
  }
}

/** Mount the folder over itself, read-only; false when somebody is always quick enough to write in between. */
function coverReadOnly(path: string): boolean {
  const mount = (...args: string[]) => spawnSync("mount", [...args, path], { encoding: "utf8" });
  for (let tries = 0; tries < 10; tries++) {
    const bound = mount("--bind", path);
    if (bound.status !== 0) throw new Error(`cannot mount ${path}: ${bound.stderr}`);
    const { status, stderr } = mount("-o", "remount,bind,ro");
    if (status === 0) return true;
    spawnSync("umount", ["--lazy", path]);
    if (!stderr.includes("busy")) throw new Error(`cannot make ${path} read-only: ${stderr}`);
  }
  return false;
}

export const DISK_FAULTS: readonly Fault[] = [
  ...(Object.keys(ERROR_NUMBERS) as ErrorName[]).map(failing),
  {
    name: "disk-full",
    isExclusive: false,
    needsSmallDisk: true,
    async run(scene) {
      const path = join(scene.diskPath, "filler");
      const file = openSync(path, "w");
      const piece = new Uint8Array(64 * 1024);
      try {
        for (;;) writeSync(file, piece);
      } catch {
        // It is full.
      }
      closeSync(file);
      await waitFor(scene, [200, 3000]);
      // Another fault of this kind may have removed it already.
      rmSync(path, { force: true });
    },
  },
  {
    name: "replica-read-only",
    isExclusive: false,
    needsMount: true,
    run: (scene) => readOnly(join(scene.folder, "replica"), () => waitFor(scene, [200, 3000])),
  },
  {
    name: "meta-read-only",
    isExclusive: false,
    needsMount: true,
    run: (scene) => readOnly(metaPath(scene.diskPath), () => waitFor(scene, [200, 3000])),
  },
  {
    name: "disk-read-only",
    isExclusive: true,
    needsMount: true,
    async run(scene) {
      const { applications, follower, chance } = scene;
      await applications.stop({ isAbrupt: chance.happens(0.3) });
      // As after an error of the file system: everything is started again and finds it read-only.
      await follower.killAndHold();
      await readOnly(scene.diskPath, async () => {
        follower.start();
        await waitFor(scene, [500, 2500]);
      });
      applications.start();
      await waitFor(scene, [300, 1500]);
    },
  },
  {
    name: "meta-deleted",
    isExclusive: true,
    run: (scene) =>
      underneath(scene, () => rmSync(metaPath(scene.diskPath), { recursive: true, force: true })),
  },
  {
    name: "meta-partly-deleted",
    isExclusive: true,
    run: (scene) =>
      underneath(scene, () => {
        const path = someMetaFile(scene);
        if (path !== undefined) rmSync(path);
      }),
  },
  {
    name: "meta-garbled",
    isExclusive: true,
    run: (scene) =>
      underneath(scene, () => {
        const path = someMetaFile(scene);
        if (path === undefined) return;
        const { size } = statSync(path);
        const bytes = Uint8Array.from({ length: 1 + scene.chance.below(100) }, () => scene.chance.below(256));
        const file = openSync(path, "r+");
        writeSync(file, bytes, 0, bytes.length, scene.chance.below(size + 1));
        closeSync(file);
      }),
  },
];
