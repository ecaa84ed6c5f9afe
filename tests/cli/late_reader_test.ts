/** Standard output is a pipe that the parent made non-blocking, and reads late. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { lateReader } from "../doubles/late_reader.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { testedProgram } from "../program.ts";
import { Walbrook } from "../walbrook.ts";

const PIPE_SIZE = 64 * 1024;

/** What comes through when `walbrook` with `args` writes for `seconds` before anybody reads. */
function readLate(seconds: number, ...args: string[]): Uint8Array {
  const { command, options: { cwd } } = testedProgram();
  const [program, ...words] = lateReader(command, { seconds });
  const { status, stdout, stderr } = spawnSync(program, [...words, ...args], { cwd, maxBuffer: 2 ** 26 });
  assert.equal(status, 0, `${stderr}`);
  return stdout;
}

test("walbrook writes a listing whole, however late it is read", () => {
  using folder = temporaryFolder();
  const paths = Array.from({ length: 2_000 }, (_, number) => join(folder.path, `database-${number}.db`));
  const config = join(folder.path, "walbrook.yml");
  writeFileSync(config, `dbs:\n${paths.map((path) => `  - path: ${path}\n`).join("")}`);
  // A log record is given up after a second.
  const text = new TextDecoder().decode(readLate(1.5, "databases", "-json", "-config", config));
  assert.ok(text.endsWith("]\n"), `cut off after ${text.length} bytes`);
  assert.ok(text.length > 2 * PIPE_SIZE);
  assert.deepEqual((JSON.parse(text) as { path: string }[]).map(({ path }) => path), paths);
});

test("walbrook restore -o - writes the database whole, and no byte of it twice, however late it is read", async () => {
  using folder = temporaryFolder();
  const [path, replica, output] = ["app.db", "backup", "out.db"].map((name) => join(folder.path, name));
  using database = new DatabaseSync(path!);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(600000))");
  for (const args of [["replicate", "-once", path!, replica!], ["restore", "-o", output!, replica!]]) {
    const { code, stderr } = await Walbrook.run(...args);
    assert.equal(code, 0, stderr);
  }
  const restored = readLate(0.2, "restore", "-o", "-", replica!);
  assert.ok(Buffer.from(restored).equals(readFileSync(output!)), `${restored.length} bytes`);
});
