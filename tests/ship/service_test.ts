import { test } from "node:test";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { recordFigure } from "../figures.ts";
import { root } from "./release.ts";

/** As installed, but for the program, which has to be there for `verify`. */
function unit(): string {
  return readFileSync(join(root, "packaging/walbrook.service"), "utf8")
    .replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`);
}

function analyze(text: string, words: readonly string[]) {
  using folder = temporaryFolder();
  const path = join(folder.path, "walbrook.service");
  writeFileSync(path, text);
  const { status, stdout, stderr } = spawnSync("systemd-analyze", [...words, path], { encoding: "utf8" });
  return { status, output: stdout + stderr };
}

test("walbrook.service pleases systemd-analyze verify, which does complain of what is wrong", () => {
  assert.deepEqual(analyze(unit(), ["verify"]), { status: 0, output: "" });
  const wrong = unit().replace("Restart=always", "Restart=sometimes");
  assert.match(analyze(wrong, ["verify"]).output, /Failed to parse/);
});

test("walbrook.service leaves little exposed", () => {
  const words = ["security", "--offline=true", "--no-pager"];
  const { status, output } = analyze(unit(), words);
  assert.equal(status, 0, output);
  const exposure = Number(/Overall exposure level for \S+: ([\d.]+) OK/.exec(output)?.[1]);
  recordFigure("systemd exposure of the service, of 10", exposure);
  assert.ok(exposure > 0 && exposure <= 1.5, output);
});

test("walbrook.service restarts always and takes secrets from a file", () => {
  assert.match(unit(), /^Restart=always$/m);
  assert.match(unit(), /^EnvironmentFile=-\/etc\/walbrook\/environment$/m);
  assert.doesNotMatch(unit(), /^Environment=/m);
});
