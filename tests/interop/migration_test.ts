/** docs/MIGRATION.md as a user goes through it: over from Litestream 0.3, and back. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { Litestream, litestreamRestore } from "../litestream.ts";
import { Walbrook } from "../walbrook.ts";

function rowsIn(path: string): unknown[] {
  using database = new DatabaseSync(path);
  return database.prepare("SELECT x FROM t ORDER BY rowid").all().map((row) => row["x"]);
}

test("docs/MIGRATION.md: check beside Litestream, change over, look, and go back", async () => {
  using folder = temporaryFolder();
  const [databasePath, replicaPath, configPath] = ["app.db", "replica", "c.yml"].map((name) =>
    join(folder.path, name)
  ) as [string, string, string];
  const litestream = () => Litestream.start({ configPath, databases: [{ databasePath, replicaPath }] });
  using database = new DatabaseSync(databasePath, { timeout: 10_000 });
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES ('first')");
  {
    await using running = litestream();
    await until(() => running.log.includes("snapshot written"), () => running.log);
    const checked = await Walbrook.run("check", "-config", configPath);
    assert.equal(checked.code, 0, checked.stdout + checked.stderr);
    database.exec("INSERT INTO t VALUES ('by Litestream')");
    await running.stop();
  }
  {
    await using walbrook = Walbrook.start("replicate", "-config", configPath);
    await walbrook.prints("replicating to");
    database.exec("INSERT INTO t VALUES ('by walbrook')");
    const { code, stderr } = await walbrook.stop();
    assert.equal(code, 0, stderr);
  }
  const output = join(folder.path, "out.db");
  for (const [args, code] of [[["restore", "-dry-run", "-o", output], 0], [["verify"], 0]] as const) {
    const [command, ...flags] = args;
    const run = await Walbrook.run(command, "-config", configPath, ...flags, databasePath);
    assert.equal(run.code, code, run.stdout + run.stderr);
  }
  {
    await using running = litestream();
    database.exec("INSERT INTO t VALUES ('back')");
    // What Litestream has not begun with when it is stopped it doesn't send.
    await until(() => running.log.includes("wal segment written"), () => running.log);
    await running.stop();
  }
  await litestreamRestore({ replicaPath, outputPath: output });
  assert.deepEqual(rowsIn(output), ["first", "by Litestream", "by walbrook", "back"]);
});

test("docs/MIGRATION.md: what Litestream 0.5 left in the meta directory is in nobody's way", async () => {
  using folder = temporaryFolder();
  const databasePath = join(folder.path, "app.db");
  const replicaPath = join(folder.path, "replica");
  const ltx = join(folder.path, ".app.db-litestream", "ltx", "0");
  mkdirSync(ltx, { recursive: true });
  writeFileSync(join(ltx, "0000000000000001-0000000000000001.ltx"), "LTX1");
  using database = new DatabaseSync(databasePath);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES ('one')");
  const { code, stderr } = await Walbrook.run("replicate", "-once", databasePath, replicaPath);
  assert.equal(code, 0, stderr);
  const output = join(folder.path, "out.db");
  assert.equal((await Walbrook.run("restore", "-o", output, replicaPath)).code, 0);
  assert.deepEqual(rowsIn(output), ["one"]);
});
