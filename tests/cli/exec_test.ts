/** `replicate -exec`: real children, real signals. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import process from "node:process";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { testedProgram } from "../program.ts";
import { Walbrook } from "../walbrook.ts";

/** A folder with a database of one row, its replica, and scripts for children. */
class Ground implements Disposable {
  readonly #folder = temporaryFolder();
  readonly database = this.path("app.db");
  readonly replica = this.path("backup");

  path(...parts: string[]): string {
    return join(this.#folder.path, ...parts);
  }

  /** Begin the database. */
  open(): DatabaseSync {
    const database = new DatabaseSync(this.database);
    database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES ('first')");
    return database;
  }

  /** A shell script, as the words of `-exec`. */
  script(text: string): string {
    const path = this.path("child.sh");
    // The program under test may have been started with an empty PATH.
    writeFileSync(path, `#!/bin/sh\nPATH=/usr/bin:/bin\n${text}\n`);
    chmodSync(path, 0o755);
    return `"${path}"`;
  }

  start(exec: string, ...flags: string[]): Walbrook {
    return Walbrook.start("replicate", ...flags, "-exec", exec, this.database, this.replica);
  }

  /** What the replica restores to. */
  async restored(): Promise<unknown[]> {
    const output = this.path(`restored-${performance.now()}.db`);
    const { code, stderr } = await Walbrook.run("restore", "-o", output, this.replica);
    assert.equal(code, 0, stderr);
    return rowsIn(output);
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

function rowsIn(path: string): unknown[] {
  using database = new DatabaseSync(path);
  return database.prepare("SELECT x FROM t ORDER BY rowid").all().map((row) => row["x"]);
}

test("walbrook replicate -exec ends as its child ends, with its exit code, and all is in the replica (case 107)", async () => {
  for (const [exec, expected, messages] of [["true", 0, []], ["exit 3", 3, ["exit status 3"]]] as const) {
    using ground = new Ground();
    using _ = ground.open();
    await using walbrook = ground.start(ground.script(exec));
    const { code, stderr } = await walbrook.ended;
    assert.equal(code, expected, stderr);
    assert.match(stderr, /INFO subprocess exited, walbrook shutting down\n/);
    assert.match(stderr, /INFO walbrook shut down\n/);
    assert.deepEqual(
      [...stderr.matchAll(/ERROR failed to run error="(.*)"/g)].map((found) => found[1]),
      messages,
    );
    assert.deepEqual(await ground.restored(), ["first"]);
  }
});

test("walbrook replicate -exec tells of a child that was killed as a shell does", async () => {
  using ground = new Ground();
  using _ = ground.open();
  const { code, stderr } = await ground.start(ground.script("kill -9 $$")).ended;
  assert.equal(code, 137, stderr);
  assert.match(stderr, /ERROR failed to run error="killed by SIGKILL"/);
});

test("walbrook replicate -exec keeps what a child that makes the database commits and is gone at once", async () => {
  using ground = new Ground();
  const code = `
    import { DatabaseSync } from "node:sqlite";
    import process from "node:process";
    const database = new DatabaseSync(${JSON.stringify(ground.database)});
    database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES ('of the child')");
    process.exit(0);
  `;
  writeFileSync(ground.path("child.mjs"), code);
  const isBun = process.versions["bun"] !== undefined;
  const words = [process.execPath, ...(isBun ? [] : ["run", "-A", "--no-config"]), ground.path("child.mjs")];
  const { code: exitCode, stderr } = await ground.start(words.join(" ")).ended;
  assert.equal(exitCode, 0, stderr);
  assert.deepEqual(await ground.restored(), ["of the child"]);
});

test("walbrook replicate -exec passes each signal on, waits for the child and sends what it commits last (case 107)", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    using ground = new Ground();
    using database = ground.open();
    const [name] = signal.slice(3).split(" ");
    const exec = ground.script(
      `trap 'echo got ${name}; while ! test -e ${ground.path("go")}; do sleep 0.02; done; exit 0' ${name}
       echo ready; while :; do sleep 0.02; done`,
    );
    await using walbrook = ground.start(exec);
    await walbrook.prints("ready");
    walbrook.signal(signal);
    await walbrook.prints(`got ${name}`);
    await walbrook.says("waiting for exec process to close");
    database.exec("INSERT INTO t VALUES ('last')");
    assert.ok(walbrook.isRunning);
    writeFileSync(ground.path("go"), "");
    const { code, stderr } = await walbrook.ended;
    assert.equal(code, 0, stderr);
    for (const text of ["signal received, walbrook shutting down", "sending signal to exec process"]) {
      assert.equal(walbrook.lines(text).length, 1, text);
    }
    assert.deepEqual(await ground.restored(), ["first", "last"]);
  }
});

test("walbrook replicate -exec is fine with a child that dies of the signal (case 107)", async () => {
  using ground = new Ground();
  using _ = ground.open();
  await using walbrook = ground.start(ground.script("echo ready; exec sleep 60"));
  await walbrook.prints("ready");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /ERROR/);
});

test("walbrook replicate -exec closes and sends all when the child fails on the signal (11.16)", async () => {
  using ground = new Ground();
  using database = ground.open();
  await using walbrook = ground.start(
    ground.script("trap 'exit 5' TERM; echo ready; while :; do sleep 0.02; done"),
  );
  await walbrook.prints("ready");
  database.exec("INSERT INTO t VALUES ('last')");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 5, stderr);
  assert.match(stderr, /ERROR failed to run error="cannot wait for exec process: exit status 5"/);
  assert.deepEqual(await ground.restored(), ["first", "last"]);
});

test("walbrook replicate -exec kills a child that doesn't end at a second signal, and still sends all", async () => {
  using ground = new Ground();
  using _ = ground.open();
  await using walbrook = ground.start(
    ground.script("trap 'echo not now' TERM; echo ready $$; while :; do sleep 0.02; done"),
  );
  await walbrook.prints("ready");
  walbrook.signal("SIGTERM");
  await walbrook.prints("not now");
  await walbrook.says("waiting for exec process to close");
  const { code, stdout, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  const pid = Number(/ready (\d+)/.exec(stdout)![1]);
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
  assert.deepEqual(await ground.restored(), ["first"]);
});

test("walbrook replicate -exec fails when the last commits can't be sent, though the child succeeded", async () => {
  using ground = new Ground();
  using _ = ground.open();
  // A file where the replica's folder would be.
  writeFileSync(ground.replica, "");
  const { code, stderr } = await ground.start(ground.script("true")).ended;
  assert.equal(code, 1, stderr);
  assert.equal(
    stderr.match(/ERROR failed to run error=.*the last commits are not in file/g)?.length,
    1,
    stderr,
  );
});

test("walbrook replicate -exec sends all when the child ends by itself, also what takes longer than the last tries", async () => {
  using ground = new Ground();
  using database = ground.open();
  database.exec("INSERT INTO t VALUES (randomblob(1000000)); PRAGMA wal_checkpoint(TRUNCATE)");
  // Ten seconds for the first snapshot; after a signal it would have eight.
  const config = ground.path("walbrook.yml");
  const replica = `{ path: "${ground.replica}", upload-bandwidth: 100k }`;
  writeFileSync(
    config,
    `logging: { stderr: true }\ndbs: [{ path: "${ground.database}", replicas: [${replica}] }]\n`,
  );
  const { code, stderr } = await Walbrook.run("replicate", "-config", config, "-exec", ground.script("true"));
  assert.equal(code, 0, stderr);
  assert.deepEqual(await ground.restored(), rowsIn(ground.database));
});

test("walbrook replicate -exec says what can't be run, and leaves nothing behind (case 108)", async () => {
  using ground = new Ground();
  using _ = ground.open();
  for (
    const [exec, message] of [
      ["/no/such/program", "cannot start exec command: /no/such/program: there is no such program"],
      [ground.database, `cannot start exec command: ${ground.database}: it is not executable`],
      ["'open", "cannot parse exec command: invalid command line string"],
      ["  ", "exec command is blank"],
    ] as const
  ) {
    const { code, stderr } = await ground.start(exec).ended;
    assert.equal(code, 1, stderr);
    assert.ok(stderr.includes(message), stderr);
  }
});

test("walbrook replicate -exec runs only what stands before && (case 108)", async () => {
  using ground = new Ground();
  using _ = ground.open();
  const exec = `${ground.script("echo $# arguments: $1")} 'one word' && touch ${ground.path("second")}`;
  const { code, stdout, stderr } = await ground.start(exec).ended;
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "1 arguments: one word\n");
  assert.match(stderr, /WARN exec runs no shell.* ignored="&& touch /);
  assert.ok(!existsSync(ground.path("second")));
});

test("walbrook replicate -exec gives its child the environment with AWS's names, no input and none of our files", async () => {
  using ground = new Ground();
  using _ = ground.open();
  const { command: [program, ...words] } = testedProgram();
  const exec = ground.script(`
    echo id=$AWS_ACCESS_KEY_ID secret=$AWS_SECRET_ACCESS_KEY own=$OWN
    wc -c
    ls -l /proc/self/fd > ${ground.path("fds")}
  `);
  const env = {
    ...process.env,
    OWN: "kept",
    LITESTREAM_ACCESS_KEY_ID: "the id",
    LITESTREAM_SECRET_ACCESS_KEY: "the secret",
    AWS_SECRET_ACCESS_KEY: "",
  };
  await using walbrook = Walbrook.startAs(
    { command: [program, ...words], options: { env } },
    ...["replicate", "-exec", exec, ground.database, ground.replica],
  );
  const { code, stdout, stderr } = await walbrook.ended;
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "id=the id secret= own=kept\n0\n");
  assert.ok(!readFileSync(ground.path("fds"), "utf8").includes("app.db"));
});

test("walbrook replicate runs exec of the configuration file, and -exec in its place", async () => {
  using ground = new Ground();
  using _ = ground.open();
  const config = ground.path("walbrook.yml");
  writeFileSync(
    config,
    `exec: /bin/echo of the file\nlogging: { stderr: true }\ndbs: [{ path: "${ground.database}", replicas: [{ path: "${ground.replica}" }] }]\n`,
  );
  const inFile = await Walbrook.run("replicate", "-config", config);
  assert.deepEqual([inFile.code, inFile.stdout], [0, "of the file\n"], inFile.stderr);
  const flag = await Walbrook.run("replicate", "-config", config, "-exec", "/bin/echo of the flag");
  assert.deepEqual([flag.code, flag.stdout], [0, "of the flag\n"], flag.stderr);
});

test("walbrook replicate -restore-if-db-not-exists restores what is missing before the child starts", async () => {
  using ground = new Ground();
  {
    using _ = ground.open();
    assert.equal((await ground.start(ground.script("true")).ended).code, 0);
  }
  const moved = ground.path("moved", "app.db");
  const exec = ground.script(
    `test -s ${moved} && echo there; test -e ${ground.path("other.db")} || echo not there`,
  );
  const config = ground.path("walbrook.yml");
  writeFileSync(
    config,
    `logging: { stderr: true }
dbs:
  - { path: "${moved}", replicas: [{ path: "${ground.replica}" }] }
  - { path: "${ground.path("other.db")}", replicas: [{ path: "${ground.path("none")}" }] }
`,
  );
  const flags = ["replicate", "-restore-if-db-not-exists", "-config", config, "-exec", exec];
  const first = await Walbrook.run(...flags);
  // The other one was never there, and so is not in its replica: that is no failure.
  assert.deepEqual([first.code, first.stdout], [0, "there\nnot there\n"], first.stderr);
  assert.match(first.stderr, /msg="no matching backups found" path=.*other\.db/);
  assert.deepEqual(rowsIn(moved), ["first"]);
  const second = await Walbrook.run(...flags);
  assert.equal(second.code, 0, second.stderr);
  assert.match(second.stderr, /msg="database already exists, skipping" path=.*moved/);
});

test("walbrook replicate -restore-if-db-not-exists starts nothing when a replica can't be read", async () => {
  using ground = new Ground();
  writeFileSync(ground.replica, "");
  await using walbrook = ground.start(
    ground.script(`touch ${ground.path("ran")}`),
    "-restore-if-db-not-exists",
  );
  const { code, stderr } = await walbrook.ended;
  assert.equal(code, 1);
  assert.match(stderr, /walbrook replicate: restoring \S*app\.db, which was missing: .*backup/);
  assert.ok(!existsSync(ground.path("ran")));
});

test("walbrook replicate has copied what is committed before the child starts (11.34)", async () => {
  using ground = new Ground();
  using _ = ground.open();
  const exec = ground.script(`ls ${ground.path(".app.db-litestream")}`);
  const { code, stdout, stderr } = await ground.start(exec).ended;
  assert.equal(code, 0, stderr);
  assert.ok(stdout.split("\n").includes("generation"), stdout);
});
