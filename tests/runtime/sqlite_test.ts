import { test } from "node:test";
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { checkIntegrity, classifySqliteError, SqliteConnection } from "../../src/runtime/sqlite.ts";
import { addOwnCollation } from "../builders/own_collation.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

function databaseIn(folder: string): string {
  const path = join(folder, "a 100% ?.db");
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x)");
  for (let row = 0; row < 100; row++) database.prepare("INSERT INTO t VALUES (?)").run("x".repeat(500));
  return path;
}

test("checkIntegrity() passes a sound database and leaves it as it was", async () => {
  using folder = temporaryFolder();
  const path = databaseIn(folder.path);
  const before = readFileSync(path);
  assert.equal(await checkIntegrity(path), "ok");
  assert.ok(readFileSync(path).equals(before));
  assert.equal(existsSync(`${path}-wal`), false);
});

test("checkIntegrity() says what is wrong with a page", async () => {
  using folder = temporaryFolder();
  const path = databaseIn(folder.path);
  const bytes = readFileSync(path);
  bytes.fill(0xff, 4096, 8192);
  writeFileSync(path, bytes);
  assert.match(await checkIntegrity(path), /page 2/);
});

test("checkIntegrity() fails with SQLite's error for what it can't open", async () => {
  using folder = temporaryFolder();
  const missing = join(folder.path, "missing.db");
  await assert.rejects(checkIntegrity(missing), (error) => classifySqliteError(error) === "cannot open");
  assert.equal(existsSync(missing), false);
  const text = join(folder.path, "text");
  writeFileSync(text, "no database".repeat(100));
  await assert.rejects(checkIntegrity(text), (error) => classifySqliteError(error) === "not a database");
});

test("checkIntegrity() can't check a schema that needs what only its application has", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  addOwnCollation(path);
  await assert.rejects(
    checkIntegrity(path),
    (error) => classifySqliteError(error) === "unknown extension" && /: mine$/.test(String(error)),
  );
  const texts = ["unknown function: f()", "no such module: own"];
  for (const text of texts) assert.equal(classifySqliteError(new Error(text)), "unknown extension");
});

test("checkIntegrity() gives up when it is told to", async () => {
  using folder = temporaryFolder();
  const path = databaseIn(folder.path);
  const abort = new AbortController();
  const checked = checkIntegrity(path, { signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(checked, /^Error: enough$/);
  await assert.rejects(checkIntegrity(path, { signal: abort.signal }), /^Error: enough$/);
});

test("shrink() leaves a connection without room for pages that it doesn't read", () => {
  using folder = temporaryFolder();
  const path = databaseIn(folder.path);
  const connections: SqliteConnection[] = [];
  const open = () => {
    const connection = new SqliteConnection(path, { access: "read-only" });
    connections.push(connection);
    connection.shrink();
    connection.exec("BEGIN; PRAGMA user_version");
  };
  try {
    open();
    const before = process.memoryUsage().rss;
    for (let count = 0; count < 300; count++) open();
    // Room for twenty pages each would be 24 MiB more.
    const grownKib = (process.memoryUsage().rss - before) / 1024 / 300;
    assert.ok(grownKib < 110, `${grownKib} KiB`);
    assert.equal(connections.at(-1)!.value("SELECT count(*) FROM t"), 100);
  } finally {
    for (const connection of connections) connection.close();
  }
});

test("shrink() says nothing of what is wrong with a database", () => {
  using folder = temporaryFolder();
  const path = databaseIn(folder.path);
  using application = new DatabaseSync(path);
  application.exec("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE");
  using connection = new SqliteConnection(path, { access: "read-only" });
  connection.shrink();
  assert.throws(
    () => connection.exec("PRAGMA user_version"),
    (error) => classifySqliteError(error) === "busy",
  );
});
