/** One connection holds the locks of many databases, each on its own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { InstanceLock } from "../../src/database/instance_lock.ts";
import { MetaDirectory } from "../../src/database/meta_directory.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { currentRuntime } from "../figures.ts";
import { failFiles, type FailRule, systemError } from "../doubles/failing_files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** The lock of the database `name`, which need not be one. */
function lockOf(
  folder: string,
  name: string,
  files: Files = systemFiles,
): { lock: InstanceLock; path: string } {
  mkdirSync(join(folder, name), { recursive: true });
  const databasePath = join(folder, name, "app.db");
  writeFileSync(databasePath, "");
  const meta = new MetaDirectory(join(folder, name, "meta"), files);
  return { lock: new InstanceLock({ meta, databasePath, files }), path: join(meta.path, "walbrook.lock") };
}

/** Whether another process could take the lock, or each of several, as SQLite of Debian sees it. */
function isFree(path: string | readonly string[]): boolean {
  const program = "import sqlite3, sys\n" +
    "for path in sys.argv[1:]: sqlite3.connect(path, timeout=0).execute('BEGIN EXCLUSIVE')";
  const { status, stderr } = spawnSync("python3", ["-c", program].concat(path), { encoding: "utf8" });
  if (status !== 0) assert.match(stderr, /database is locked/);
  return status === 0;
}

/** Descriptors of this process on files below `folder`. */
function descriptorCount(folder: string): number {
  return readdirSync("/proc/self/fd").filter((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith(folder);
    } catch {
      return false; // The descriptor of the listing itself.
    }
  }).length;
}

/** Take the locks of `a` and `b` below `folder` in another process, which is killed then. */
function leaveBehind(folder: string): void {
  const sources = String(new URL("../../src/", import.meta.url));
  const program = `
    const { InstanceLock } = await import("${sources}database/instance_lock.ts");
    const { MetaDirectory } = await import("${sources}database/meta_directory.ts");
    const { systemFiles: files } = await import("${sources}runtime/files.ts");
    for (const place of ["${folder}/a", "${folder}/b"]) {
      const meta = new MetaDirectory(place + "/meta", files);
      new InstanceLock({ meta, databasePath: place + "/app.db", files }).take();
    }
    process.kill(process.pid, "SIGKILL");`;
  const path = join(folder, "take.ts");
  writeFileSync(path, program);
  const words = currentRuntime() === "deno" ? ["run", "-A", path] : [path];
  const { signal, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  assert.equal(signal, "SIGKILL", stderr);
}

test("InstanceLock costs one connection for any number of databases, and lets go of each by itself", () => {
  using folder = temporaryFolder();
  const held = Array.from({ length: 20 }, (_, at) => lockOf(folder.path, `d${at}`));
  for (const { lock } of held) lock.take();
  // The file and its journal.
  assert.equal(descriptorCount(folder.path), 2);
  // The first one is the file that the connection was opened on.
  for (const at of [0, 7]) {
    const { lock, path } = held[at]!;
    assert.equal(isFree(path), false);
    assert.ok(lock.isThere);
    lock.release();
    assert.equal(isFree(path), true);
  }
  assert.equal(isFree(held[1]!.path), false);
  held[0]!.lock.take();
  assert.equal(isFree(held[0]!.path), false);
  for (const { lock } of held) lock.release();
  for (const { path } of held.slice(0, 3)) assert.equal(isFree(path), true);
  assert.equal(descriptorCount(folder.path), 0);
});

test("InstanceLock takes what a killed process held together, each database for itself", () => {
  using folder = temporaryFolder();
  const a = lockOf(folder.path, "a");
  const b = lockOf(folder.path, "b");
  leaveBehind(folder.path);
  assert.equal(statSync(a.path).ino, statSync(b.path).ino, "they were held together");
  assert.ok(isFree(b.path));
  a.lock.take();
  assert.equal(isFree(a.path), false);
  assert.equal(isFree(b.path), true, "another walbrook may take the other one");
  b.lock.take();
  assert.equal(isFree(b.path), false);
  a.lock.release();
  b.lock.release();
});

test("InstanceLock leaves no file behind that it could not put in the place of a killed process's", () => {
  using folder = temporaryFolder();
  leaveBehind(folder.path);
  const rules: FailRule[] = [{ kind: "rename", code: "EIO" }];
  const { lock, path } = lockOf(folder.path, "a", failFiles(systemFiles, rules).files);
  assert.throws(() => lock.take(), /EIO/);
  assert.deepEqual(readdirSync(join(folder.path, "a", "meta")), ["walbrook.lock"]);
  lock.take();
  assert.equal(isFree(path), false);
  lock.release();
});

test("InstanceLock refuses what this process holds already", () => {
  using folder = temporaryFolder();
  const { lock } = lockOf(folder.path, "a");
  lock.take();
  assert.throws(() => lockOf(folder.path, "a").lock.take(), /is replicated by another walbrook already/);
  lock.release();
});

for (const code of ["EPERM", "EMLINK", "EXDEV"]) {
  test(`InstanceLock gives each database a file of its own where links fail with ${code}`, () => {
    using folder = temporaryFolder();
    const { files, failed } = failFiles(systemFiles, [{ kind: "link", code, times: Infinity }]);
    const held = ["a", "b", "c"].map((name) => lockOf(folder.path, name, files));
    for (const { lock } of held) lock.take();
    assert.equal(failed.length, 2);
    assert.equal(new Set(held.map(({ path }) => statSync(path).ino)).size, 3);
    for (const { path } of held) assert.equal(isFree(path), false);
    held[1]!.lock.release();
    assert.deepEqual(held.map(({ path }) => isFree(path)), [false, true, false]);
    for (const { lock } of held) lock.release();
    assert.deepEqual(readdirSync(join(folder.path, "b", "meta")), ["walbrook.lock"]);
  });
}

test("InstanceLock sees that its file was removed or replaced, and takes it again", () => {
  using folder = temporaryFolder();
  const a = lockOf(folder.path, "a");
  const b = lockOf(folder.path, "b");
  for (const { lock } of [a, b]) lock.take();
  for (const { lock, path } of [a, b, a]) {
    rmSync(path);
    assert.ok(!lock.isThere);
    writeFileSync(path, "");
    assert.ok(!lock.isThere);
    lock.take();
    assert.ok(lock.isThere);
    for (const each of [a, b]) assert.equal(isFree(each.path), false);
  }
  for (const { lock } of [a, b]) lock.release();
  assert.equal(descriptorCount(folder.path), 0);
});

test("InstanceLock tries again when another file is put there while it locks the old one", () => {
  using folder = temporaryFolder();
  let isArmed = false;
  let path = "";
  const files = hookFiles(systemFiles, (call, act) => {
    const result = act();
    // The first look at it is the one before it is locked.
    if (isArmed && call.kind === "stat" && call.path === path) {
      isArmed = false;
      rmSync(path);
      writeFileSync(path, "");
    }
    return result;
  });
  const made = lockOf(folder.path, "a", files);
  path = made.path;
  made.lock.take();
  made.lock.release();
  isArmed = true;
  made.lock.take();
  assert.ok(!isArmed && made.lock.isThere);
  assert.equal(isFree(path), false);
  made.lock.release();
});

test("InstanceLock whose nth call of the file system fails is held by nobody then, and can be taken", () => {
  let hasFailed = true;
  let nth = 1;
  for (; hasFailed; nth++) {
    using folder = temporaryFolder();
    hasFailed = false;
    let count = 0;
    const files = hookFiles(systemFiles, (call, act) => {
      // A close never fails.
      if (call.kind === "close" || ++count !== nth) return act();
      hasFailed = true;
      throw systemError("EIO", call);
    });
    const locks = ["a", "b"].map((name) => lockOf(folder.path, name, files));
    const tryAll = (act: (lock: InstanceLock) => void) => {
      for (const { lock } of locks) {
        try {
          act(lock);
        } catch {
          // Once, as planned.
        }
      }
    };
    tryAll((lock) => lock.take());
    tryAll((lock) => lock.release());
    count = Infinity;
    for (const { lock } of locks) lock.take();
    for (const { lock } of locks) lock.release();
    assert.ok(isFree(locks.map(({ path }) => path)), `after a failure of call ${nth}`);
  }
  assert.ok(nth > 20, `${nth} calls`);
});
