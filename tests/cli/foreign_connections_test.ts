import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { Walbrook } from "../walbrook.ts";

/** SQLite's own program, which opens, works and closes: the last one to close deletes the `-wal`. */
function sqlite(path: string, sql: string): string {
  return execFileSync("sqlite3", ["-batch", path, `.timeout 10000`, sql], { encoding: "utf8" }).trim();
}

/** Where SQLite's readers of a database lock its main file. */
const SHARED_FIRST = 0x40000002;

/**
 * Whether the process holds a read lock on SQLite's shared bytes of the file. The list shifts under a reader when
 * other processes lock and unlock, so one look can miss a lock; one that was dropped doesn't come back.
 */
function holdsSharedLock(pid: number, path: string): boolean {
  for (let look = 0; look < 20; look++) if (seesSharedLock(pid, path)) return true;
  return false;
}

function seesSharedLock(pid: number, path: string): boolean {
  const { ino } = statSync(path);
  return readFileSync("/proc/locks", "utf8").split("\n").some((line) => {
    const [, kind, , access, holder, place, start] = line.trim().split(/\s+/);
    return kind === "POSIX" && access === "READ" && Number(holder) === pid &&
      place?.split(":")[2] === String(ino) && Number(start) >= SHARED_FIRST;
  });
}

/** Write with a process for each transaction until `isEnough`; the `-wal` must stay the same file throughout. */
async function writeWithProcesses(
  { path, walbrook }: { path: string; walbrook: Walbrook },
  isEnough: (count: number) => boolean,
): Promise<number> {
  const { ino } = statSync(`${path}-wal`);
  let count = 0;
  while (!isEnough(count)) {
    sqlite(path, `INSERT INTO t (body) VALUES (hex(randomblob(${100 + count % 3000})))`);
    count++;
    assert.equal(
      statSync(`${path}-wal`, { throwIfNoEntry: false })?.ino,
      ino,
      `-wal after ${count} processes`,
    );
    assert.ok(holdsSharedLock(walbrook.pid, path), `no lock after ${count} processes: ${walbrook.stderr}`);
    await delay(1);
  }
  return count;
}

/** Generations that a replica has objects of. */
function generationsOf(replicaPath: string): string[] {
  return readdirSync(join(replicaPath, "generations"));
}

async function compareRestored({ path, replicaPath }: { path: string; replicaPath: string }) {
  const restored = `${path}.restored`;
  const { code, stderr } = await Walbrook.run("restore", "-o", restored, replicaPath);
  assert.equal(code, 0, stderr);
  sqlite(path, "PRAGMA wal_checkpoint(TRUNCATE)");
  assert.ok(readFileSync(path).equals(readFileSync(restored)), "the restored file is not the live one");
}

test("walbrook replicate keeps the -wal while processes open, write and close, from the start on", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  const replicaPath = join(folder.path, "replica");
  sqlite(
    path,
    `PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT);
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 15000)
     INSERT INTO t (body) SELECT hex(randomblob(1000)) FROM n`,
  );
  await using walbrook = Walbrook.start("replicate", path, replicaPath);
  await walbrook.says("new generation");
  // While the snapshot is read, which takes a while for 30 MB.
  const during = await writeWithProcesses(
    { path, walbrook },
    () => walbrook.lines("snapshot written").length > 0,
  );
  assert.ok(during > 0, "the snapshot was done before anything was written");
  const [generation] = generationsOf(replicaPath);
  const after = await writeWithProcesses({ path, walbrook }, (count) => count >= 60);
  assert.ok(after >= 60);
  // After a quiet time the watch is armed and the spare connections may be closed.
  await delay(1500);
  await writeWithProcesses({ path, walbrook }, (count) => count >= 30);
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  assert.deepEqual(generationsOf(replicaPath), [generation]);
  await compareRestored({ path, replicaPath });
});

test("walbrook replicate leaves the -wal when it ends, so that the generation goes on", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  const replicaPath = join(folder.path, "replica");
  sqlite(path, "PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)");
  for (let round = 0; round < 3; round++) {
    await using walbrook = Walbrook.start("replicate", path, replicaPath);
    await walbrook.says("replicating to");
    await until(() => statSync(`${path}-wal`, { throwIfNoEntry: false }) !== undefined, "the -wal");
    if (round === 0) {
      await walbrook.says("snapshot written");
      sqlite(path, "INSERT INTO t (body) VALUES ('one')");
    }
    const { code, stderr } = await walbrook.stop();
    assert.equal(code, 0, stderr);
    if (round > 0) assert.ok(!stderr.includes("new generation"), stderr);
    assert.ok(statSync(`${path}-wal`).size > 0, "the -wal is gone or empty");
  }
  assert.equal(generationsOf(replicaPath).length, 1);
  await compareRestored({ path, replicaPath });
});
