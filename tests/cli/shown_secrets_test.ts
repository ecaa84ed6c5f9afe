import { test } from "node:test";
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { Walbrook } from "../walbrook.ts";

test("walbrook replicate warns of a configuration file with secrets that others may read", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "walbrook.yml");
  const secret = "an-access-key-that-nobody-else-knows";
  const replica = `{ type: file, path: ${folder.path}/replica }`;
  const lines = [
    "logging: { stderr: true }",
    "access-key-id: somebody",
    `secret-access-key: ${secret}`,
    `dbs: [{ path: ${folder.path}/app.db, replicas: [${replica}] }]`,
  ];
  writeFileSync(path, lines.join("\n"));
  for (const { mode, count } of [{ mode: 0o644, count: 1 }, { mode: 0o600, count: 0 }]) {
    chmodSync(path, mode);
    await using walbrook = Walbrook.start("replicate", "-config", path);
    await walbrook.says("replicating to");
    const { stderr } = await walbrook.stop();
    const told = stderr.split("\n").filter((line) => line.includes("others than its owner may open"));
    assert.equal(told.length, count, stderr);
    for (const line of told) assert.match(line, /level=WARN .*walbrook\.yml.*mode 0644.*chmod 600/);
    assert.ok(!stderr.includes(secret));
  }
});
