/** What others may do to a database that we follow, and what we say then. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { LOOK_AROUND_MS, onlyNeighbour } from "./at_rest.ts";
import { assertNothingLost, keepSnapshot, Stage, until } from "./stage.ts";
import { Neighbour } from "./neighbour.ts";
import type { LiveDatabase } from "../../src/database/database.ts";
import { isAlone } from "../../src/database/open.ts";
import { InstanceLock } from "../../src/database/instance_lock.ts";
import { sleep } from "../../src/async.ts";
import { comparePositions } from "../../src/position.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles, type FailRule } from "../doubles/failing_files.ts";
import { SkippingClock } from "../doubles/moved_clock.ts";
import { currentRuntime } from "../figures.ts";

async function startError(stage: Stage, options = {}): Promise<string> {
  const database = stage.database(options);
  try {
    await database.start();
  } catch (error) {
    assert.equal(database.state.kind === "stopped" || database.state.kind === "waiting", true);
    return (error as Error).message;
  }
  throw new Error(`it started: ${JSON.stringify(database.state)}`);
}

test("LiveDatabase refuses what is no database, in one line", async () => {
  await using stage = new Stage();
  writeFileSync(stage.path, "SQLite format 2\0 and more text that is no database".repeat(50));
  assert.match(await startError(stage), /app\.db is not a SQLite database, or it is encrypted/);
  writeFileSync(stage.path, crypto.getRandomValues(new Uint8Array(8192)));
  assert.match(await startError(stage), /app\.db is not a SQLite database, or it is encrypted/);
  rmSync(stage.path);
  mkdirSync(stage.path);
  assert.match(await startError(stage), /app\.db is not a file/);
  rmSync(stage.path, { recursive: true });
  assert.deepEqual(readdirSync(stage.folder), []);
});

test("LiveDatabase refuses what it can't follow, with where and what to do", async () => {
  const cases: [string, (stage: Stage) => string | void, RegExp][] = [
    ["link", (stage) => {
      const link = `${stage.folder}/link.db`;
      symlinkSync(stage.path, link);
      return link;
    }, /^\S+link\.db is a symbolic link, and .*: give the path of that file, \S+app\.db$/],
    [
      "damaged",
      ({ path }) => truncateSync(path, 4096),
      /^\S+app\.db is damaged: restore it, or mend it with /,
    ],
  ];
  for (const [name, prepare, expected] of cases) {
    await using stage = new Stage();
    // Without a -wal that would hold the pages.
    stage.insert(50_000);
    stage.application.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    stage.closeApplication();
    const path = prepare(stage) ?? stage.path;
    assert.match(await startError(stage, { path }), expected, name);
  }
});

test("LiveDatabase refuses a disk or a user that can't read and write the database, with what to do", async () => {
  const cases: [string, RegExp][] = [
    ["EACCES", /^cannot read and write \S+app\.db: give the user that runs walbrook access to it$/],
    ["EPERM", /^cannot read and write \S+app\.db: give the user that runs walbrook access to it$/],
    ["EROFS", /^cannot write to \S+app\.db: mount its file system for writing$/],
    ["EIO", /^cannot read \S+app\.db: look at its disk, and at the system's log$/],
  ];
  for (const [code, expected] of cases) {
    await using stage = new Stage();
    stage.insert();
    const before = readdirSync(stage.folder).sort();
    for (const kind of code === "EIO" ? ["open", "read"] as const : ["open"] as const) {
      const { files } = failFiles(systemFiles, [{ kind, code, path: /app\.db$/ }]);
      assert.match(await startError(stage, { files }), expected);
    }
    assert.deepEqual(readdirSync(stage.folder).sort(), before);
    // Nothing of those tries is held.
    await stage.follow();
  }
});

test("LiveDatabase refuses a file in the place of its meta directory", async () => {
  await using stage = new Stage();
  stage.insert();
  writeFileSync(`${stage.folder}/.app.db-litestream`, "theirs");
  assert.match(
    await startError(stage),
    /^cannot make \S+\/\.app\.db-litestream, walbrook's own folder: a file is in the way, move it away$/,
  );
});

test("LiveDatabase refuses a network file system, and touches nothing there", async () => {
  for (const type of ["nfs", "cifs", "9p", "fuse.sshfs"]) {
    await using stage = new Stage();
    stage.insert();
    const before = readdirSync(stage.folder).sort();
    const files = { ...systemFiles, fileSystemTypeSync: () => type };
    const message = await startError(stage, { files });
    assert.match(
      message,
      /app\.db lies on a network file system \(\S+\), where .* move the database to a disk/,
    );
    assert.ok(message.includes(`(${type})`), message);
    assert.deepEqual(readdirSync(stage.folder).sort(), before);
  }
  // Local, as those of containers and of Windows disks.
  for (const type of ["fuse", "fuseblk", "fuse.fuse-overlayfs", "virtiofs"]) {
    await using stage = new Stage();
    stage.insert();
    const database = stage.database({ files: { ...systemFiles, fileSystemTypeSync: () => type } });
    await database.start();
    assert.equal(database.state.kind, "live", type);
  }
});

test("LiveDatabase refuses a header that claims to be a database whose pages are none", async () => {
  await using stage = new Stage();
  const bytes = crypto.getRandomValues(new Uint8Array(8192));
  bytes.set(new TextEncoder().encode("SQLite format 3\0"));
  writeFileSync(stage.path, bytes);
  assert.match(await startError(stage), /not a SQLite database|encrypted|malformed/);
});

test("LiveDatabase refuses a meta-path that holds the database", async () => {
  await using stage = new Stage();
  stage.insert();
  for (const metaPath of [stage.folder, `${stage.folder}/`, `${stage.folder}/..`, "/"]) {
    assert.match(await startError(stage, { metaPath }), /holds the database itself/);
  }
});

test("LiveDatabase takes paths with every kind of letter", async () => {
  for (const name of ["a b.db", "a?b=c.db", "a#b.db", "a%20b.db", "äöü €.db", "a&b'c\".db"]) {
    await using stage = new Stage(name);
    stage.insert();
    const before = readdirSync(stage.folder).length;
    const database = await stage.follow();
    assert.ok(database.position!.offset > 0);
    assert.equal(readdirSync(stage.folder).length, before + 1, name);
  }
});

test("LiveDatabase is refused by name when another walbrook has the database", async () => {
  await using stage = new Stage();
  stage.insert();
  const path = fileURLToPath(new URL("./follow_program.ts", import.meta.url));
  const args = currentRuntime() === "deno" ? ["run", "-A", path, stage.path] : [path, stage.path];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  try {
    await new Promise((resolve) => child.stdout.once("data", resolve));
    assert.match(
      await startError(stage),
      /app\.db is replicated by another walbrook already: stop that one first/,
    );
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
    const database = await stage.follow();
    assert.ok(database.position);
  } finally {
    child.kill("SIGKILL");
  }
});

test("LiveDatabase is refused when this process has the database already, and the first one keeps its locks", async () => {
  await using stage = new Stage();
  stage.insert();
  const first = await stage.follow();
  stage.insert();
  await first.settle();
  const link = `${stage.folder}/link.db`;
  symlinkSync(stage.path, link);
  for (const path of [stage.path, link]) {
    assert.match(await startError(stage, { path }), /is replicated by this walbrook already/);
  }
  // Another process still can't restart the WAL that the first one stands on.
  const neighbour = stage.neighbour();
  const { index } = first.position!;
  await neighbour.sql("PRAGMA busy_timeout = 0");
  const held = await Promise.all([neighbour.checkpoint("RESTART")]);
  assert.ok(held[0]!.isBusy, "the locks of the first follower are gone");
  assert.equal(first.position!.index, index);
});

test("LiveDatabase says so and waits while an application keeps everybody out (case 45)", async () => {
  await using stage = new Stage();
  stage.insert();
  stage.closeApplication();
  const neighbour = stage.neighbour();
  await neighbour.sql("PRAGMA locking_mode = EXCLUSIVE");
  await neighbour.sql("INSERT INTO t (x) VALUES (1)");
  const database = stage.database();
  await database.start();
  assert.deepEqual(database.state, {
    kind: "waiting",
    reason: "the database is locked: its application keeps everybody else out",
    isNew: false,
  });
  await neighbour.sql("INSERT INTO t (x) VALUES (2)");
  await neighbour.closeConnection();
  await until(() => database.state.kind === "live", { what: "the database is free" });
  assert.equal(stage.logged("warn").length, 1);
});

test("LiveDatabase goes on when an application asks for EXCLUSIVE mode while it follows", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  const snapshot = await keepSnapshot(database);
  const neighbour = stage.neighbour();
  await neighbour.sql("PRAGMA busy_timeout = 50");
  await neighbour.sql("PRAGMA locking_mode = EXCLUSIVE");
  await neighbour.sql("INSERT INTO t (x) VALUES (1)").catch(() => {});
  for (let round = 0; round < 20; round++) {
    stage.insert();
    await database.settle();
  }
  await neighbour.closeConnection();
  await assertNothingLost(database, { snapshot, neighbour });
  assert.deepEqual(stage.logged("error"), []);
  assert.deepEqual(stage.logged("warn"), []);
});

test("LiveDatabase stops loudly when the -wal is deleted, and takes the database up when it is mended", async () => {
  await using stage = new Stage();
  stage.insert();
  stage.closeApplication();
  const neighbour = new Neighbour(stage.path);
  await neighbour.sql("INSERT INTO t (x) VALUES (1)");
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  const { generation } = database.position!;
  rmSync(`${stage.path}-wal`);
  clock.skip(LOOK_AROUND_MS);
  await until(() => database.state.kind === "waiting", { what: "the loss is seen" });
  await neighbour.sql("INSERT INTO t (x) VALUES (2)");
  await until(() => /restart the application/.test(JSON.stringify(database.state)), {
    what: "what to do is said",
  });
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(database.state.kind, "waiting");
  await neighbour.closeConnection();
  await neighbour[Symbol.asyncDispose]();
  stage.insert();
  await until(() => database.state.kind === "live", { what: "it is taken up again" });
  assert.notEqual(database.position!.generation, generation);
  const snapshot = await keepSnapshot(database);
  await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
});

/** Have the neighbour write as if nothing had happened, then close; what it wrote has to be there, and followed. */
async function assertTakenUpWhole(database: LiveDatabase, { stage, neighbour, rowCount }: {
  stage: Stage;
  neighbour: Neighbour;
  rowCount: number;
}): Promise<void> {
  await until(() => database.state.kind === "waiting", { what: "the loss is seen" });
  for (let nth = 0; nth < 3; nth++) {
    await neighbour.sql("INSERT INTO t (x) VALUES (randomblob(9000))");
    await neighbour.sql("PRAGMA wal_checkpoint(PASSIVE)");
    await sleep(150);
    assert.match(JSON.stringify(database.state), /restart the application/);
  }
  await neighbour.closeConnection();
  await until(() => database.state.kind === "live", { what: "it is taken up again" });
  const count = stage.application.prepare("SELECT count(*) AS count FROM t").get();
  assert.equal(count?.["count"], rowCount + 3);
  assert.equal(stage.application.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
  stage.closeApplication();
  await assertNothingLost(database, { snapshot: await keepSnapshot(database), neighbour: stage.neighbour() });
}

test("LiveDatabase keeps off a database while a program goes on with its deleted -shm", async () => {
  await using stage = new Stage();
  const neighbour = await onlyNeighbour(stage);
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  const { generation } = database.position!;
  rmSync(`${stage.path}-shm`);
  clock.skip(LOOK_AROUND_MS);
  await assertTakenUpWhole(database, { stage, neighbour, rowCount: 2 });
  assert.notEqual(database.position!.generation, generation);
});

test("LiveDatabase keeps off a database while a program goes on with its deleted -wal and -shm", async () => {
  await using stage = new Stage();
  const neighbour = await onlyNeighbour(stage);
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  for (const suffix of ["-wal", "-shm"]) rmSync(stage.path + suffix);
  clock.skip(LOOK_AROUND_MS);
  await until(() => database.state.kind === "waiting", { what: "the loss is seen" });
  await sleep(500);
  assert.match(JSON.stringify(database.state), /restart the application/);
  assert.deepEqual(readdirSync(stage.folder), [".app.db-litestream", "app.db"]);
  await neighbour.closeConnection();
  await until(() => database.state.kind === "live", { what: "it is taken up again" });
});

test("LiveDatabase waits for a restart also where it finds the loss at its start", async () => {
  for (const suffixes of [["-shm"], ["-wal"], ["-wal", "-shm"]]) {
    await using stage = new Stage();
    const neighbour = await onlyNeighbour(stage);
    if (suffixes.includes("-wal")) await neighbour.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    for (const suffix of suffixes) rmSync(stage.path + suffix);
    const database = stage.database();
    await database.start();
    await assertTakenUpWhole(database, { stage, neighbour, rowCount: 2 });
  }
});

test("LiveDatabase keeps off at its start while a program goes on with files that another one has made anew", async () => {
  for (const suffixes of [["-shm"], ["-wal"], ["-wal", "-shm"]]) {
    await using stage = new Stage();
    const neighbour = await onlyNeighbour(stage);
    await (await stage.follow()).close();
    if (suffixes.includes("-wal")) await neighbour.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    for (const suffix of suffixes) rmSync(stage.path + suffix);
    await using next = new Neighbour(stage.path);
    await next.sql("INSERT INTO t (x) VALUES (2)");
    for (const suffix of ["-wal", "-shm"]) assert.ok(existsSync(stage.path + suffix));
    const database = stage.database();
    await database.start();
    await sleep(300);
    assert.match(JSON.stringify(database.state), /restart the application/);
    await neighbour.closeConnection();
    await until(() => database.state.kind === "live", { what: "it is taken up" });
  }
});

test("LiveDatabase takes a restarted application up that has its files anew", async () => {
  await using stage = new Stage();
  const neighbour = await onlyNeighbour(stage);
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  rmSync(`${stage.path}-shm`);
  clock.skip(LOOK_AROUND_MS);
  await until(() => database.state.kind === "waiting", { what: "the loss is seen" });
  await neighbour.closeConnection();
  const next = stage.neighbour();
  await next.sql("INSERT INTO t (x) VALUES (2)");
  await until(() => database.state.kind === "live", { what: "it is taken up again" });
  await next.sql("INSERT INTO t (x) VALUES (3)");
  await assertNothingLost(database, { snapshot: await keepSnapshot(database), neighbour: next });
});

test("isAlone() sees who has a database open, and takes its WAL in where nobody has", async () => {
  await using stage = new Stage();
  const neighbour = await onlyNeighbour(stage);
  rmSync(`${stage.path}-shm`);
  assert.equal(isAlone(stage.path), false);
  assert.equal(existsSync(`${stage.path}-shm`), false);
  await neighbour.sql("INSERT INTO t (x) VALUES (2)");
  await neighbour.closeConnection();
  assert.equal(isAlone(stage.path), true);
  assert.equal(stage.application.prepare("SELECT count(*) AS count FROM t").get()?.["count"], 3);
});

test("LiveDatabase waits when the WAL is not the one of the wal-index, and checkpoints nothing of it", async () => {
  await using stage = new Stage();
  const neighbour = await onlyNeighbour(stage);
  const clock = new SkippingClock();
  const database = await stage.follow({ clock, monitorIntervalMs: 60_000 });
  await until(async () => {
    await neighbour.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    await database.settle();
    return statSync(`${stage.path}-wal`).size === 0;
  }, { what: "an empty WAL" });
  await neighbour.sql("INSERT INTO t (x) VALUES (2)");
  // As if another file lay there.
  const wal = readFileSync(`${stage.path}-wal`);
  writeFileSync(`${stage.path}-wal`, wal.fill(7, 16, 24));
  await database.settle();
  assert.equal(database.state.kind, "live", "a header may be half-written");
  clock.skip(1100);
  await database.settle();
  assert.match(JSON.stringify(database.state), /its commits go to a lost file/);
});

test("LiveDatabase waits when the database is deleted and takes up the next one with a new generation", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  const { generation } = database.position!;
  stage.closeApplication();
  for (const end of ["", "-wal", "-shm"]) rmSync(stage.path + end, { force: true });
  clock.skip(LOOK_AROUND_MS);
  await until(() => database.state.kind === "waiting", { what: "the loss is seen" });
  stage.insert();
  await until(() => database.state.kind === "live", { what: "the next one is taken up" });
  assert.notEqual(database.position!.generation, generation);
});

test("LiveDatabase takes up a database that replaces the one it follows, with a new generation", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  const { generation } = database.position!;
  stage.closeApplication();
  const other = `${stage.folder}/other.db`;
  new DatabaseSync(other).exec("CREATE TABLE other (x)");
  for (const end of ["-wal", "-shm"]) rmSync(stage.path + end, { force: true });
  renameSync(other, stage.path);
  clock.skip(LOOK_AROUND_MS);
  await until(() => database.position !== undefined && database.position.generation !== generation, {
    what: "a new generation",
  });
  const neighbour = stage.neighbour();
  await neighbour.sql("INSERT INTO other VALUES (1)");
  await assertNothingLost(database, { snapshot: await keepSnapshot(database), neighbour });
});

test("LiveDatabase begins a generation when the meta directory is deleted under it, with a lock again", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  const { generation } = database.position!;
  rmSync(database.meta.path, { recursive: true });
  clock.skip(LOOK_AROUND_MS);
  await until(() => database.position !== undefined && database.position.generation !== generation, {
    what: "a new generation",
  });
  assert.ok(existsSync(`${database.meta.path}/walbrook.lock`));
  stage.insert();
  const snapshot = await keepSnapshot(database);
  await assertNothingLost(database, { snapshot, neighbour: stage.neighbour() });
});

test("LiveDatabase names Litestream when it starts on the same database, and stops", async () => {
  await using stage = new Stage();
  stage.insert();
  const clock = new SkippingClock();
  const database = await stage.follow({ clock });
  const binary = fileURLToPath(
    new URL("../../node_modules/@flydotio/litestream-linux-x64/litestream", import.meta.url),
  );
  const child = spawn(binary, ["replicate", stage.path, `file://${stage.folder}/replica`], {
    stdio: "ignore",
  });
  try {
    await until(() => {
      stage.insert();
      clock.skip(1000);
      return database.state.kind === "stopped";
    }, { what: "the other program is seen", limitMs: 20_000 });
    assert.match(
      JSON.stringify(stage.logged("error")),
      /most likely Litestream, writes into .*stop it, or walbrook/,
    );
    const { meta } = database;
    const lock = new InstanceLock({ meta, databasePath: stage.path, files: systemFiles });
    lock.take();
    lock.release();
  } finally {
    const closed = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await closed;
  }
});

test("LiveDatabase leaves no trace in the database and the tables of Litestream alone", async () => {
  await using stage = new Stage();
  stage.application.exec("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)");
  stage.application.exec(
    "CREATE TABLE _litestream_lock (id INTEGER); INSERT INTO _litestream_seq VALUES (1, 41)",
  );
  const look = () =>
    JSON.stringify([
      stage.application.prepare("SELECT * FROM sqlite_master").all(),
      stage.application.prepare("SELECT * FROM _litestream_seq").all(),
      stage.application.prepare("PRAGMA data_version").get(),
    ]);
  const before = look();
  const database = await stage.follow({ limits: { minPages: 2, maxPages: 3, intervalMs: 1 } });
  for (let round = 0; round < 20; round++) {
    stage.application.exec("UPDATE _litestream_seq SET seq = 41");
    await database.settle();
  }
  await database.quiesce(() => {});
  (await database.openSnapshot()).close();
  await database.close();
  assert.equal(look(), before);
});

test("LiveDatabase writes nothing while nothing happens", async () => {
  await using stage = new Stage();
  for (let round = 0; round < 5; round++) stage.insert();
  const database = await stage.follow();
  await new Promise((resolve) => setTimeout(resolve, 700));
  const names = [
    stage.path,
    `${stage.path}-wal`,
    database.meta.path,
    ...readdirSync(database.meta.path, { recursive: true, encoding: "utf8" }).map((name) =>
      `${database.meta.path}/${name}`
    ),
  ];
  const look = () => JSON.stringify(names.map((name) => [name, statSync(name).size, statSync(name).mtimeMs]));
  const before = look();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  assert.equal(look(), before);
});

test("LiveDatabase gives files and folders the database's mode and owner (case 41)", async () => {
  await using stage = new Stage();
  stage.insert();
  // Only root can give anything away; others own all of it anyway.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    chownSync(stage.path, 12345, 12346);
    chownSync(stage.folder, 23456, 23457);
  }
  chmodSync(stage.path, 0o640);
  chmodSync(stage.folder, 0o750);
  const database = await stage.follow();
  const { generation } = database.position!;
  const mode = (path: string) => statSync(path).mode & 0o777;
  const masked = 0o640 & ~process.umask();
  assert.equal(mode(database.meta.shadowPath(generation, 0)), masked);
  assert.equal(mode(`${database.meta.path}/generation`), masked);
  assert.equal(mode(database.meta.path), 0o750 & ~process.umask());
  const owner = (path: string) => [statSync(path).uid, statSync(path).gid];
  const shadowPath = database.meta.shadowPath(generation, 0);
  for (
    const path of [shadowPath, `${database.meta.path}/generation`, `${database.meta.path}/walbrook.lock`]
  ) {
    assert.deepEqual(owner(path), owner(stage.path), path);
  }
  for (const path of [dirname(shadowPath), database.meta.path]) {
    assert.deepEqual(owner(path), owner(stage.folder), path);
  }
});

test("LiveDatabase warns of a database file that has another name", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  assert.equal(stage.logged("warn").filter((line) => line.includes("hard links")).length, 0);
  await database.close();
  linkSync(stage.path, `${stage.folder}/other.db`);
  await stage.follow();
  assert.equal(stage.logged("warn").filter((line) => line.includes("hard links")).length, 1);
});

/** Follow a database until the disk has failed as `failing` says, and until it works again: nothing is lost. */
async function outlast(
  failing: readonly FailRule[],
  { before, meanwhile }: {
    before?: () => Promise<void>;
    meanwhile: (stage: Stage, database: LiveDatabase) => Promise<void> | void;
  },
): Promise<void> {
  await using stage = new Stage();
  stage.insert();
  const rules: FailRule[] = [];
  const { files, failed } = failFiles(systemFiles, rules);
  const database = await stage.follow({ files, limits: { minPages: 10, maxPages: 40 } });
  const snapshot = await keepSnapshot(database);
  const neighbour = stage.neighbour();
  await before?.();
  rules.push(...failing);
  await until(async () => {
    stage.insert();
    stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
    await database.settle();
    return failed.length >= 5;
  }, { what: "it fails" });
  await meanwhile(stage, database);
  rules.length = 0;
  await until(() => database.lastError === "", { what: "it works again by itself" });
  await assertNothingLost(database, { snapshot, neighbour });
  assert.equal(database.position!.generation, snapshot.generation);
}

for (const kind of ["write", "rename", "open"] as const) {
  test(`LiveDatabase with a disk whose ${kind} fails tells it once, mends itself and loses nothing`, async () => {
    await outlast([{ kind, code: "ENOSPC", path: /\/generations\//, times: Infinity }], {
      async meanwhile(stage, database) {
        for (let round = 0; round < 30; round++) {
          stage.insert();
          await database.settle();
        }
        const errors = stage.logged("error");
        assert.ok(errors.length >= 1 && errors.length <= 2, JSON.stringify(errors));
        assert.match(errors[0]!, /ENOSPC/);
        assert.match(database.lastError, /ENOSPC/);
      },
    });
  });
}

const FULL_DISKS: readonly (readonly [string, FailRule[]])[] = [
  ["a new shadow file", [{ kind: "write", code: "ENOSPC", path: /\.wal\.tmp$/, times: Infinity }]],
  ["a commit, and can't be undone", [
    { kind: "write", code: "ENOSPC", path: /\.wal(\.tmp)?$/, times: Infinity, afterwards: true },
    { kind: "truncate", code: "EIO", path: /\.wal(\.tmp)?$/, times: Infinity },
  ]],
];
for (const [what, failing] of FULL_DISKS) {
  test(`LiveDatabase doesn't take its own failed write of ${what} for somebody else's`, async () => {
    await outlast(failing, {
      // Longer than two of our own changes may lie apart by the file system's clock.
      before: () => sleep(3000),
      meanwhile: (_, { lastError }) => assert.match(lastError, /ENOSPC|EIO/),
    });
  });
}

for (const afterwards of [false, true]) {
  const what = afterwards ? "was done all the same" : "is done later";
  test(`LiveDatabase tells of a first commit when its file has got its name, where that failed and ${what}`, async () => {
    await using stage = new Stage();
    stage.insert();
    stage.closeApplication();
    const rules: FailRule[] = [{ kind: "rename", code: "EIO", path: /\.wal\.tmp$/, afterwards }];
    const { files, failed } = failFiles(systemFiles, rules);
    const clock = new SkippingClock();
    const database = await stage.follow({ files, clock, monitorIntervalMs: 60_000 });
    const start = database.position!;
    assert.equal(start.offset, 0, "a WAL without a commit");
    clock.skip(3_600_000);
    stage.insert();
    const { changed } = database;
    await database.settle();
    const token = changed.token;
    if (!afterwards) {
      assert.match(database.lastError, /EIO/);
      await database.settle();
      await token;
    }
    assert.equal(failed.length, 1);
    assert.equal(database.lastError, "");
    const segment = database.segmentAfter(start, { maxBytes: 1 << 20 })!;
    assert.ok(Math.abs(segment.newestCommitAt.getTime() - clock.now()) < 60_000, "of the commit's own time");
  });
}

test("LiveDatabase leaves nothing of a generation that could not be begun", async () => {
  await using stage = new Stage();
  for (let round = 0; round < 5; round++) stage.insert();
  const rules: FailRule[] = [{ kind: "rename", code: "EIO", path: /generation$/, times: Infinity }];
  const { files } = failFiles(systemFiles, rules);
  const database = stage.database({ files });
  await assert.rejects(database.start(), /EIO/);
  await database.close();
  assert.deepEqual(readdirSync(`${database.meta.path}/generations`), []);
  rules.length = 0;
  const second = await stage.follow();
  assert.ok(second.position!.offset > 0);
});

test("LiveDatabase waits for room for a generation, and begins it then", async () => {
  await using stage = new Stage();
  for (let round = 0; round < 5; round++) stage.insert();
  const rules: FailRule[] = [{ kind: "rename", code: "ENOSPC", path: /generation$/, times: Infinity }];
  const { files } = failFiles(systemFiles, rules);
  const database = stage.database({ files });
  await database.start();
  const { state } = database;
  assert.ok(state.kind === "waiting");
  assert.match(state.reason, /the disk of \S+ is full: free some space there/);
  rules.length = 0;
  await until(() => database.state.kind === "live", { what: "it begins by itself" });
  assert.ok(database.position!.offset > 0);
  await database.close();
});

test("LiveDatabase undoes what a killed application left in a rollback journal, then follows", async () => {
  await using stage = new Stage();
  const application = new DatabaseSync(stage.path);
  application.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, x); PRAGMA cache_size = 2");
  for (let count = 0; count < 100; count++) application.exec("INSERT INTO t (x) VALUES (randomblob(2000))");
  application.exec("BEGIN; UPDATE t SET x = randomblob(2001)");
  // What a killed process leaves: the file half-written and its journal.
  const crashed = `${stage.folder}/crashed.db`;
  copyFileSync(stage.path, crashed);
  copyFileSync(`${stage.path}-journal`, `${crashed}-journal`);
  application.close();
  const database = stage.database({ path: crashed });
  await database.start();
  assert.equal(database.state.kind, "live", JSON.stringify(database.state));
  const neighbour = new Neighbour(crashed);
  assert.deepEqual(await neighbour.sql("SELECT count(*) FROM t WHERE length(x) = 2000"), [[100]]);
  await neighbour[Symbol.asyncDispose]();
});

test("LiveDatabase keeps a killed writer's unpublished frames out and goes on (SIGKILL)", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  const snapshot = await keepSnapshot(database);
  for (let round = 0; round < 5; round++) {
    const victim = new Neighbour(stage.path);
    await victim.sql("PRAGMA cache_size = 2");
    const calls = Array.from(
      { length: 300 },
      () => victim.sql("INSERT INTO t (x) VALUES (randomblob(9000))").catch(() => []),
    );
    await calls[20 + round * 10];
    await victim.kill();
    stage.insert();
  }
  const neighbour = stage.neighbour();
  await assertNothingLost(database, { snapshot, neighbour });
  assert.equal((await neighbour.sql("PRAGMA integrity_check"))[0]![0], "ok");
  assert.deepEqual(stage.logged("warn"), []);
  assert.equal(readFileSync(`${database.meta.path}/generation`, "utf8").trim(), snapshot.generation);
});

test("LiveDatabase tries for the write lock as long as the busy timeout says", async () => {
  await using stage = new Stage();
  stage.insert();
  const neighbour = new DatabaseSync(stage.path);
  try {
    neighbour.exec("BEGIN IMMEDIATE");
    {
      await using impatient = await stage.follow({ busyTimeoutMs: 0 });
      assert.equal(await impatient.quiesce(() => "held"), undefined);
    }
    const patient = await stage.follow({ busyTimeoutMs: 60_000 });
    const held = patient.quiesce(() => "held");
    // Longer than a hundred tries: nothing but the lock's end may end it.
    await Promise.race([held, new Promise((resolve) => setTimeout(resolve, 150))]);
    neighbour.exec("ROLLBACK");
    assert.equal(await held, "held");
  } finally {
    neighbour.close();
  }
});

test("LiveDatabase never writes its WAL into a file that was copied over the database, nor takes it for a snapshot", async () => {
  await using stage = new Stage();
  stage.insert(100);
  await using neighbour = stage.neighbour();
  await neighbour.sql("SELECT count(*) FROM t");
  const otherPath = `${stage.folder}/other.db`;
  const other = new DatabaseSync(otherPath);
  other.exec("CREATE TABLE u (x); INSERT INTO u VALUES (zeroblob(300000))");
  other.close();
  // Without looks of its own: what stands below comes before the first one, unless the watch is quick.
  const database = await stage.follow({ monitorIntervalMs: 1e6, limits: { minPages: 1, maxPages: 1 } });
  for (let count = 0; count < 50; count++) await neighbour.sql("INSERT INTO t (x) VALUES (randomblob(3000))");
  stage.closeApplication();
  const snapshot = await database.openSnapshot();
  for (const suffix of ["-wal", "-shm"]) rmSync(stage.path + suffix);
  copyFileSync(otherPath, stage.path);
  await assert.rejects(async () => {
    for await (const _ of snapshot.read());
  }, /wal missing by another process|is closed/);
  snapshot.close();
  await assert.rejects(database.openSnapshot(), /wal missing by another process|no generation available/);
  await database.settle();
  assert.deepEqual(readFileSync(stage.path), readFileSync(otherPath));
});

test("LiveDatabase makes no snapshot of a database that was put in the place of its own", async () => {
  await using stage = new Stage();
  stage.insert(100);
  const otherPath = `${stage.folder}/other.db`;
  copyFileSync(stage.path, otherPath);
  const database = await stage.follow({ monitorIntervalMs: 1e6 });
  stage.closeApplication();
  renameSync(otherPath, stage.path);
  await assert.rejects(database.openSnapshot(), /database replaced by another process/);
});

test("LiveDatabase.settle() tells what kept the last commits of a deleted database from being copied", async () => {
  await using stage = new Stage();
  stage.insert();
  const rules: FailRule[] = [];
  const { files } = failFiles(systemFiles, rules);
  const database = await stage.follow({ files, monitorIntervalMs: 60_000 });
  await database.settle();
  stage.insert();
  rules.push({ kind: "read", path: /-wal$/, code: "EIO", times: Infinity });
  for (const suffix of ["", "-wal", "-shm"]) rmSync(stage.path + suffix);
  await database.settle();
  assert.match(String(await database.settle()), /EIO/);
  assert.match(String(await database.settle()), /EIO/, "as long as it is so");
  rules.pop();
  stage.closeApplication();
  stage.insert();
  await database.settle();
  assert.equal(await database.settle(), undefined, "a new one is there");
});

for (const size of [100, 3 << 20]) {
  test(`LiveDatabase.settle() has nothing to tell of a database that went away right after a commit of ${size} bytes`, async () => {
    await using stage = new Stage();
    stage.insert();
    const clock = new SkippingClock();
    const database = await stage.follow({ clock, monitorIntervalMs: 60_000 });
    // The reader that does not stand is closed at rest, and can't be opened again once the path is gone.
    clock.skip(11_000);
    await database.settle();
    const before = database.position!;
    stage.insert(size);
    for (const suffix of ["", "-wal", "-shm"]) rmSync(stage.path + suffix);
    await database.settle();
    assert.equal(await database.settle(), undefined);
    assert.ok(comparePositions(database.position!, before) > 0, "the last commit is copied");
    assert.ok(database.position!.offset > size);
  });
}
