/** What following does, by the numbers of the format's test checklist (18-45). */
import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { readAll } from "../../src/bytes.ts";
import type { LiveDatabase } from "../../src/database/database.ts";
import { Neighbour } from "./neighbour.ts";
import { rebuild } from "./rebuild.ts";
import { assertNothingLost, keepSnapshot, Stage, until } from "./stage.ts";

function shadowFile(database: LiveDatabase): string {
  const { generation, index } = database.position!;
  return database.meta.shadowPath(generation, index);
}

/** Follow, let `damage` happen after the end, follow again. The application stays. */
async function reopenAfter(
  damage: (stage: Stage, shadowPath: string) => void,
): Promise<{ before: NonNullable<LiveDatabase["position"]>; after: typeof before; stage: Stage }> {
  const stage = new Stage();
  for (let count = 0; count < 5; count++) stage.insert();
  const first = await stage.follow();
  const before = first.position!;
  const path = shadowFile(first);
  await first.close();
  damage(stage, path);
  const second = await stage.follow();
  return { before, after: second.position!, stage };
}

test("LiveDatabase waits for a missing database and makes nothing beside it (18)", async () => {
  await using stage = new Stage();
  const database = stage.database();
  await database.start();
  assert.deepEqual(database.state, {
    kind: "waiting",
    reason: "the database does not exist yet",
    isNew: true,
  });
  assert.deepEqual(readdirSync(stage.folder), []);
  stage.insert();
  await until(() => database.state.kind === "live", { what: "the new database is taken up" });
  assert.ok(database.position!.offset > 0);
});

test("LiveDatabase waits for a database of no bytes until its application has made it", async () => {
  await using stage = new Stage();
  writeFileSync(stage.path, "");
  const database = stage.database();
  await database.start();
  assert.match(JSON.stringify(database.state), /empty, its application has not created it yet/);
  assert.deepEqual(readdirSync(stage.folder), ["app.db"]);
  stage.application.exec("SELECT 1");
  await until(() => database.state.kind === "live", { what: "the database is taken up" });
});

test("LiveDatabase begins a generation at the end of the real WAL (19)", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  assert.equal(database.position!.index, 0);
  assert.equal(database.position!.offset, statSync(`${stage.path}-wal`).size);
  const name = readFileSync(`${database.meta.path}/generation`, "utf8");
  assert.equal(name, `${database.position!.generation}\n`);
  assert.deepEqual(readFileSync(shadowFile(database)), readFileSync(`${stage.path}-wal`));
});

test("LiveDatabase copies one frame for one row (20)", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  const before = database.position!;
  stage.insert();
  await database.settle();
  assert.deepEqual(database.position, { ...before, offset: before.offset + 4120 });
});

test("LiveDatabase copies by itself soon after a commit", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow({ monitorIntervalMs: 600_000 });
  // Past the time of looking often: only the notice is left.
  await new Promise((resolve) => setTimeout(resolve, 700));
  const before = database.position!.offset;
  const startMs = performance.now();
  stage.insert();
  await until(() => database.position!.offset > before, { what: "the commit is copied" });
  assert.ok(performance.now() - startMs < 1000);
});

test("LiveDatabase begins a generation when the WAL was emptied while it was away (21)", async () => {
  const { before, after, stage } = await reopenAfter((stage) => {
    stage.application.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    stage.closeApplication();
    rmSync(`${stage.path}-wal`, { force: true });
    stage.insert();
  });
  await using _ = stage;
  assert.notEqual(after.generation, before.generation);
  assert.equal(after.index, 0);
});

test("LiveDatabase begins a generation when the application closed and wrote while it was away (22)", async () => {
  const { before, after, stage } = await reopenAfter((stage) => {
    stage.closeApplication();
    for (let count = 0; count < 100; count++) stage.insert();
  });
  await using _ = stage;
  assert.notEqual(after.generation, before.generation);
});

test("LiveDatabase goes on when the application wrote to the same WAL while it was away", async () => {
  await using stage = new Stage();
  stage.insert();
  stage.closeApplication();
  // In a process of its own: when we close our descriptors, the locks of connections in this one are gone.
  const neighbour = stage.neighbour();
  await neighbour.sql("INSERT INTO t (x) VALUES (1)");
  const first = await stage.follow();
  const snapshot = await keepSnapshot(first);
  await neighbour.sql("INSERT INTO t (x) VALUES (2)");
  await first.close();
  await neighbour.sql("INSERT INTO t (x) VALUES (3)");
  const second = await stage.follow();
  assert.equal(second.position!.generation, snapshot.generation);
  await assertNothingLost(second, { snapshot, neighbour });
});

test("LiveDatabase goes on where nothing changed, and keeps what is there (42)", async () => {
  const { before, after, stage } = await reopenAfter(() => {});
  await using _ = stage;
  assert.deepEqual(after, before);
});

test("LiveDatabase keeps the -wal when the application left before it", async () => {
  await using stage = new Stage();
  stage.insert();
  const first = await stage.follow();
  const before = first.position!;
  stage.closeApplication();
  await first.close();
  assert.ok(existsSync(`${stage.path}-wal`));
  const second = await stage.follow();
  assert.deepEqual(second.position, before);
});

const DAMAGES: readonly (readonly [string, (path: string) => void, "same" | "new"])[] = [
  ["header with a broken checksum (23)", (path) => {
    const bytes = readFileSync(path).subarray(0, 32);
    bytes[28]! ^= 1;
    writeFileSync(path, bytes);
  }, "new"],
  ["31 bytes (24)", (path) => truncateSync(path, 31), "new"],
  ["0 bytes", (path) => truncateSync(path, 0), "new"],
  ["one byte less (25)", (path) => truncateSync(path, statSync(path).size - 1), "same"],
  ["32 bytes", (path) => truncateSync(path, 32), "same"],
  ["33 bytes (26)", (path) => truncateSync(path, 33), "same"],
  ["one byte less than a frame (26)", (path) => truncateSync(path, 32 + 4120 - 1), "same"],
  ["no file (27)", (path) => rmSync(path), "new"],
  ["a flipped bit in the last frame", (path) => {
    const bytes = readFileSync(path);
    bytes[bytes.length - 5]! ^= 1;
    writeFileSync(path, bytes);
  }, "same"],
];

for (const [what, damage, outcome] of DAMAGES) {
  test(`LiveDatabase with a shadow file of ${what} goes on in ${outcome === "same" ? "the same" : "a new"} generation`, async () => {
    const { before, after, stage } = await reopenAfter((_, path) => damage(path));
    await using _ = stage;
    if (outcome === "same") {
      assert.deepEqual(after, before);
      assert.equal(statSync(`${stage.path}-wal`).size, before.offset);
      return;
    }
    assert.notEqual(after.generation, before.generation);
    assert.deepEqual([after.index, after.offset], [0, before.offset]);
    assert.equal(stage.logged("warn").length, 1);
  });
}

for (const content of ["0123456789abcde", "", "garbage of another length", "0123456789ABCDEF"]) {
  test(`LiveDatabase begins a generation when the generation file holds "${content}" (28)`, async () => {
    const { before, after, stage } = await reopenAfter((_, path) => {
      writeFileSync(`${path.slice(0, path.indexOf("/generations/"))}/generation`, content);
    });
    await using _ = stage;
    assert.notEqual(after.generation, before.generation);
  });
}

test("LiveDatabase begins a generation when the meta directory is gone", async () => {
  const { before, after, stage } = await reopenAfter((stage) => {
    rmSync(`${stage.folder}/.app.db-litestream`, { recursive: true });
  });
  await using _ = stage;
  assert.notEqual(after.generation, before.generation);
});

test("LiveDatabase gets to index 1 by a thousand commits (29)", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  for (let count = 0; count < 1100; count++) {
    stage.insert();
    if (count % 100 === 0) await database.settle();
  }
  await until(async () => {
    await database.settle();
    stage.insert();
    return database.position!.index === 1;
  }, { what: "index 1" });
});

test("LiveDatabase checkpoints after the interval and the next commit begins an index (30)", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow({ limits: { intervalMs: 1 } });
  await until(async () => {
    stage.insert();
    await database.settle();
    return database.position!.index >= 1;
  }, { what: "index 1" });
});

test("LiveDatabase ends a generation at the largest index (36)", async () => {
  const { before, after, stage } = await reopenAfter((_, path) => {
    copyFileSync(path, path.replace("00000000.wal", "7fffffff.wal"));
  });
  await using _ = stage;
  assert.notEqual(after.generation, before.generation);
  assert.match(stage.logged("warn").join(), /max index exceeded/);
});

test("LiveDatabase sees a -wal that lost its end while it was away (37)", async () => {
  const { before, after, stage } = await reopenAfter((stage) => {
    // A copy of an older moment: same header, fewer frames. The application left without its WAL.
    const wal = readFileSync(`${stage.path}-wal`);
    stage.closeApplication();
    writeFileSync(`${stage.path}-wal`, wal.subarray(0, wal.length - 2 * 4120));
  });
  await using _ = stage;
  assert.notEqual(after.generation, before.generation);
  assert.match(stage.logged("warn").join(), /wal truncated by another process/);
});

test("LiveDatabase sees another last frame in the same -wal (38)", async () => {
  await using stage = new Stage();
  for (let count = 0; count < 3; count++) stage.insert();
  const wal = readFileSync(`${stage.path}-wal`);
  const first = await stage.follow();
  stage.insert();
  await first.settle();
  const before = first.position!;
  await first.close();
  stage.closeApplication();
  // An older copy on which the application then wrote something else.
  writeFileSync(`${stage.path}-wal`, wal);
  stage.insert();
  const second = await stage.follow();
  assert.notEqual(second.position!.generation, before.generation);
});

test("LiveDatabase removes temporary files below the meta directory and nothing else (39)", async () => {
  const names = ["x.tmp", "generation.tmp", "keep.txt"];
  let meta = "";
  const { stage } = await reopenAfter((stage) => {
    meta = `${stage.folder}/.app.db-litestream`;
    for (const name of names) writeFileSync(`${meta}/${name}`, "x");
  });
  await using _ = stage;
  assert.deepEqual(names.map((name) => existsSync(`${meta}/${name}`)), [false, false, true]);
});

test("LiveDatabase keeps one generation and the shadow files that replicas need (40)", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  for (let count = 0; count < 6; count++) {
    const { index } = database.position!;
    await until(async () => {
      stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
      await database.settle();
      stage.insert();
      await database.settle();
      return database.position!.index > index;
    }, { what: "the next index" });
  }
  const { generation, index } = database.position!;
  const folder = `${database.meta.path}/generations/${generation}/wal`;
  database.releaseBefore(generation, 1);
  assert.equal(readdirSync(folder).length, index + 1);
  database.releaseBefore(generation, 4);
  assert.deepEqual(readdirSync(folder).sort().map((name) => Number.parseInt(name, 16))[0], 3);
  database.releaseBefore("0123456789abcdef", 6);
  assert.equal(readdirSync(folder).length, index + 1 - 3);
  await database.restartGeneration(generation, "a test");
  assert.deepEqual(readdirSync(`${database.meta.path}/generations`), [database.position!.generation]);
});

test("LiveDatabase follows a database of each page size (17)", async () => {
  for (const pageSize of [512, 4096, 65536]) {
    await using stage = new Stage();
    new DatabaseSync(stage.path).exec(
      `PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = wal; CREATE TABLE p (x)`,
    );
    stage.insert();
    const database = await stage.follow();
    const snapshot = await keepSnapshot(database);
    assert.equal(snapshot.pageSize, pageSize);
    for (let count = 0; count < 20; count++) stage.insert(pageSize);
    await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
  }
});

test("LiveDatabase gives a database in rollback-journal mode a WAL", async () => {
  await using stage = new Stage();
  const application = new DatabaseSync(stage.path);
  application.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, x)");
  application.close();
  const database = await stage.follow();
  assert.equal((await stage.neighbour().sql("PRAGMA journal_mode"))[0]![0], "wal");
  const snapshot = await keepSnapshot(database);
  stage.insert();
  await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
});

test("LiveDatabase.openSnapshot() is as long as its pages, not as the file", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  // As SQLITE_FCNTL_CHUNK_SIZE leaves it. Truncated up through a path, not a descriptor of this process.
  stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
  truncateSync(stage.path, 1 << 20);
  using source = await database.openSnapshot();
  assert.equal(source.pageCount, 2);
  const bytes = await readAll(source.read(), { limit: 1 << 20 });
  assert.equal(bytes.length, 2 * 4096);
});

test("LiveDatabase.openSnapshot() is right while the application writes on and checkpoints", async () => {
  await using stage = new Stage();
  for (let count = 0; count < 400; count++) stage.insert(4000);
  const database = await stage.follow();
  const neighbour = stage.neighbour();
  using source = await database.openSnapshot();
  const { generation, index, offset, pageSize, pageCount } = source;
  stage.application.exec("UPDATE t SET x = randomblob(3000) WHERE id % 3 = 0");
  await neighbour.sql("PRAGMA busy_timeout = 0");
  await neighbour.checkpoint("TRUNCATE");
  stage.application.exec("DELETE FROM t WHERE id > 200; VACUUM");
  await neighbour.checkpoint("FULL");
  const bytes = await readAll(source.read(), { limit: pageSize * pageCount });
  source.close();
  stage.insert();
  const snapshot = { generation, index, offset, pageSize, bytes };
  await assertNothingLost(database, { snapshot, neighbour });
});

test("LiveDatabase.openSnapshot() is the state at its own offset, whatever is written and checkpointed meanwhile", async () => {
  await using stage = new Stage();
  for (let count = 0; count < 400; count++) stage.insert(4000);
  const database = await stage.follow();
  const neighbour = stage.neighbour();
  await neighbour.sql("PRAGMA busy_timeout = 0");
  // All pages into the main file and the WAL restarted: replaying the index alone would not bring them.
  const first = database.position!.index;
  await until(async () => {
    stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
    await database.settle();
    stage.insert();
    await database.settle();
    return database.position!.index > first;
  }, { what: "the next index" });
  using source = await database.openSnapshot();
  const { generation, index, offset, pageSize, pageCount } = source;
  const look = "SELECT count(*), sum(length(x)), max(id) FROM t";
  const before = await neighbour.sql(look);
  // In turns, so that a snapshot that nothing protects would see restarted WALs backfilled under it.
  for (let round = 0; round < 8; round++) {
    stage.application.exec(`UPDATE t SET x = randomblob(${3000 + round}) WHERE id % 3 = ${round % 3}`);
    await database.settle();
    await neighbour.checkpoint("TRUNCATE");
    await database.settle();
  }
  const bytes = await readAll(source.read(), { limit: pageSize * pageCount });
  source.close();
  const rebuilt = rebuild(database, { generation, index, offset, pageSize, bytes }, { index, offset });
  const copy = `${stage.folder}/copy.db`;
  writeFileSync(copy, rebuilt.bytes);
  await using judge = new Neighbour(copy);
  assert.deepEqual(await judge.sql("PRAGMA integrity_check"), [["ok"]]);
  assert.deepEqual(await judge.sql(look), before);
});

test("LiveDatabase.segmentAfter() cuts at whole frames and goes on to the next index", async () => {
  await using stage = new Stage();
  for (let count = 0; count < 10; count++) stage.insert();
  const database = await stage.follow();
  const { index } = database.position!;
  await until(async () => {
    stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
    await database.settle();
    stage.insert();
    await database.settle();
    return database.position!.index > index;
  }, { what: "the next index" });
  const { generation } = database.position!;
  for (const maxBytes of [1, 4120, 4152, 10_000, 1 << 30]) {
    const files = new Map<number, Buffer[]>();
    let position = { generation, index: 0, offset: 0 };
    for (;;) {
      const segment = database.segmentAfter(position, { maxBytes });
      if (segment === undefined) break;
      const bytes = await readAll(segment.read(), { limit: 1 << 30 });
      assert.equal(bytes.length, segment.length);
      assert.ok(bytes.length <= Math.max(maxBytes, 4152));
      assert.equal(segment.offset, segment.index === position.index ? position.offset : 0);
      assert.equal(
        segment.previousEnd?.index,
        segment.index > 0 && segment.offset === 0 ? segment.index - 1 : undefined,
      );
      files.set(segment.index, [...files.get(segment.index) ?? [], Buffer.from(bytes)]);
      position = { generation, index: segment.index, offset: segment.offset + segment.length };
    }
    assert.deepEqual(position, database.position);
    for (const [at, parts] of files) {
      assert.deepEqual(Buffer.concat(parts), readFileSync(database.meta.shadowPath(generation, at)));
    }
  }
  assert.throws(
    () => database.segmentAfter({ generation, index: 0, offset: 1 << 30 }, { maxBytes: 1 }),
    /shadow wal ends/,
  );
  assert.throws(
    () => database.segmentAfter({ generation, index: 9, offset: 0 }, { maxBytes: 1 }),
    /no longer has it/,
  );
});

test("LiveDatabase.settle() after close() leaves the database alone", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  await database.close();
  await database.settle();
  assert.equal(database.state.kind, "closed");
  assert.equal(database.position, undefined);
});
