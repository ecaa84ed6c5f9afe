/** The listings of Litestream 0.3.13 and of walbrook of one replica, side by side (103). */
import { after, test } from "node:test";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { Litestream, litestreamPath } from "../litestream.ts";
import { Walbrook } from "../walbrook.ts";

const folder = temporaryFolder();
const databasePath = join(folder.path, "app.db");
const replicaPath = join(folder.path, "replica");
const configPath = join(folder.path, "litestream.yml");

/** Two generations with several snapshots and segments, written by Litestream, and a stray folder. */
async function prepare(): Promise<void> {
  using database = new DatabaseSync(databasePath);
  database.exec("PRAGMA busy_timeout = 10000; PRAGMA journal_mode = wal; CREATE TABLE t (x)");
  for (let round = 1; round <= 2; round++) {
    await using litestream = Litestream.start({
      configPath,
      databases: [{ databasePath, replicaPath }],
      replicaLines: ["snapshot-interval: 50ms"],
    });
    await until(() => litestream.log.includes("snapshot written"), () => litestream.log);
    const snapshotCount = () => litestream.log.split("snapshot written").length - 1;
    // Some more where the machine is busy and Litestream comes to fewer snapshots.
    for (let commit = 0; commit < 20 || snapshotCount() < 3; commit++) {
      assert.ok(commit < 1000, litestream.log);
      database.exec("INSERT INTO t VALUES (randomblob(4000))");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await litestream.stop();
    // Without its memory of it Litestream begins another generation.
    rmSync(join(folder.path, ".app.db-litestream"), { recursive: true });
  }
  mkdirSync(join(replicaPath, "generations", "not-a-generation"));
}

let prepared: Promise<void> | undefined;

after(() => folder[Symbol.dispose]());

function litestream(args: readonly string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(litestreamPath(), args, { encoding: "utf8" });
  return { code: status, stdout, stderr };
}

async function assertSame(args: readonly string[]): Promise<string> {
  const theirs = litestream(args);
  const ours = await Walbrook.run(...args);
  assert.equal(ours.stdout, theirs.stdout, args.join(" "));
  assert.equal(ours.code, theirs.code, args.join(" "));
  return ours.stdout;
}

test("walbrook snapshots and wal print what Litestream prints, by URL and by database", async () => {
  await (prepared ??= prepare());
  for (const command of ["snapshots", "wal"]) {
    const byUrl = await assertSame([command, `file://${replicaPath}`]);
    assert.ok(byUrl.split("\n").length > 5, byUrl);
    assert.equal(await assertSame([command, "-config", configPath, databasePath]), byUrl);
    await assertSame([command, "-config", configPath, "-replica", "file", databasePath]);
    await assertSame([command, `file://${replicaPath}-none`]);
  }
  const generation = /[0-9a-f]{16}/.exec(await assertSame(["wal", `file://${replicaPath}`]))![0];
  const some = await assertSame(["wal", "-generation", generation, `file://${replicaPath}`]);
  assert.ok(some.split("\n").length > 3);
  await assertSame(["wal", "-generation", "none", `file://${replicaPath}`]);
});

test("walbrook generations prints what Litestream prints; the lag of a database is that of its files", async () => {
  await (prepared ??= prepare());
  const later = Date.now() / 1000 + 100;
  utimesSync(databasePath, later, later);
  const text = await assertSame(["generations", "-config", configPath, databasePath]);
  assert.equal(text.trim().split("\n").length, 3, text);
  const byUrl = ["generations", `file://${replicaPath}`];
  // Counted from now, by two programs one after the other.
  const withoutLag = (table: string) =>
    table.trim().split("\n").map((line) => line.replace(/^(\S+ +\S+ +)\S+ +/, "$1"));
  assert.deepEqual(withoutLag((await Walbrook.run(...byUrl)).stdout), withoutLag(litestream(byUrl).stdout));
});

test("walbrook databases prints what Litestream prints", async () => {
  await (prepared ??= prepare());
  const path = join(folder.path, "several.yml");
  writeFileSync(
    path,
    `dbs:
  - path: ${databasePath}
    replicas:
      - path: ${replicaPath}
      - { name: other, path: ${replicaPath}2 }
  - path: /none/b.db
    replicas: [{ path: ${replicaPath}3 }]
`,
  );
  const text = await assertSame(["databases", "-config", path]);
  assert.match(text, /file,other/);
});

test("walbrook lists as JSON what its tables show", async () => {
  await (prepared ??= prepare());
  const url = `file://${replicaPath}`;
  for (const command of ["generations", "snapshots", "wal"]) {
    const { stdout, code, stderr } = await Walbrook.run(command, "-json", url);
    assert.equal(code, 0, stderr);
    const values = JSON.parse(stdout) as Record<string, unknown>[];
    const table = (await Walbrook.run(command, url)).stdout.trim().split("\n");
    assert.equal(values.length, table.length - 1);
    for (const value of values) {
      assert.equal(value["replica"], "file");
      assert.match(String(value["generation"]), /^[0-9a-f]{16}$/);
      const time = value["created"] ?? value["start"];
      assert.equal(new Date(String(time)).toISOString(), time);
    }
  }
  const { stdout } = await Walbrook.run("databases", "-json", "-config", configPath);
  assert.deepEqual(JSON.parse(stdout), [{ path: databasePath, replicas: ["file"] }]);
});

test("walbrook refuses listings with Litestream's words", async () => {
  await (prepared ??= prepare());
  const cases: string[][] = [
    ["generations"],
    ["snapshots"],
    ["wal"],
    ["snapshots", `file://${replicaPath}`, "extra"],
    ["databases", "extra"],
    ["databases", "-config", join(folder.path, "none.yml")],
    ["wal", "-config", configPath, "s3://bucket/app"],
    ["wal", "-config", configPath, "-replica", "s3", databasePath],
    ["snapshots", "-config", configPath, join(folder.path, "other.db")],
  ];
  for (const args of cases) {
    const theirs = litestream(args);
    const message = /failed to run"? error=(.*)/.exec(theirs.stderr + theirs.stdout)?.[1];
    assert.ok(message, `${args}: ${theirs.stderr}${theirs.stdout}`);
    const text = message.startsWith('"') ? JSON.parse(message) as string : message;
    const ours = await Walbrook.run(...args);
    // DIFFERENCES.md, "config-file-named".
    const read = text.startsWith("database not found in config") ? ` (the file read is ${configPath})` : "";
    assert.equal(ours.stderr, `walbrook ${args[0]}: ${text}${read}\n`, args.join(" "));
    assert.equal(ours.code, theirs.code);
    assert.equal(ours.stdout, "");
  }
});

test("walbrook tells of a replica that can't be listed, lists the others, and exits with 1", async () => {
  await (prepared ??= prepare());
  const path = join(folder.path, "dead.yml");
  writeFileSync(
    path,
    `dbs:
  - path: ${databasePath}
    replicas:
      - path: ${replicaPath}
      - { name: dead, path: ${replicaPath}-unmounted, must-exist: true }
`,
  );
  const { code, stdout, stderr } = await Walbrook.run("snapshots", "-config", path, databasePath);
  assert.equal(code, 1);
  assert.match(stderr, /level=ERROR msg="cannot list replica" replica=dead error=/);
  assert.ok(stdout.split("\n").length > 3);
});
