/** With `-json` a program reads standard output: nothing else may stand there, whatever the configuration says. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { Walbrook } from "../walbrook.ts";

test("-json leaves standard output to the JSON, and logs go to standard error as configured", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  using application = new DatabaseSync(path);
  application.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  const replica = join(folder.path, "replica");
  const once = await Walbrook.run("replicate", "-once", path, replica);
  assert.equal(once.code, 0, once.stderr);
  const config = join(folder.path, "config.yml");
  // A warning, and a replica that can't be read: both are told.
  writeFileSync(
    config,
    `logging: { type: json, level: debug, stderr: false }
unheard-of: 1
dbs:
  - path: ${path}
    replicas:
      - path: ${replica}
      - { name: dead, path: ${replica}-unmounted, must-exist: true }
`,
  );
  const commands: readonly (readonly [words: readonly string[], code: number])[] = [
    [["databases"], 0],
    [["generations", path], 1],
    [["snapshots", path], 1],
    [["wal", path], 1],
    [["verify", path], 2],
    [["check"], 1],
    [["restore", "-dry-run", "-replica", "file", "-o", `${path}-restored`, path], 0],
    [["restore", "-replica", "file", "-o", `${path}-restored`, path], 0],
  ];
  for (const [[name, ...rest], expected] of commands) {
    const { code, stdout, stderr } = await Walbrook.run(name!, "-json", "-config", config, ...rest);
    assert.equal(code, expected, `${name}: ${stderr}`);
    assert.ok(JSON.parse(stdout), name);
    // `check` tells of these in its own rows.
    if (name === "check") continue;
    const records = stderr.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.match(String(records[0]!["warning"]), /unheard-of/, name);
    const failures = records.filter(({ level }) => level === "ERROR").map(({ replica }) => replica);
    assert.deepEqual(failures, code === 1 ? ["dead"] : [], name);
  }
});
