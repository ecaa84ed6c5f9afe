import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HelpRequest } from "../../src/cli/flags.ts";
import { parseVerifyArguments } from "../../src/cli/verify.ts";
import { UsageError } from "../../src/errors.ts";
import { buildReplica } from "../builders/replica_builder.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { Walbrook } from "../walbrook.ts";

const SMALL = { indexCount: 3, segmentsPerIndex: 2, snapshotIndexes: [2], withStates: false, pageSize: 512 };

test("parseVerifyArguments() reads every flag", () => {
  const from = "2000-01-01T00:00:00Z";
  const args = [
    "-replica",
    "s3",
    "-generation",
    "00000000000000aa",
    "-from",
    from,
    "-to",
    from,
    "-deep",
    "-json",
  ];
  assert.deepEqual(
    parseVerifyArguments([...args, "-parallelism=2", "-config", "c.yml", "-no-expand-env", "/data/app.db"]),
    {
      source: { configPath: "c.yml", isExpanding: false, argument: "/data/app.db", replicaName: "s3" },
      generation: "00000000000000aa",
      from: new Date(from),
      to: new Date(from),
      isDeep: true,
      isJson: true,
      parallelism: 2,
    },
  );
});

test("parseVerifyArguments() refuses what can't be done", () => {
  const cases: [string[], RegExp][] = [
    [[], /^database path or replica URL required$/],
    [["/a", "/b"], /^too many arguments$/],
    [["-from", "yesterday", "/a"], /^invalid -from, must specify in ISO 8601/],
    [["-from", "2001-01-01T00:00:00Z", "-to", "2000-01-01T00:00:00Z", "/a"], /^-from is later than -to$/],
    [["-parallelism", "257", "/a"], /^invalid -parallelism 257, at most 256$/],
    [["-config", "c.yml", "file:///a"], /^cannot specify a replica URL and the -config flag$/],
  ];
  for (const [args, message] of cases) {
    assert.throws(() => parseVerifyArguments(args), (error) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
  assert.throws(() => parseVerifyArguments(["-h"]), HelpRequest);
});

test("walbrook verify says in words, JSON and exit codes whether a replica is proven", async () => {
  using folder = temporaryFolder();
  const { root, objects, generation } = await buildReplica({ folder: folder.path, ...SMALL });
  const whole = await Walbrook.run("verify", "-deep", root);
  assert.equal(whole.code, 0, whole.stderr);
  assert.equal(whole.stderr, "");
  assert.match(
    whole.stdout,
    /^ {2}restore points: 8 of 8, from 2026-01-01T00:00:00.000Z to 2026-01-01T00:00:06.000Z$/m,
  );
  assert.match(
    whole.stdout,
    /^ {2}from index to index: 2 steps proven by notes, 0 evident from salts, 0 unproven$/m,
  );
  // Also in an executable: the thread that SQLite checks in has no file there.
  assert.match(whole.stdout, /^ {2}content: 1 snapshot compared page by page, 3 integrity checks$/m);
  assert.match(whole.stdout, /: proven, every restore point can be restored\n$/);

  const { key } = objects[2]!;
  writeFileSync(join(root, key), "");
  const broken = await Walbrook.run("verify", `file://${root}`);
  assert.equal(broken.code, 1);
  assert.match(
    broken.stdout,
    new RegExp(
      `^  DAMAGED ${key}: no LZ4 frame.*\n    restores from 2026-01-01T00:00:01.001Z to before 2026-01-01T00:00:04.000Z are not possible; earlier and later ones are$`,
      "m",
    ),
  );
  assert.match(broken.stdout, /: DAMAGED, 1 object bad or missing, 3 restore points lost\n$/);
  const json = await Walbrook.run("verify", "-json", root);
  assert.equal(json.code, 1);
  const { replicas: [report] } = JSON.parse(json.stdout);
  assert.equal(report.isProven, false);
  assert.equal(report.generations[0].generation, generation);
  assert.equal(report.generations[0].damages[0].key, key);
  assert.equal(report.generations[0].damages[0].cost.until, "2026-01-01T00:00:04.000Z");
});

test("walbrook verify exits with 2 when it can't look", async () => {
  using folder = temporaryFolder();
  const missing = await Walbrook.run("verify", join(folder.path, "nothing"));
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /^walbrook verify: .*nothing: no matching backups found\n$/);
  const wrong = await Walbrook.run("verify", "-parallelism", "x", "/a");
  assert.equal(wrong.code, 2);
});

test("walbrook verify looks at every replica of a database in the configuration", async () => {
  using folder = temporaryFolder();
  const { root } = await buildReplica({ folder: folder.path, ...SMALL });
  const [databasePath, configPath, other] = ["app.db", "walbrook.yml", "other"].map((name) =>
    join(folder.path, name)
  );
  mkdirSync(other!);
  const lines = [
    "dbs:",
    `  - path: ${databasePath}`,
    "    replicas:",
    `      - {name: first, path: ${root}}`,
    `      - {name: second, path: ${other}}`,
  ];
  writeFileSync(configPath!, lines.join("\n"));
  const both = await Walbrook.run("verify", "-config", configPath!, databasePath!);
  assert.equal(both.code, 2);
  assert.match(both.stdout, /proven/);
  assert.match(both.stderr, /other: no matching backups found/);
  const one = await Walbrook.run("verify", "-config", configPath!, "-replica", "first", databasePath!);
  assert.equal(one.code, 0);
});
