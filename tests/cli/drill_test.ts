import { test } from "node:test";
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
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
