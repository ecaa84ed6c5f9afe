/** The lock file may hold anything; at most one walbrook holds the lock. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { InstanceLock } from "../../src/database/instance_lock.ts";
import { MetaDirectory } from "../../src/database/meta_directory.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { followElsewhere } from "./follow_elsewhere.ts";
import { Stage } from "./stage.ts";

function lockOf(stage: Stage, files: Files = systemFiles): { lock: InstanceLock; path: string } {
  const meta = new MetaDirectory(`${stage.folder}/.app.db-litestream`, files);
  mkdirSync(meta.path, { recursive: true });
  const lock = new InstanceLock({ meta, databasePath: stage.path, files });
  return { lock, path: `${meta.path}/walbrook.lock` };
}

function waitBlocking(condition: () => boolean): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 3000, "waited 30 s in vain");
    Atomics.wait(pause, 0, 0, 10);
  }
}

const GARBLED = [
  ["one byte", Uint8Array.of(7)],
  ["random bytes", crypto.getRandomValues(new Uint8Array(100))],
  ["a page of them", crypto.getRandomValues(new Uint8Array(4096))],
  ["a name only", new TextEncoder().encode("SQLite format 3\0")],
  ["text", new TextEncoder().encode("pid 4711\n".repeat(100))],
] as const;

for (const [name, bytes] of GARBLED) {
  test(`InstanceLock renews a lock file that holds ${name}, and refuses another process afterwards`, async () => {
    await using stage = new Stage();
    stage.insert();
    const { path } = lockOf(stage);
    writeFileSync(path, bytes);
    await using first = followElsewhere(stage);
    waitBlocking(first.isReady);
    assert.throws(() => lockOf(stage).lock.take(), /is replicated by another walbrook already/);
  });
}

test("InstanceLock renews a database with a newer write format, which SQLite only reads", async () => {
  await using stage = new Stage();
  stage.insert();
  const { lock, path } = lockOf(stage);
  stage.application.exec(`VACUUM INTO '${path}'`);
  const bytes = readFileSync(path);
  bytes[18] = 9;
  writeFileSync(path, bytes);
  lock.take();
  assert.ok(lock.isHeld);
  assert.equal(statSync(path).size, 0);
  lock.release();
});

test("InstanceLock refuses a second process although the file was garbled under the first one", async () => {
  await using stage = new Stage();
  stage.insert();
  const { lock, path } = lockOf(stage);
  await using first = followElsewhere(stage);
  waitBlocking(first.isReady);
  const { ino } = statSync(path);
  writeFileSync(path, crypto.getRandomValues(new Uint8Array(100)));
  assert.throws(() => lock.take(), /is replicated by another walbrook already/);
  assert.equal(statSync(path).ino, ino);
  assert.equal(statSync(path).size, 100, "who is refused touches nothing");
});

test("InstanceLock: of two that renew a garbled file at one moment, one gets it", async () => {
  await using stage = new Stage();
  stage.insert();
  let other: ReturnType<typeof followElsewhere> | undefined;
  const files = hookFiles(systemFiles, ({ access, path }, act) => {
    // We found the file garbled, and somebody else is quicker from here on.
    if (access === "read-write" && path.endsWith("walbrook.lock") && other === undefined) {
      other = followElsewhere(stage);
      waitBlocking(other.isReady);
    }
    return act();
  });
  const { lock, path } = lockOf(stage, files);
  writeFileSync(path, "garbled ".repeat(10));
  try {
    assert.throws(() => lock.take(), /is replicated by another walbrook already/);
    assert.ok(other !== undefined, "the file was not renewed");
    assert.throws(() => lockOf(stage).lock.take(), /is replicated by another walbrook already/);
  } finally {
    await other?.[Symbol.asyncDispose]();
  }
  lock.take();
  lock.release();
});

test("InstanceLock says what is in its way when that is a folder, and leaves it", async () => {
  await using stage = new Stage();
  stage.insert();
  const { lock, path } = lockOf(stage);
  mkdirSync(path);
  assert.throws(() => lock.take(), /cannot write to .*\.app\.db-litestream/);
  assert.ok(statSync(path).isDirectory());
  rmSync(path, { recursive: true });
  lock.take();
  lock.release();
});
