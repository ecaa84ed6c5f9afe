/** What others do between any two steps of ours, and what is found when they did it behind SQLite's back. */
import assert from "node:assert/strict";
import { openSync, readdirSync, readFileSync, readlinkSync, readSync, writeSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { bareFollower, lookAt } from "./bare_follower.ts";
import { assertNothingLost, keepSnapshot, Stage, until } from "./stage.ts";
import { viewOf } from "../../src/bytes.ts";
import { ContinuityLostError } from "../../src/database/continuity.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { walChecksum } from "../../src/wal/checksum.ts";
import { randomFrom } from "../../bench/random.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { hookStatements } from "../doubles/hooked_statements.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";

const SEED = Number(process.env["WALBROOK_SEED"] ?? Date.now() % 1_000_000);

/** What others may do before a statement of ours. */
const DEEDS = ["", "", "insert", "FULL", "insert FULL", "FULL TRUNCATE", "FULL insert", "RESTART"] as const;

for (const isRefused of [false, true]) {
  const when = isRefused ? ", some of which are refused" : "";
  test(`LiveDatabase loses nothing when others commit and checkpoint between its statements${when}`, async () => {
    await using stage = new Stage();
    stage.insert();
    stage.application.exec("PRAGMA busy_timeout = 0");
    const database = await stage.follow({ limits: { minPages: 20, maxPages: 40 } });
    const snapshot = await keepSnapshot(database);
    const random = randomFrom(SEED);
    let deedCount = 0;
    {
      using _ = hookStatements((sql, connection) => {
        if (connection === stage.application) return;
        deedCount++;
        const [...deeds] = DEEDS[Math.floor(random() * DEEDS.length)]!.split(" ").filter(Boolean);
        for (const deed of deeds) {
          try {
            if (deed === "insert") stage.insert();
            else stage.application.exec(`PRAGMA wal_checkpoint(${deed})`);
          } catch {
            // Behind the barrier nobody can.
          }
        }
        if (isRefused && sql === "PRAGMA user_version" && random() < 0.1) {
          throw new Error("database is locked");
        }
      });
      for (let round = 0; round < 300; round++) {
        if (round % 3 === 0) stage.insert();
        await database.settle();
      }
    }
    assert.ok(deedCount > 500, `${deedCount} statements`);
    const told = () => `seed ${SEED}: ${stage.logged("warn")}`;
    await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() }).catch((cause) => {
      throw new Error(told(), { cause });
    });
    assert.deepEqual(stage.logged("warn"), [], told());
    if (!isRefused) assert.deepEqual(stage.logged("error"), []);
  });
}

test("LiveDatabase copies a backlog of several pieces while others checkpoint between the pieces", async () => {
  await using stage = new Stage();
  stage.insert();
  stage.application.exec("PRAGMA busy_timeout = 0");
  let pieceCount = 0;
  let isArmed = false;
  const files = hookFiles(systemFiles, (call, act) => {
    const result = act();
    if (isArmed && call.kind === "write" && call.path.includes("/wal/")) {
      // Backfilled whenever our reader lets it; written to once all would be, if it let that.
      if (++pieceCount % 4 === 3) stage.insert();
      stage.application.exec("PRAGMA wal_checkpoint(FULL)");
    }
    return result;
  });
  const database = await stage.follow({ files, monitorIntervalMs: 600_000 });
  const snapshot = await keepSnapshot(database);
  for (let round = 0; round < 3; round++) {
    stage.insert(4 << 20);
    isArmed = true;
    await database.settle();
    isArmed = false;
  }
  assert.ok(pieceCount >= 9, `${pieceCount} pieces`);
  await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
  assert.deepEqual(stage.logged("warn"), []);
});

/** Change the frame at `frameIndex` of the `-wal` behind SQLite's back; with `isValid` its checksum is right. */
function changeFrame(path: string, { frameIndex, isValid }: { frameIndex: number; isValid: boolean }): void {
  const { pageSize } = lookAt(path);
  const wal = openSync(`${path}-wal`, "r+");
  const size = 24 + pageSize;
  const at = 32 + frameIndex * size;
  const frame = new Uint8Array(size);
  readSync(wal, frame, 0, size, at);
  frame[24 + 200]! ^= 0xff;
  if (isValid) {
    const seed = new Uint8Array(24);
    readSync(wal, seed, 0, 24, at - size);
    const view = viewOf(seed);
    const summed = new Uint8Array(8 + pageSize);
    summed.set(frame.subarray(0, 8));
    summed.set(frame.subarray(24), 8);
    const bigEndian = (readFileSync(`${path}-wal`)[3]! & 1) === 1;
    const sum = walChecksum(summed, { bigEndian, seed: [view.getUint32(16), view.getUint32(20)] });
    viewOf(frame).setUint32(16, sum[0]);
    viewOf(frame).setUint32(20, sum[1]);
  }
  writeSync(wal, frame, 0, size, at);
}

for (
  const { name, isLast, isValid } of [
    { name: "a frame whose checksum is wrong", isLast: false, isValid: false },
    { name: "a valid last frame that isn't the one of the wal-index", isLast: true, isValid: true },
  ]
) {
  test(`Follower refuses ${name}, and copies nothing of it`, async () => {
    await using stage = new Stage();
    stage.insert();
    using bare = bareFollower(stage);
    const { follower } = bare;
    await follower.startGeneration();
    const before = follower.shadow.frameCount;
    // More than a piece, so that a wrong frame in the middle of a piece that isn't the last is found too.
    stage.insert(2 << 20);
    const { mxFrame } = lookAt(stage.path);
    changeFrame(stage.path, { frameIndex: isLast ? mxFrame - 1 : before + 10, isValid });
    await assert.rejects(follower.catchUp(), (error) => error instanceof ContinuityLostError);
    const copied = follower.shadow.committedSize;
    assert.ok(copied <= 32 + before * (24 + 4096), `${copied} bytes count as committed`);
  });
}

/** Descriptors of this process on the `-wal`: one is ours, and one of each connection. */
function walDescriptorCount(path: string): number {
  return readdirSync("/proc/self/fd").filter((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === `${path}-wal`;
    } catch {
      return false; // The descriptor of the listing itself.
    }
  }).length;
}

test("LiveDatabase keeps its connections while there is activity, and one when it is idle", async () => {
  await using stage = new Stage();
  stage.insert();
  stage.closeApplication();
  const neighbour = stage.neighbour();
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  for (let round = 0; round < 5; round++) {
    await neighbour.sql(`INSERT INTO t (x) VALUES (${round})`);
    await database.settle();
  }
  // An application that asks for EXCLUSIVE mode keeps new connections out: the spare reader has to be open already.
  // A checkpoint, when one was due, adds one of its own.
  assert.ok(walDescriptorCount(stage.path) >= 3);
  await database.quiesce(() => {});
  assert.ok(walDescriptorCount(stage.path) > 3);
  clock.skip(10_000);
  await database.settle();
  // A slow look may be under way.
  await until(() => walDescriptorCount(stage.path) === 2, { what: "one connection" });
  await neighbour.sql("INSERT INTO t (x) VALUES ('again')");
  await until(() => walDescriptorCount(stage.path) >= 3, { what: "the spare reader" });
});

test("LiveDatabase takes a commit that its checkpoint copies for activity: the spare reader stays", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const database = await stage.follow({ clock, monitorIntervalMs: 600_000 });
  stage.insert();
  await database.settle();
  const busyCount = walDescriptorCount(stage.path);
  let isArmed = true;
  using _ = hookStatements((sql, connection) => {
    if (!isArmed || connection === stage.application || !sql.startsWith("PRAGMA wal_checkpoint")) return;
    isArmed = false;
    stage.insert();
  });
  clock.skip(10_000);
  await database.settle();
  assert.ok(!isArmed, "there was no checkpoint");
  assert.ok(walDescriptorCount(stage.path) >= busyCount);
  clock.skip(10_000);
  await database.settle();
  assert.ok(walDescriptorCount(stage.path) < busyCount);
});

test("LiveDatabase.openSnapshot() has copied what was committed just before its reader began", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow({ monitorIntervalMs: 600_000 });
  /** The newest frame when each connection began to read. */
  const marks = new Map<object, number>();
  let mark = 0;
  using hook = hookStatements((sql, connection) => {
    if (sql === "BEGIN") stage.insert();
    else if (sql === "PRAGMA user_version") marks.set(connection, lookAt(stage.path).mxFrame);
    // Only the snapshot's own reader asks for that.
    else if (sql === "PRAGMA page_size") mark = marks.get(connection)!;
  });
  using source = await database.openSnapshot();
  hook[Symbol.dispose]();
  assert.ok(mark > 0);
  assert.ok(source.offset >= 32 + mark * (24 + source.pageSize), `offset ${source.offset}, mark ${mark}`);
});

test("Follower stands on the newest frame after each copy: an application's checkpoint gets through", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  const { follower } = bare;
  await follower.startGeneration();
  for (let round = 0; round < 5; round++) {
    stage.insert();
    await follower.catchUp();
    stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
    const { mxFrame, backfilledCount } = lookAt(stage.path);
    assert.equal(backfilledCount, mxFrame);
    // Onto mark 0, from where the next round begins.
    await follower.catchUp();
    await follower.catchUp();
  }
});

test("LiveDatabase opens the main file and the -shm once each, and closes them only at the end", async () => {
  await using stage = new Stage();
  stage.insert();
  const calls: string[] = [];
  const files = hookFiles(systemFiles, (call, act) => {
    const isLocked = call.path === stage.path || call.path === `${stage.path}-shm`;
    if (isLocked && (call.kind === "open" || call.kind === "close")) {
      calls.push(`${call.kind} ${call.path.slice(stage.path.length)}`);
    }
    return act();
  });
  const database = await stage.follow({ files, limits: { minPages: 10, maxPages: 20 } });
  for (let round = 0; round < 40; round++) {
    stage.insert();
    await database.settle();
  }
  (await keepSnapshot(database)).bytes;
  await database.quiesce(() => {});
  assert.ok(database.pageSize > 0 && database.fileBytes > 0);
  assert.deepEqual(calls, ["open ", "open -shm"]);
  await database.close();
  assert.deepEqual(calls.slice(2).toSorted(), ["close ", "close -shm"]);
});
