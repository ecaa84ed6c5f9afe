import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { testedProgram } from "../program.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio, TEST_BUCKET, TEST_KEYS } from "../servers/s3_servers.ts";
import { Walbrook } from "../walbrook.ts";

const minio = oncePerFile(() => startMinio());

/** The program under test with the keys in its environment. */
function programWith(secret: string) {
  const program = testedProgram();
  const env = {
    ...(program.options.env ?? process.env),
    AWS_ACCESS_KEY_ID: TEST_KEYS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: secret,
  };
  return { ...program, options: { ...program.options, env } };
}

test("walbrook replicate and restore take an s3:// URL and credentials from the environment", async () => {
  const { port } = await minio();
  using folder = temporaryFolder();
  const [path, output] = [join(folder.path, "app.db"), join(folder.path, "restored.db")];
  const url = `s3://${TEST_BUCKET}.localhost:${port}/by-url/app`;
  using application = new DatabaseSync(path);
  application.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES ('one')");
  await using walbrook = Walbrook.startAs(programWith(TEST_KEYS.secretAccessKey), "replicate", path, url);
  await walbrook.says("snapshot written");
  application.exec("INSERT INTO t VALUES ('two')");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  const words = ["restore", "-o", output, url];
  const restored = await Walbrook.startAs(programWith(TEST_KEYS.secretAccessKey), ...words).ended;
  assert.equal(restored.code, 0, restored.stderr);
  using database = new DatabaseSync(output);
  assert.deepEqual(database.prepare("SELECT x FROM t").all().map((row) => row["x"]), ["one", "two"]);
  assert.ok(!(stderr + restored.stderr).includes(TEST_KEYS.secretAccessKey));
});

test("walbrook restore from S3 with a wrong secret says so in one line and leaves nothing", async () => {
  const { port } = await minio();
  using folder = temporaryFolder();
  const output = join(folder.path, "restored.db");
  const url = `s3://${TEST_BUCKET}.localhost:${port}/by-url/app`;
  const { code, stderr } = await Walbrook.startAs(programWith("wrong-secret"), "restore", "-o", output, url)
    .ended;
  assert.equal(code, 1);
  assert.equal(stderr.trim().split("\n").length, 1, stderr);
  assert.match(stderr, /signature|secret/i);
  assert.ok(!stderr.includes("wrong-secret"));
});
