import { test } from "node:test";
import assert from "node:assert/strict";
import { chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { main } from "../../src/cli/main.ts";
import { makeAgeKey } from "../age.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { type Fault, startFaultProxy } from "../servers/fault_proxy.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio, TEST_KEYS } from "../servers/s3_servers.ts";
import { Walbrook } from "../walbrook.ts";

const minio = oncePerFile(() => startMinio());

interface Row {
  readonly result: string;
  readonly what: string;
  readonly name: string;
  readonly found: string;
}

/** A folder with a database, and a configuration of `text`. */
class Ground implements Disposable {
  readonly #folder = temporaryFolder();
  readonly database = this.path("app.db");
  readonly replica = this.path("backup");
  readonly configPath = this.path("walbrook.yml");

  path(...parts: string[]): string {
    return join(this.#folder.path, ...parts);
  }

  open(): DatabaseSync {
    const database = new DatabaseSync(this.database);
    database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    return database;
  }

  /** Write the configuration. */
  configure(text: string): void {
    writeFileSync(this.configPath, text, { mode: 0o600 });
  }

  /** A configuration of one database with this replica. */
  configureReplica(replica = `path: "${this.replica}"`): void {
    this.configure(`dbs: [{ path: "${this.database}", replicas: [{ ${replica} }] }]\n`);
  }

  async check(...flags: string[]) {
    const ended = { exitCode: -1, output: "", error: "" };
    const output = {
      writeOutput: (text: string) => ended.output += text,
      writeError: (text: string) => ended.error += text,
    };
    ended.exitCode = await main(["check", "-config", this.configPath, ...flags], { output });
    return ended;
  }

  async rows(): Promise<{ exitCode: number; rows: Row[] }> {
    const { exitCode, output, error } = await this.check("-json");
    assert.equal(error, "");
    return { exitCode, rows: JSON.parse(output) as Row[] };
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

test("walbrook check finds all well as root with the files of another user", async () => {
  assert.equal(process.getuid?.(), 0, "this test gives files away: run the tests as root");
  using ground = new Ground();
  ground.configureReplica();
  ground.open().close();
  for (const path of [ground.database, ground.path()]) chownSync(path, 12345, 12345);
  const { exitCode, rows } = await ground.rows();
  assert.equal(exitCode, 0, JSON.stringify(rows));
});

test("walbrook check finds all well, makes nothing, and prints a table", async () => {
  using ground = new Ground();
  ground.configureReplica();
  ground.open().close();
  const before = readdirSync(ground.path()).sort();
  const { exitCode, output } = await ground.check();
  assert.equal(exitCode, 0, output);
  const lines = output.split("\n").map((line) => line.split(/ {2,}/));
  assert.deepEqual(lines.map((cells) => cells.slice(0, 3)), [
    ["result", "what", "name"],
    ["ok", "configuration", ground.configPath],
    ["ok", "database", ground.database],
    ["ok", "replica", `${ground.database} file`],
    [""],
  ]);
  assert.deepEqual(readdirSync(ground.path()).sort(), before);
});

test("walbrook check beside a running walbrook disturbs nothing", async () => {
  using ground = new Ground();
  ground.configure(
    `logging: { stderr: true }\ndbs: [{ path: "${ground.database}", replicas: [{ path: "${ground.replica}" }] }]\n`,
  );
  using database = ground.open();
  await using walbrook = Walbrook.start("replicate", "-config", ground.configPath);
  await walbrook.says("snapshot written");
  // But what the running one is just writing.
  const listed = () =>
    readdirSync(ground.path(), { recursive: true }).map(String).filter((name) => !name.endsWith(".json.tmp"))
      .sort();
  const before = listed();
  const { exitCode, rows } = await ground.rows();
  assert.equal(exitCode, 0);
  assert.match(rows[1]!.found, /^\d+ bytes, pages of 4096, WAL mode$/);
  assert.match(rows[2]!.found, /backup: 1 generation; list, write, read and delete work$/);
  assert.deepEqual(listed(), before);
  database.exec("INSERT INTO t VALUES (2)");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /WARN.*generation|ERROR/);
  assert.equal(readdirSync(join(ground.replica, "generations")).length, 1);
});

test("walbrook check refuses what is only a warning otherwise, and says all that is wrong at once", async () => {
  using ground = new Ground();
  ground.open().close();
  ground.configure(`addres: x
dbs:
  - path: "${ground.database}"
    replicas: [{ path: "${ground.replica}", retentoin: 1h }]
`);
  const doubtful = await ground.rows();
  assert.equal(doubtful.exitCode, 1);
  assert.deepEqual(doubtful.rows.map(({ result, what }) => `${result} ${what}`), [
    "failed configuration",
    "failed configuration",
    "ok database",
    "ok replica",
  ]);
  assert.match(doubtful.rows[0]!.found, /^line 1, column 1: .*addres.*addr/);
  ground.configure(`addr: [1]\ndbs: [{ path: "${ground.database}", monitor-interval: 0 }]\n`);
  const wrong = await ground.rows();
  assert.equal(wrong.exitCode, 1);
  assert.equal(wrong.rows.filter(({ result }) => result === "failed").length, 2);
  ground.configure("logging: { level: info }\n");
  assert.match((await ground.rows()).rows[0]!.found, /no databases specified/);
});

test("walbrook check says what is with a database", async () => {
  using ground = new Ground();
  ground.configureReplica();
  const databaseRow = async () => {
    const { exitCode, rows: [, row] } = await ground.rows();
    return `${exitCode} ${row!.result} ${row!.found}`;
  };
  assert.equal(await databaseRow(), "0 warning the database does not exist yet");
  writeFileSync(ground.database, "");
  assert.match(await databaseRow(), /^0 warning the database is empty/);
  writeFileSync(ground.database, "no database at all, but long enough to be one: ".repeat(9));
  assert.match(await databaseRow(), /^1 failed .*app\.db is not a SQLite database/);
  writeFileSync(ground.database, "");
  using database = new DatabaseSync(ground.database);
  database.exec("CREATE TABLE t (x)");
  assert.match(await databaseRow(), /^0 ok 8192 bytes, pages of 4096, not in WAL mode yet/);
  database.exec("BEGIN EXCLUSIVE");
  assert.match(await databaseRow(), /^0 warning the database is locked/);
});

test("walbrook check tells a database that is gone from one that is still to be made", async () => {
  using ground = new Ground();
  ground.configureReplica();
  mkdirSync(ground.path(".app.db-litestream"));
  writeFileSync(ground.path(".app.db-litestream", "generation"), "0123456789abcdef\n");
  const { exitCode, rows: [, row] } = await ground.rows();
  assert.equal(exitCode, 0);
  assert.match(row!.found, /^the database does not exist any more, and was replicated before/);
});

test("walbrook check says what is with a replica in a folder", async () => {
  using ground = new Ground();
  ground.open().close();
  const replicaRow = async () => {
    const { exitCode, rows } = await ground.rows();
    return `${exitCode} ${rows.at(-1)!.result} ${rows.at(-1)!.found}`;
  };
  ground.configureReplica(`path: "${ground.replica}", must-exist: true`);
  assert.match(await replicaRow(), /^1 failed .*backup/);
  assert.ok(!existsSync(ground.replica));
  mkdirSync(ground.replica);
  assert.match(await replicaRow(), /^0 ok .*backup: 0 generations; list, write, read and delete work$/);
  assert.deepEqual(readdirSync(ground.replica), []);
  writeFileSync(ground.path("file"), "");
  ground.configureReplica(`path: "${ground.path("file")}"`);
  assert.match(await replicaRow(), /^1 failed .*file is not a folder/);
});

test("walbrook check tries the age keys on what is there", async () => {
  using ground = new Ground();
  using _ = ground.open();
  const [right, wrong] = [makeAgeKey(), makeAgeKey()];
  const withKey = ({ identity, recipient }: typeof right) =>
    ground.configureReplica(
      `path: "${ground.replica}", age: { identities: ["${identity}"], recipients: ["${recipient}"] }`,
    );
  withKey(right);
  assert.equal((await Walbrook.run("replicate", "-once", "-config", ground.configPath)).code, 0);
  assert.equal((await ground.rows()).exitCode, 0);
  withKey(wrong);
  const { exitCode, rows } = await ground.rows();
  assert.equal(exitCode, 1);
  assert.match(rows.at(-1)!.found, /snapshot\.lz4: .*(identit|key)/);
  ground.configureReplica();
  assert.match((await ground.rows()).rows.at(-1)!.found, /encrypted/);
});

test("walbrook check refuses age keys with which nothing can be stored", async () => {
  using ground = new Ground();
  ground.open().close();
  ground.configureReplica(`path: "${ground.replica}", age: { identities: ["${makeAgeKey().identity}"] }`);
  const { exitCode, rows } = await ground.rows();
  assert.equal(exitCode, 1);
  assert.equal(rows.at(-1)!.found, "nothing can be stored with age.identities alone: add age.recipients");
});

test("walbrook check tries each right on S3, and takes append-only credentials", async () => {
  const { port, bucket } = await minio();
  using ground = new Ground();
  ground.open().close();
  const proxy = await startFaultProxy({ upstreamPort: port });
  try {
    ground.configureReplica(
      `type: s3, bucket: ${bucket}, path: check, endpoint: "${proxy.endpoint}", ` +
        `access-key-id: ${TEST_KEYS.accessKeyId}, secret-access-key: ${TEST_KEYS.secretAccessKey}`,
    );
    const denied: Fault = {
      act: "answer",
      status: 403,
      body: "<Error><Code>AccessDenied</Code><Message>no</Message></Error>",
    };
    const cases = [
      [undefined, /^0 ok s3:\/\/backup\/check: 0 generations; list, write, read and delete work$/],
      ["LIST", /^1 failed .*s3:ListBucket/],
      ["PUT", /^1 failed .*s3:PutObject/],
      ["GET", /^1 failed .*s3:GetObject/],
      ["DELETE", /^0 warning .*may not delete, so retention can't: write retention: 0/],
    ] as const;
    for (const [kind, expected] of cases) {
      proxy.fault = (request) => request.kind === kind ? denied : undefined;
      const { exitCode, rows } = await ground.rows();
      assert.match(`${exitCode} ${rows.at(-1)!.result} ${rows.at(-1)!.found}`, expected);
      assert.ok(!JSON.stringify(rows).includes(TEST_KEYS.secretAccessKey));
    }
  } finally {
    await proxy.stop();
  }
});
