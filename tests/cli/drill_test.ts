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
