/** What docs/DEPLOY.md says of file systems, as far as every Linux can mount them. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { Walbrook } from "../walbrook.ts";

/** A file system mounted over a folder, until disposed of. */
class Mount implements Disposable {
  constructor(readonly path: string, type: string, options: string) {
    assert.equal(process.getuid?.(), 0, "this test mounts a file system: run the tests as root");
    mkdirSync(path, { recursive: true });
    execFileSync("mount", ["-t", type, "-o", options, type, path]);
  }

  [Symbol.dispose](): void {
    execFileSync("umount", ["-l", this.path]);
  }
}

function makeDatabase(path: string): void {
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES ('one')");
}

/** Replicate the database in `folder` while it changes, and restore it there. */
async function goesRound(folder: string): Promise<void> {
  const [path, replica, restored] = ["app.db", "replica", "restored.db"].map((name) => join(folder, name));
  await using walbrook = Walbrook.start("replicate", path!, replica!);
  await walbrook.says("snapshot written");
  using application = new DatabaseSync(path!, { timeout: 5_000 });
  application.exec("INSERT INTO t VALUES ('two')");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, / ERROR /);
  const ending = await Walbrook.run("restore", "-o", restored!, replica!);
  assert.equal(ending.code, 0, ending.stderr);
  using database = new DatabaseSync(restored!);
  assert.deepEqual(database.prepare("SELECT x FROM t").all().map((row) => row["x"]), ["one", "two"]);
}

test("walbrook on tmpfs replicates and restores", async () => {
  using folder = temporaryFolder();
  using mount = new Mount(join(folder.path, "memory"), "tmpfs", "size=64m");
  makeDatabase(join(mount.path, "app.db"));
  await goesRound(mount.path);
});

test("walbrook on overlayfs is the first to open a database of the image's layer", async () => {
  using folder = temporaryFolder();
  // The upper layer may not lie on an overlay itself, as in a container.
  using upper = new Mount(join(folder.path, "memory"), "tmpfs", "size=64m");
  const [lower, top, work] = ["lower", "top", "work"].map((name) => join(upper.path, name));
  for (const path of [lower!, top!, work!]) mkdirSync(path);
  makeDatabase(join(lower!, "app.db"));
  const layers = `lowerdir=${lower},upperdir=${top},workdir=${work}`;
  using mount = new Mount(join(folder.path, "merged"), "overlay", layers);
  await goesRound(mount.path);
});
