import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { testedProgram } from "../program.ts";
import { Walbrook } from "../walbrook.ts";

test("walbrook replicate holds drills at the interval of the configuration", async () => {
  using folder = temporaryFolder();
  const configPath = join(folder.path, "walbrook.yml");
  const path = join(folder.path, "app.db");
  const replica = `{path: ${join(folder.path, "replica")}, drill-interval: 50ms}`;
  writeFileSync(configPath, `logging: {stderr: true}\ndbs: [{path: ${path}, replicas: [${replica}]}]\n`);
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x)");
  await using walbrook = Walbrook.start("replicate", "-config", configPath);
  await walbrook.says("drill passed: the replica restores to the database", 2);
  assert.match(walbrook.lines("drill passed")[0]!, /position=\S+ proven=\d{4}-/);
  assert.equal((await walbrook.stop()).code, 0);
});

test("walbrook replicate answers /health with 503 from a drill that failed until one passes", async () => {
  using folder = temporaryFolder();
  const configPath = join(folder.path, "walbrook.yml");
  const path = join(folder.path, "app.db");
  const replica = { "path": join(folder.path, "replica"), "drill-interval": "50ms" };
  const dbs = [{ path, replicas: [replica] }];
  writeFileSync(configPath, JSON.stringify({ addr: "127.0.0.1:0", logging: { stderr: true }, dbs }));
  using database = new DatabaseSync(path);
  // Which no repair of the replica helps.
  database.exec(`
    PRAGMA journal_mode = wal; CREATE TABLE positive (x CHECK (x > 0)); PRAGMA ignore_check_constraints = on;
    INSERT INTO positive VALUES (-1)`);
  await using walbrook = Walbrook.start("replicate", "-config", configPath);
  await walbrook.says("drill failed");
  assert.match(walbrook.lines("drill failed")[0]!, /ERROR/);
  const base = /url=(\S+)\/metrics/.exec(walbrook.stderr)![1];
  const health = async () => {
    const response = await fetch(`${base}/health`);
    const { healthy, databases } = await response.json();
    return { status: response.status, healthy, replica: databases[0].replicas[0] };
  };
  const failed = await health();
  assert.deepEqual([failed.status, failed.healthy, failed.replica.state], [503, false, "unproven"]);
  assert.match(failed.replica.error, /^drill failed: /);
  assert.equal(failed.replica.last_proven, null);
  database.exec("DELETE FROM positive");
  await walbrook.says("drills pass again");
  const { status, replica: passed } = await health();
  assert.equal(status, 200);
  assert.match(passed.last_proven, /^\d{4}-/);
  assert.equal((await walbrook.stop()).code, 0);
});

test("walbrook replicate restores one replica at a time for drills, however many are due", async () => {
  using folder = temporaryFolder();
  const configPath = join(folder.path, "walbrook.yml");
  const temporary = join(folder.path, "temporary");
  mkdirSync(temporary);
  const databases: DatabaseSync[] = [];
  const dbs = ["a", "b", "c"].map((name) => {
    const path = join(folder.path, `${name}.db`);
    const database = new DatabaseSync(path);
    databases.push(database);
    // Long enough a restore to meet others.
    database.exec(
      "PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(4000000))",
    );
    return { path, replicas: [{ "path": join(folder.path, name), "drill-interval": "20ms" }] };
  });
  try {
    writeFileSync(configPath, JSON.stringify({ logging: { stderr: true }, dbs }));
    const { command, options } = testedProgram();
    const env = { ...options.env ?? process.env, TMPDIR: temporary };
    await using walbrook = Walbrook.startAs(
      { command, options: { ...options, env } },
      "replicate",
      "-config",
      configPath,
    );
    let [most, isEnough] = [0, false];
    while (!isEnough) {
      await delay(2);
      most = Math.max(
        most,
        readdirSync(temporary).filter((name) => name.startsWith("walbrook-validation-")).length,
      );
      isEnough = walbrook.lines("drill passed").length >= 9 || !walbrook.isRunning;
    }
    assert.equal(most, 1, walbrook.stderr);
    assert.equal((await walbrook.stop()).code, 0);
  } finally {
    for (const database of databases) database.close();
  }
});
