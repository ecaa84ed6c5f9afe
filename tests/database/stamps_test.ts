import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { Stage, until } from "./stage.ts";
import { orAbort } from "../../src/async.ts";
import { Stamps } from "../../src/database/stamps.ts";
import { type Files, systemFiles as files } from "../../src/runtime/files.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** Long enough for what was just made to count as settled. */
const LATER_MS = 10_000;

const CHANGES: readonly [string, (folder: string) => void][] = [
  ["a file is added", (folder) => writeFileSync(join(folder, "c"), "")],
  ["a file is removed", (folder) => rmSync(join(folder, "a"))],
  ["a file is replaced", (folder) => renameSync(join(folder, "b"), join(folder, "a"))],
  ["a file that is named grows", (folder) => appendFileSync(join(folder, "a"), "more")],
  ["the folder is replaced", (folder) => {
    renameSync(folder, `${folder}-before`);
    mkdirSync(folder);
    for (const name of ["a", "b"]) writeFileSync(join(folder, name), name);
  }],
  ["the folder is gone", (folder) => rmSync(folder, { recursive: true })],
];

test("Stamps hold until something happens, and no older time hides that", async () => {
  for (const [name, change] of CHANGES) {
    using root = temporaryFolder();
    const folder = join(root.path, "folder");
    mkdirSync(folder);
    for (const name of ["a", "b"]) writeFileSync(join(folder, name), name);
    const now = Date.now() + LATER_MS;
    const stamps = Stamps.take([folder, join(folder, "a")], { files, now });
    assert.equal(stamps.holds({ files, now }), true, name);
    // Deno tells whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1050));
    change(folder);
    const old = new Date(now - 100_000);
    if (name === "a file is replaced") utimesSync(folder, old, old);
    assert.equal(stamps.holds({ files, now: now + 1 }), false, name);
  }
});

test("Stamps of what has only just changed, is missing, or is a minute old hold never", () => {
  using folder = temporaryFolder();
  const { path } = folder;
  const now = Date.now();
  assert.equal(Stamps.take([path], { files, now }).holds({ files, now }), false);
  const later = now + LATER_MS;
  const missing = Stamps.take([path, join(path, "missing")], { files, now: later });
  assert.equal(missing.holds({ files, now: later }), false);
  const stamps = Stamps.take([path], { files, now: later });
  assert.equal(stamps.holds({ files, now: later + 59_999 }), true);
  assert.equal(stamps.holds({ files, now: later + 60_000 }), false);
  // The clock was set back.
  assert.equal(stamps.holds({ files, now: later - 1 }), false);
});

test("LiveDatabase looks around with few calls while nothing happens", async () => {
  await using stage = new Stage();
  stage.insert();
  const calls: string[] = [];
  const counting: Files = {
    ...files,
    statSync(path) {
      calls.push(`stat ${path}`);
      return files.statSync(path);
    },
    openSync(path, options) {
      calls.push(`open ${path}`);
      return files.openSync(path, options);
    },
  };
  const clock = new SkippingClock();
  const database = await stage.follow({ clock, files: counting, monitorIntervalMs: 5 });
  // Long past the checkpoint that quiet calls for, and the end of spare connections.
  for (let count = 0; count < 4; count++) {
    clock.skip(15_000);
    await until(() => database.following.sinceGoodMs < 5000, { what: "a look" });
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  calls.length = 0;
  for (let count = 0; count < 5; count++) {
    clock.skip(5_000);
    await until(() => database.following.sinceGoodMs < 5000, { what: "a look" });
  }
  const besideCount = calls.filter((call) => call === `stat ${stage.folder}`).length;
  assert.equal(besideCount, 5, "the database's folder at each look");
  // What is ours at every third, and each minute all files by themselves.
  assert.ok(calls.length <= 5 + 2 * 3 + 8, calls.join("\n"));
});

test("LiveDatabase at rest finds its meta directory gone within three looks around", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const database = await stage.follow({ clock, monitorIntervalMs: 5 });
  const lookAround = async () => {
    clock.skip(5_000);
    await until(() => database.following.sinceGoodMs < 5000, { what: "a look" });
  };
  for (let count = 0; count < 8; count++) await lookAround();
  const { generation } = database.position!;
  rmSync(database.meta.path, { recursive: true });
  for (let count = 0; count < 3; count++) await lookAround();
  await until(() => database.position!.generation !== generation, { what: "the next generation" });
});

test("LiveDatabase reads the wal-index of a resting database only when it looks around, and misses no commit", async () => {
  await using stage = new Stage();
  stage.insert();
  let readCount = 0;
  const counting = hookFiles(files, (call, act) => {
    if (call.kind === "read" && call.path.endsWith("-shm")) readCount++;
    return act();
  });
  const clock = new SkippingClock();
  const database = await stage.follow({ clock, files: counting, monitorIntervalMs: 5 });
  const lookAround = async () => {
    clock.skip(6_000);
    await until(() => database.following.sinceGoodMs < 5000, { what: "a look" });
  };
  // Past the checkpoint that quiet calls for, and the end of spare connections.
  for (let count = 0; count < 5; count++) {
    await lookAround();
    await new Promise((resolve) => setTimeout(resolve, 450));
  }
  const readsOf = async (act: () => Promise<unknown>) => {
    const before = readCount;
    await act();
    return readCount - before;
  };
  const pause = () => new Promise((resolve) => setTimeout(resolve, 300));
  // A hundred slow turns without, where the watch misses nothing.
  assert.ok(process.platform !== "linux" || await readsOf(pause) <= 3);
  assert.ok(await readsOf(lookAround) > 0);
  const waiting = database.changed.token;
  stage.insert();
  // Two seconds of a slow machine, and less than the look around takes to come.
  await orAbort(waiting, AbortSignal.timeout(2000));
  // While it is busy, and until it was looked at in quiet, each turn looks.
  assert.ok(await readsOf(pause) > 3);
});
