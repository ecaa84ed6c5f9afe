/** `replicate -once`. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { Walbrook } from "../walbrook.ts";

function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  return database;
}

async function restoredRows(replica: string, output: string): Promise<unknown> {
  const { code, stderr } = await Walbrook.run("restore", "-o", output, replica);
  assert.equal(code, 0, stderr);
  using database = new DatabaseSync(output);
  return database.prepare("SELECT count(*) AS n FROM t").get()!["n"];
}

test("walbrook replicate -once sends what there is and ends, and nothing the next time (42)", async () => {
  using folder = temporaryFolder();
  const [path, replica] = [join(folder.path, "app.db"), join(folder.path, "backup")];
  using database = openDatabase(path);
  const run = async () => {
    const { code, stderr } = await Walbrook.run("replicate", "-once", path, replica);
    assert.equal(code, 0, stderr);
    return readdirSync(replica, { recursive: true }).sort();
  };
  const objects = await run();
  assert.deepEqual(await run(), objects);
  assert.equal(await restoredRows(replica, join(folder.path, "1.db")), 1);
  database.exec("INSERT INTO t VALUES (1)");
  assert.notDeepEqual(await run(), objects);
  assert.equal(await restoredRows(replica, join(folder.path, "2.db")), 2);
});

test("walbrook replicate -once removes what is past its retention", async () => {
  using folder = temporaryFolder();
  const [path, replica] = [join(folder.path, "app.db"), join(folder.path, "backup")];
  const config = join(folder.path, "walbrook.yml");
  writeFileSync(config, `dbs: [{ path: "${path}", replicas: [{ path: "${replica}", retention: 1ms }] }]`);
  using database = openDatabase(path);
  const generations = [];
  for (let run = 0; run < 2; run++) {
    const { code, stdout } = await Walbrook.run("replicate", "-once", "-config", config);
    assert.equal(code, 0, stdout);
    generations.push(readdirSync(join(replica, "generations")));
    // Nothing watched what comes now, so the next run begins a generation.
    database.exec("INSERT INTO t VALUES (1)");
  }
  assert.deepEqual(generations.map(({ length }) => length), [1, 1]);
  assert.notDeepEqual(generations[0], generations[1]);
});

test("walbrook replicate -once runs no exec of its configuration", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  using _ = openDatabase(path);
  const config = join(folder.path, "walbrook.yml");
  const replica = join(folder.path, "backup");
  writeFileSync(
    config,
    `exec: /bin/echo ran\nlogging: { level: error }\ndbs: [{ path: "${path}", replicas: [{ path: "${replica}" }] }]`,
  );
  const { code, stdout, stderr } = await Walbrook.run("replicate", "-once", "-config", config);
  assert.deepEqual([code, stdout], [0, ""], stderr);
});

test("walbrook replicate -once fails when a replica or a database stayed behind, and serves the others", async () => {
  using folder = temporaryFolder();
  const [path, replica] = [join(folder.path, "app.db"), join(folder.path, "backup")];
  using _ = openDatabase(path);
  const dead = join(folder.path, "file");
  writeFileSync(dead, "");
  const config = join(folder.path, "walbrook.yml");
  writeFileSync(
    config,
    `logging: { stderr: true }
dbs:
  - path: "${path}"
    replicas: [{ path: "${replica}" }, { name: dead, path: "${dead}" }]
  - { path: "${join(folder.path, "missing.db")}", replicas: [{ path: "${join(folder.path, "none")}" }] }
`,
  );
  const { code, stderr } = await Walbrook.run("replicate", "-once", "-config", config);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /msg="failed to run" error=".*app\.db: dead stayed behind: /);
  assert.match(
    stderr,
    /msg="failed to run" error=".*missing\.db: nothing is replicated: the database does not exist yet"/,
  );
  assert.doesNotMatch(stderr, /file stayed behind/);
  assert.equal(await restoredRows(replica, join(folder.path, "out.db")), 1);
});
