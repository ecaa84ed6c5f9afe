/** `replicate` and `restore` by a configuration file. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { makeAgeKey } from "../age.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { testedProgram } from "../program.ts";
import { type Ending, Walbrook } from "../walbrook.ts";

const KEY = makeAgeKey();

/** A folder with a configuration file and its databases `one.db` and `two.db`, two replicas each. */
class Ground implements Disposable {
  readonly #folder = temporaryFolder();
  readonly configPath = this.path("walbrook.yml");

  constructor(extra = "") {
    const databases = ["one", "two"].map((name) => `
  - path: ${this.path(`${name}.db`)}
    replicas:
      - path: ${this.path("backup", name)}
      - name: sealed
        type: file
        path: ${this.path("sealed", name)}
        age:
          identities: ["${KEY.identity}"]
          recipients: ["${KEY.recipient}"]
`);
    writeFileSync(this.configPath, `${extra}\ndbs:${databases.join("")}`, { mode: 0o600 });
  }

  path(...parts: string[]): string {
    return join(this.#folder.path, ...parts);
  }

  /** Begin a database with one row. */
  open(name: string): DatabaseSync {
    const database = new DatabaseSync(this.path(`${name}.db`));
    database.exec(`PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES ('${name}')`);
    return database;
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

function rowsIn(path: string): unknown[] {
  using database = new DatabaseSync(path);
  return database.prepare("SELECT x FROM t ORDER BY rowid").all().map((row) => row["x"]);
}

test("walbrook replicate follows every database of the file to every replica, and restore takes them back", async () => {
  using ground = new Ground("logging: { stderr: true }");
  using one = ground.open("one");
  using two = ground.open("two");
  await using walbrook = Walbrook.start("replicate", "-config", ground.configPath);
  await walbrook.says("snapshot written", 4);
  one.exec("INSERT INTO t VALUES ('more')");
  two.exec("INSERT INTO t VALUES ('more')");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  for (const name of ["one", "two"]) {
    for (const replica of ["file", "sealed"]) {
      const output = ground.path(`${name}-${replica}.db`);
      const { code, stderr } = await Walbrook.run(
        ...["restore", "-config", ground.configPath, "-replica", replica, "-o", output],
        ground.path(`${name}.db`),
      );
      assert.equal(code, 0, stderr);
      assert.deepEqual(rowsIn(output), [name, "more"]);
    }
  }
});

test("walbrook restore takes a database of the file to its own path", async () => {
  using ground = new Ground();
  {
    using _ = ground.open("one");
    await using walbrook = Walbrook.start("replicate", ground.path("one.db"), ground.path("backup", "one"));
    await walbrook.says("snapshot written");
    assert.equal((await walbrook.stop()).code, 0);
  }
  const elsewhere = ground.path("moved.yml");
  const target = ground.path("new", "one.db");
  writeFileSync(
    elsewhere,
    `dbs: [{ path: "${target}", replicas: [{ path: "${ground.path("backup", "one")}" }] }]`,
  );
  const { code, stderr } = await Walbrook.run("restore", "-config", elsewhere, target);
  assert.equal(code, 0, stderr);
  assert.deepEqual(rowsIn(target), ["one"]);
});

test("walbrook restore says which database or replica the file doesn't have (105)", async () => {
  using ground = new Ground();
  const cases: [string[], string][] = [
    [
      ["-o", ground.path("out.db"), ground.path("three.db")],
      `database not found in config: ${ground.path("three.db")} (the file read is ${ground.configPath})`,
    ],
    [
      ["-replica", "s3", ground.path("one.db")],
      `replica "s3" not found for database "${ground.path("one.db")}"`,
    ],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await Walbrook.run("restore", "-config", ground.configPath, ...args);
    assert.equal(code, 1);
    assert.equal(stderr, `walbrook restore: ${message}\n`);
  }
});

test("walbrook names the place of what is wrong in its configuration, and starts nothing (105)", async () => {
  using ground = new Ground("addres: x\nstrict: true");
  const { code, stderr, stdout } = await Walbrook.run("replicate", "-config", ground.configPath);
  assert.equal(code, 1);
  assert.match(stderr, /^walbrook replicate: .*walbrook\.yml:1:1: .*addres/);
  assert.equal(stdout, "");
  const missing = await Walbrook.run("replicate", "-config", ground.path("none.yml"));
  assert.equal(missing.code, 1);
  assert.equal(missing.stderr, `walbrook replicate: config file not found: ${ground.path("none.yml")}\n`);
});

/** Run to the end with `value` as the variable `name`. */
function runWith(name: string, value: string, ...args: string[]): Promise<Ending> {
  const program = testedProgram();
  const env = { ...program.options.env ?? process.env, [name]: value };
  return Walbrook.startAs({ ...program, options: { ...program.options, env } }, ...args).ended;
}

test("walbrook takes no missing database for an empty replica where its configuration file is missing", async () => {
  using ground = new Ground();
  const missing = ground.path("none.yml");
  const database = ground.path("app.db");
  const restore = ["restore", "-if-db-not-exists", "-if-replica-exists", "-o"];
  const cases: [variable: string, args: string[], file: string][] = [
    ["LITESTREAM_CONFIG", [...restore, database, database], missing],
    ["WALBROOK_CONFIG", [...restore, ground.path("out.db"), database], missing],
    ["LITESTREAM_CONFIG", ["snapshots", database], missing],
    // Without a variable what is restored to itself is a database all the same.
    ["OTHER", [...restore, database, database], "/etc/litestream.yml"],
  ];
  for (const [variable, args, file] of cases) {
    const { code, stdout, stderr } = await runWith(variable, missing, ...args);
    assert.equal(stderr, `walbrook ${args[0]}: config file not found: ${file}\n`);
    assert.deepEqual([code, stdout], [1, ""]);
  }
});

test("walbrook replicate logs to standard output in the form that its configuration asks for (case 111)", async () => {
  using ground = new Ground("logging: { type: json, level: error }");
  mkdirSync(ground.path("empty"));
  const config = ground.path("empty", "c.yml");
  writeFileSync(config, "logging: { type: json }\n");
  await using walbrook = Walbrook.start("replicate", "-config", config);
  await walbrook.prints("no databases specified in configuration");
  assert.ok(walbrook.isRunning);
  const { code, stdout, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  for (const line of stdout.trim().split("\n")) JSON.parse(line);
});
