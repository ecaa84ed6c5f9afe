/** Another database in the place of the one that we follow, or followed until walbrook was stopped. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { atRest, followedAtRest, LOOK_AROUND_MS, onlyNeighbour } from "./at_rest.ts";
import { assertNothingLost, keepSnapshot, Stage, until } from "./stage.ts";
import { sleep } from "../../src/async.ts";
import type { LiveDatabase } from "../../src/database/database.ts";
import { inspectDatabase } from "../../src/database/inspect.ts";
import { readLastSeen } from "../../src/database/last_seen.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { failFiles } from "../doubles/failing_files.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";

for (const isSeenHalfway of [false, true]) {
  const how = isSeenHalfway ? "and the next commit is seen half-way" : "while nobody had it open";
  test(`LiveDatabase begins a generation when an older database was copied over its file ${how}`, async () => {
    await using stage = new Stage();
    const neighbour = await onlyNeighbour(stage);
    await neighbour.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    const older = readFileSync(stage.path);
    const clock = new SkippingClock();
    const database = await stage.follow({ clock });
    await neighbour.sql("UPDATE t SET x = 'newer'");
    await atRest(database, { neighbour, clock });
    const { generation } = database.position!;
    await neighbour.closeConnection();
    await sleep(20);
    writeFileSync(stage.path, older);
    const next = stage.neighbour();
    await next.sql("BEGIN");
    // More than the cache holds: the WAL is restarted long before the commit.
    if (isSeenHalfway) await next.sql("PRAGMA cache_size = 10");
    await next.sql("INSERT INTO t (x) VALUES (randomblob(1000000))");
    if (isSeenHalfway) await database.settle();
    await next.sql("COMMIT");
    await database.settle();
    await database.settle();
    assert.notEqual(database.position?.generation, generation);
    await assertNothingLost(database, { snapshot: await keepSnapshot(database), neighbour: next });
  });
}

test("LiveDatabase begins a generation when its file was written over while a reader keeps the WAL from a restart", async () => {
  await using stage = new Stage();
  const neighbour = await onlyNeighbour(stage);
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  await neighbour.sql("UPDATE t SET x = 'newer'");
  await neighbour.sql("BEGIN", "reader");
  await neighbour.sql("SELECT count(*) FROM t", "reader");
  await atRest(database, { neighbour, clock });
  const { generation, index } = database.position!;
  await sleep(20);
  // By another process: one of ours that closes the file would drop our locks.
  spawnSync("dd", ["of=" + stage.path, "conv=notrunc"], { input: readFileSync(stage.path) });
  await neighbour.sql("INSERT INTO t (x) VALUES ('after')");
  assert.equal(database.position!.index, index, "the WAL goes on");
  await database.settle();
  await database.settle();
  assert.notEqual(database.position?.generation, generation);
});

test("LiveDatabase begins a generation as soon as a snapshot finds that its file was written over", async () => {
  await using stage = new Stage();
  const { neighbour, database } = await followedAtRest(stage);
  const { generation } = database.position!;
  await sleep(20);
  spawnSync("dd", ["of=" + stage.path, "conv=notrunc"], { input: readFileSync(stage.path) });
  await assert.rejects(database.openSnapshot(), /database overwritten by another process/);
  assert.notEqual(database.position?.generation, generation);
  await assertNothingLost(database, { snapshot: await keepSnapshot(database), neighbour });
});

/** Another database, with a table `other` of one row. */
function makeOther(stage: Stage): string {
  const other = `${stage.folder}/other.db`;
  using made = new DatabaseSync(other);
  made.exec("PRAGMA journal_mode = wal; CREATE TABLE other (x); INSERT INTO other VALUES (1)");
  return other;
}

/** Another database takes the place of one that is followed; its WAL stays. Returns the bytes of the other. */
async function replaceBesideWal(
  stage: Stage,
  { clock, files = systemFiles }: { clock: SkippingClock; files?: Files },
): Promise<{ database: LiveDatabase; whole: Uint8Array }> {
  const { neighbour, database } = await followedAtRest(stage, { clock, files });
  await neighbour.closeConnection();
  const other = makeOther(stage);
  const whole = readFileSync(other);
  assert.ok(existsSync(`${stage.path}-wal`), "our reader has kept it");
  renameSync(other, stage.path);
  clock.skip(LOOK_AROUND_MS);
  await until(() => database.state.kind === "waiting", { what: "the loss is seen" });
  return { database, whole };
}

const LEFT_WAL = /beside it lies the -wal of the one before/;

async function assertTakenUpOnceMended(stage: Stage, database: LiveDatabase): Promise<void> {
  for (const suffix of ["-wal", "-shm"]) rmSync(stage.path + suffix, { force: true });
  await until(() => database.state.kind === "live", { what: "it is taken up" });
  const next = stage.neighbour();
  await next.sql("INSERT INTO other VALUES (2)");
  await assertNothingLost(database, { snapshot: await keepSnapshot(database), neighbour: next });
  assert.equal(existsSync(`${database.meta.path}/walbrook-left-wal.json`), false);
}

test("LiveDatabase puts nothing of a WAL that was left into the database that took the place of its own", async () => {
  await using stage = new Stage();
  const clock = new SkippingClock();
  const { database, whole } = await replaceBesideWal(stage, { clock });
  for (let round = 0; round < 3; round++) {
    clock.skip(LOOK_AROUND_MS);
    await database.settle();
    assert.match(JSON.stringify(database.state), LEFT_WAL);
    assert.ok(readFileSync(stage.path).equals(whole));
  }
  await assertTakenUpOnceMended(stage, database);
});

test("LiveDatabase knows of a WAL that was left also when it is started anew, and `check` tells", async () => {
  await using stage = new Stage();
  const { database: before, whole } = await replaceBesideWal(stage, { clock: new SkippingClock() });
  await before.close();
  const inspection = inspectDatabase(stage.path);
  assert.match(inspection.found, LEFT_WAL);
  assert.equal(inspection.isWaitedFor, true);
  // Two starts: the first one must not forget.
  const once = stage.database();
  await once.start();
  assert.match(JSON.stringify(once.state), LEFT_WAL);
  assert.ok(readFileSync(stage.path).equals(whole));
  await once.close();
  const database = stage.database();
  await database.start();
  assert.match(JSON.stringify(database.state), LEFT_WAL);
  await assertTakenUpOnceMended(stage, database);
});

test("LiveDatabase passes over a broken memory of a WAL that was left", async () => {
  for (const text of ["", "{", "null", "[]", '{"main":1,"wal":2,"header":3}', "x".repeat(5000)]) {
    await using stage = new Stage();
    stage.insert();
    await (await stage.follow()).close();
    writeFileSync(`${stage.folder}/.app.db-litestream/walbrook-left-wal.json`, text);
    await stage.follow();
  }
});

test("LiveDatabase keeps off a WAL that was left also where that can't be written down", async () => {
  await using stage = new Stage();
  const { files, failed } = failFiles(systemFiles, [
    { kind: "write", code: "ENOSPC", times: Infinity, path: /left-wal/ },
  ]);
  const { database } = await replaceBesideWal(stage, { clock: new SkippingClock(), files });
  assert.equal(failed.length, 1);
  assert.equal(stage.logged("error").length, 1);
  await database.settle();
  assert.match(JSON.stringify(database.state), LEFT_WAL);
  await assertTakenUpOnceMended(stage, database);
});

test("LiveDatabase goes on with no generation whose WAL the next database has gone on with while walbrook was down", async () => {
  await using stage = new Stage();
  const { neighbour, database: before, clock } = await followedAtRest(stage);
  const { generation } = before.position!;
  const other = `${stage.folder}/other.db`;
  spawnSync("cp", [stage.path, other]);
  await neighbour.closeConnection();
  renameSync(other, stage.path);
  clock.skip(LOOK_AROUND_MS);
  await until(() => before.state.kind === "waiting", { what: "the loss is seen" });
  await before.close();
  // SQLite takes the WAL that lies there for its own, and appends to it.
  const next = stage.neighbour();
  await next.sql("INSERT INTO t (x) VALUES ('of the next')");
  const database = await stage.follow();
  assert.notEqual(database.position!.generation, generation);
  await assertNothingLost(database, { snapshot: await keepSnapshot(database), neighbour: next });
});

test("LiveDatabase adds nothing of the next database to the generation of the one before, whose WAL lies beside it", async () => {
  await using stage = new Stage();
  const { neighbour, database } = await followedAtRest(stage, { monitorIntervalMs: 60_000 });
  const before = database.position!;
  const other = `${stage.folder}/other.db`;
  // By another process: one of ours that closes the file would drop our locks.
  spawnSync("cp", [stage.path, other]);
  await neighbour.closeConnection();
  assert.ok(existsSync(`${stage.path}-wal`), "our reader has kept it");
  renameSync(other, stage.path);
  const next = stage.neighbour();
  await next.sql("INSERT INTO t (x) VALUES ('of the next')");
  await until(async () => {
    await database.settle();
    const { position } = database;
    if (position?.generation === before.generation) assert.deepEqual(position, before);
    return database.state.kind === "live" && position?.generation !== before.generation;
  }, { what: "the next one to be taken up" });
  await assertNothingLost(database, { snapshot: await keepSnapshot(database), neighbour: next });
});

/** How walbrook comes to an end, and the last word that it writes down of the files. */
const ENDS = ["stopped", "killed"] as const;

/**
 * A database that was followed until it was at rest. Nobody has it open any more, its WAL is there.
 *
 * @returns its generation
 */
async function followedUntil(end: (typeof ENDS)[number], stage: Stage): Promise<string> {
  const { neighbour, database } = await followedAtRest(stage);
  const { generation } = database.position!;
  const seen = readFileSync(lastSeenPath(database));
  await neighbour.closeConnection();
  await database.close();
  if (end === "killed") writeFileSync(lastSeenPath(database), seen);
  assert.ok(existsSync(`${stage.path}-wal`), "our reader has kept it");
  await sleep(20);
  return generation;
}

function lastSeenPath(database: LiveDatabase): string {
  return `${database.meta.path}/walbrook-last-seen.json`;
}

for (const end of ENDS) {
  for (const how of ["renamed to", "copied over"] as const) {
    test(`LiveDatabase puts nothing of a WAL into a database that was ${how} its file while walbrook was ${end}`, async () => {
      await using stage = new Stage();
      await followedUntil(end, stage);
      const other = makeOther(stage);
      const whole = readFileSync(other);
      if (how === "renamed to") renameSync(other, stage.path);
      else writeFileSync(stage.path, whole);
      assert.match(inspectDatabase(stage.path).found, LEFT_WAL);
      const once = stage.database();
      await once.start();
      assert.match(JSON.stringify(once.state), LEFT_WAL);
      await once.close();
      const database = stage.database();
      await database.start();
      assert.match(JSON.stringify(database.state), LEFT_WAL);
      assert.ok(readFileSync(stage.path).equals(whole));
      await assertTakenUpOnceMended(stage, database);
    });
  }

  test(`LiveDatabase goes on with no generation whose WAL another database took while walbrook was ${end}`, async () => {
    await using stage = new Stage();
    const generation = await followedUntil(end, stage);
    const other = `${stage.folder}/other.db`;
    spawnSync("cp", [stage.path, other]);
    renameSync(other, stage.path);
    const next = stage.neighbour();
    await next.sql("INSERT INTO t (x) VALUES ('of the next')");
    const database = await stage.follow();
    assert.notEqual(database.position!.generation, generation);
    assert.ok(stage.logged("warn").some((line) => line.includes("database replaced by another process")));
    await assertNothingLost(database, { snapshot: await keepSnapshot(database), neighbour: next });
  });

  test(`LiveDatabase goes on after it was ${end}, also with files that were moved together, and with new commits`, async () => {
    await using stage = new Stage();
    const generation = await followedUntil(end, stage);
    for (const suffix of ["", "-wal"]) {
      spawnSync("cp", [stage.path + suffix, `${stage.folder}/copy`]);
      renameSync(`${stage.folder}/copy`, stage.path + suffix);
    }
    rmSync(`${stage.path}-shm`);
    const first = await stage.follow();
    assert.equal(first.position!.generation, generation);
    await first.close();
    const next = stage.neighbour();
    await next.sql("INSERT INTO t (x) VALUES ('while it was down')");
    await next.checkpoint("PASSIVE");
    const database = await stage.follow();
    assert.equal(database.position!.generation, generation);
  });
}

/** Starting is refused for the WAL beside the file, which stays as it is. */
async function assertRefused(stage: Stage): Promise<LiveDatabase> {
  const whole = readFileSync(stage.path);
  const database = stage.database();
  await database.start();
  assert.match(JSON.stringify(database.state), LEFT_WAL);
  assert.ok(readFileSync(stage.path).equals(whole));
  return database;
}

test("LiveDatabase puts no WAL into a later state of its own database, which SQLite would cut to that of the WAL", async () => {
  await using stage = new Stage();
  await followedUntil("stopped", stage);
  const other = `${stage.folder}/other.db`;
  spawnSync("cp", [stage.path, other]);
  {
    using grown = new DatabaseSync(other);
    grown.exec("CREATE TABLE more (x); INSERT INTO more VALUES (zeroblob(100000))");
  }
  renameSync(other, stage.path);
  await assertRefused(stage);
});

test("LiveDatabase goes on where the file is put back that a WAL belongs to, also as a copy", async () => {
  await using stage = new Stage();
  const generation = await followedUntil("stopped", stage);
  spawnSync("cp", ["-a", stage.path, `${stage.folder}/kept.db`]);
  renameSync(makeOther(stage), stage.path);
  const database = await assertRefused(stage);
  spawnSync("cp", ["-a", "--remove-destination", `${stage.folder}/kept.db`, stage.path]);
  await until(() => database.state.kind === "live", { what: "it is taken up" });
  assert.equal(database.position!.generation, generation);
});

test("LiveDatabase keeps off a WAL with commits that the file before never got", async () => {
  await using stage = new Stage();
  const neighbour = await onlyNeighbour(stage);
  const database = await stage.follow();
  await neighbour.sql("BEGIN", "reader");
  await neighbour.sql("SELECT count(*) FROM t", "reader");
  await neighbour.sql("INSERT INTO t (x) VALUES ('only in the WAL')");
  await sleep(100);
  await database.close();
  await neighbour.kill();
  assert.equal(readLastSeen(database.meta)!.isAtRest, false);
  renameSync(makeOther(stage), stage.path);
  await assertRefused(stage);
});

test("LiveDatabase begins a generation, and waits for nobody, when its file was written once more as it was", async () => {
  await using stage = new Stage();
  const generation = await followedUntil("stopped", stage);
  utimesSync(stage.path, 1e9, 1e9);
  const database = await stage.follow();
  assert.notEqual(database.position!.generation, generation);
  const neighbour = stage.neighbour();
  await assertNothingLost(database, { snapshot: await keepSnapshot(database), neighbour });
});

test("LiveDatabase passes over a broken word of what was seen last", async () => {
  await using stage = new Stage();
  await followedUntil("stopped", stage);
  const path = `${stage.folder}/.app.db-litestream/walbrook-last-seen.json`;
  const whole = JSON.parse(readFileSync(path, "utf8"));
  const broken = [
    "",
    "{",
    "null",
    "[]",
    "x".repeat(5000),
    ...Object.keys(whole).map((key) => JSON.stringify({ ...whole, [key]: null })),
    JSON.stringify({ ...whole, main: { ...whole.main, inode: "1" } }),
  ];
  for (const text of broken) {
    writeFileSync(path, text);
    await (await stage.follow()).close();
  }
});

test("LiveDatabase takes a database up also where it can't write down what it has seen", async () => {
  await using stage = new Stage();
  const { files, failed } = failFiles(systemFiles, [
    { kind: "write", code: "ENOSPC", times: Infinity, path: /last-seen/ },
  ]);
  stage.insert();
  await stage.follow({ files });
  assert.ok(failed.length > 0);
  assert.deepEqual(stage.logged("error"), []);
});
