/** How `replicate` ends, and how it begins with many databases. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { startFaultProxy } from "../servers/fault_proxy.ts";
import { Walbrook } from "../walbrook.ts";

function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  return database;
}

async function rowCount(replica: string, output: string): Promise<unknown> {
  const { code, stderr } = await Walbrook.run("restore", "-o", output, replica);
  assert.equal(code, 0, stderr);
  using database = new DatabaseSync(output);
  return database.prepare("SELECT count(*) AS n FROM t").get()!["n"];
}

test("walbrook replicate sends the last commits to all that live, whoever is dead, and ends at a second signal", async () => {
  using folder = temporaryFolder();
  const path = (...parts: string[]) => join(folder.path, ...parts);
  const proxy = await startFaultProxy({ upstreamPort: 1 });
  try {
    proxy.fault = () => ({ act: "silence" });
    const config = path("walbrook.yml");
    const dead =
      `{ type: s3, bucket: b, endpoint: "${proxy.endpoint}", access-key-id: a, secret-access-key: s }`;
    writeFileSync(
      config,
      `logging: { stderr: true }
dbs:
  - { path: "${path("one.db")}", replicas: [${dead}, { path: "${path("backup-1")}", sync-interval: 1h }] }
  - { path: "${path("two.db")}", replicas: [{ path: "${path("backup-2")}", sync-interval: 1h }] }
`,
    );
    using one = openDatabase(path("one.db"));
    using two = openDatabase(path("two.db"));
    await using walbrook = Walbrook.start("replicate", "-config", config);
    await walbrook.says("snapshot written", 2);
    one.exec("INSERT INTO t VALUES (2)");
    two.exec("INSERT INTO t VALUES (2)");
    walbrook.signal("SIGTERM");
    await walbrook.says("signal received, walbrook shutting down");
    for (const name of ["backup-1", "backup-2"]) {
      let tries = 0;
      await until(async () => await rowCount(path(name), path(`${name}-${tries++}.db`)) === 2, name);
    }
    assert.ok(walbrook.isRunning, "the dead one is still tried");
    walbrook.signal("SIGTERM");
    assert.equal((await walbrook.ended).code, 1);
  } finally {
    await proxy.stop();
  }
});

test("walbrook replicate says once that the last commits of a database are not in its replica", async () => {
  using folder = temporaryFolder();
  const path = (...parts: string[]) => join(folder.path, ...parts);
  using _ = openDatabase(path("app.db"));
  writeFileSync(path("file"), "");
  await using walbrook = Walbrook.start("replicate", path("app.db"), path("file"));
  await walbrook.says("monitor error");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 1);
  const lines = stderr.split("\n").filter((line) => line.includes("ERROR failed to run"));
  assert.equal(lines.length, 1, stderr);
  assert.match(lines[0]!, /app\.db: the last commits are not in file: .*file is not a folder/);
  assert.doesNotMatch(stderr, /walbrook shut down/);
});

test("walbrook replicate follows a hundred databases of one file", async () => {
  using folder = temporaryFolder();
  const path = (...parts: string[]) => join(folder.path, ...parts);
  const lines = [];
  openDatabase(path("0.db")).close();
  for (let at = 0; at < 100; at++) {
    if (at > 0) copyFileSync(path("0.db"), path(`${at}.db`));
    lines.push(`  - { path: "${path(`${at}.db`)}", replicas: [{ path: "${path(`backup-${at}`)}" }] }`);
  }
  writeFileSync(path("walbrook.yml"), `logging: { stderr: true }\ndbs:\n${lines.join("\n")}\n`);
  await using walbrook = Walbrook.start("replicate", "-config", path("walbrook.yml"));
  await walbrook.says("snapshot written", 100);
  using last = new DatabaseSync(path("99.db"));
  last.exec("INSERT INTO t VALUES (2)");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /ERROR/);
  assert.equal(await rowCount(path("backup-99"), path("out.db")), 2);
});

/** One sound database and one that is none, in either order. */
function oneOfTwo(
  folder: string,
  { isBadFirst }: { isBadFirst: boolean },
): { config: string; good: DatabaseSync } {
  const path = (name: string) => join(folder, name);
  const good = openDatabase(path("good.db"));
  writeFileSync(path("bad.db"), "no database at all, but text enough to be looked at. ".repeat(20));
  const entries = ["good", "bad"].map((name) =>
    `  - { path: "${path(`${name}.db`)}", replicas: [{ path: "${
      path(`of-${name}`)
    }", sync-interval: 50ms }] }`
  );
  const config = path("walbrook.yml");
  writeFileSync(
    config,
    ["logging: { stderr: true }", "dbs:", ...isBadFirst ? entries.reverse() : entries, ""].join("\n"),
  );
  return { config, good };
}

test("walbrook replicate follows the others where one database can't be taken up, and its exit code tells of it", async () => {
  for (const isBadFirst of [false, true]) {
    using folder = temporaryFolder();
    const { config, good } = oneOfTwo(folder.path, { isBadFirst });
    using _ = good;
    await using walbrook = Walbrook.start("replicate", "-config", config);
    await walbrook.says("snapshot written");
    await walbrook.says("database is not replicated, the others are");
    good.exec("INSERT INTO t VALUES (2)");
    let tries = 0;
    const restored = () => rowCount(join(folder.path, "of-good"), join(folder.path, `out-${tries++}.db`));
    await until(async () => await restored() === 2, "the row that came later");
    const { code, stderr } = await walbrook.stop();
    assert.equal(code, 1);
    assert.match(stderr, /msg="failed to run" error="\S+bad\.db is not a SQLite database, /);
    assert.equal(existsSync(join(folder.path, "of-bad")), false);
  }
});

test("walbrook replicate -exec runs its program beside a database that can't be taken up", async () => {
  using folder = temporaryFolder();
  const { config, good } = oneOfTwo(folder.path, { isBadFirst: true });
  using _ = good;
  const marker = join(folder.path, "ran");
  const { code, stderr } = await Walbrook.run("replicate", "-exec", `touch ${marker}`, "-config", config);
  assert.ok(existsSync(marker));
  assert.equal(code, 1);
  assert.match(stderr, /msg="failed to run" error="\S+bad\.db is not a SQLite database/);
});

test("walbrook replicate ends at once where no database can be taken up", async () => {
  using folder = temporaryFolder();
  const { config, good } = oneOfTwo(folder.path, { isBadFirst: true });
  good.close();
  writeFileSync(join(folder.path, "good.db"), "nor is this one a database. ".repeat(50));
  const { code, stderr } = await Walbrook.run("replicate", "-config", config);
  assert.equal(code, 1);
  assert.match(stderr, /^walbrook replicate: \S+bad\.db is not a SQLite database, [^\n]*\n$/m);
});

test("walbrook replicate tells why it fails on standard error, wherever its log goes", async () => {
  using folder = temporaryFolder();
  const path = (name: string) => join(folder.path, name);
  for (const isLogThere of [false, true]) {
    const config = path("walbrook.yml");
    const logging = isLogThere ? "logging: { stderr: true }\n" : "";
    const missing = `{ path: "${path("missing.db")}", replicas: [{ path: "${path("none")}" }] }`;
    writeFileSync(config, `${logging}dbs: [${missing}]\n`);
    const once = await Walbrook.run("replicate", "-once", "-config", config);
    assert.equal(once.code, 1);
    const line =
      /^walbrook replicate: \S+missing\.db: nothing is replicated: the database does not exist yet$/m;
    const isTold = isLogThere ? /msg="failed to run"/.test(once.stderr) : line.test(once.stderr);
    assert.ok(isTold && line.test(once.stderr) !== isLogThere, once.stderr);
    const child = await Walbrook.run("replicate", "-exec", "false", "-config", config);
    assert.notEqual(child.code, 0);
    assert.match(
      child.stderr,
      isLogThere ? /failed to run.*exit status 1/ : /^walbrook replicate: exit status 1$/m,
    );
  }
});
