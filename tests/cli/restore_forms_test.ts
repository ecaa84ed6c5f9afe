/** `walbrook restore -json`, `-dry-run`, `-integrity-check`, `-o -` and `-timestamp`, as a script sees them. */
import { after, test } from "node:test";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { formatIndex } from "../../src/position.ts";
import { snapshotKey } from "../../src/storage/keys.ts";
import { buildReplica, type BuiltReplica, fileHash } from "../builders/replica_builder.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { testedProgram } from "../program.ts";
import { Walbrook } from "../walbrook.ts";

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());

let building: Promise<BuiltReplica> | undefined;

/** Three indexes of three segments with a second snapshot in the middle; never written to. */
function replica(): Promise<BuiltReplica> {
  return building ??= buildReplica({
    folder: folder.path,
    indexCount: 3,
    segmentsPerIndex: 3,
    snapshotIndexes: [1],
  });
}

let outputCount = 0;

function freshOutput(): string {
  return join(folder.path, `out-${outputCount++}.db`);
}

test("walbrook restore -json prints one object that says what was restored", async () => {
  const { root, generation, finalState, pageSize } = await replica();
  const output = freshOutput();
  const { code, stdout, stderr } = await Walbrook.run("restore", "-json", "-o", output, root);
  assert.equal(code, 0, stderr);
  assert.equal(fileHash(output), finalState);
  const summary = JSON.parse(stdout) as Record<string, unknown>;
  assert.equal(summary["restored"], true);
  assert.equal(summary["generation"], generation);
  assert.equal(summary["replica"], "file");
  assert.deepEqual([summary["snapshot_index"], summary["index"], summary["segments"]], [1, 2, 6]);
  assert.equal(Number(summary["page_count"]) * pageSize, readFileSync(output).length);
  assert.equal(summary["output"], output);
  assert.match(stderr, / INFO /);
});

test("walbrook restore -json says what was not restored and why, with exit code 0", async () => {
  const { root } = await replica();
  const existing = freshOutput();
  writeFileSync(existing, "");
  const cases: [string[], string][] = [
    [["-if-db-not-exists", "-o", existing, root], "database already exists, skipping"],
    [["-if-replica-exists", "-o", freshOutput(), `${root}-none`], "no matching backups found"],
  ];
  for (const [args, reason] of cases) {
    const { code, stdout, stderr } = await Walbrook.run("restore", "-json", ...args);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), { restored: false, reason });
  }
});

test("walbrook restore -if-db-not-exists leaves a symbolic link that leads to nothing alone", async () => {
  const { root } = await replica();
  const output = freshOutput();
  symlinkSync(`${output}-elsewhere`, output);
  for (const flags of [[], ["-if-db-not-exists"]]) {
    const { code, stderr } = await Walbrook.run("restore", ...flags, "-o", output, root);
    assert.equal(code, 1, stderr);
    assert.ok(stderr.includes(`cannot restore ${output}: it is a symbolic link, and `), stderr);
    assert.ok(stderr.includes(`give the path of that file, ${output}-elsewhere`), stderr);
    assert.ok(lstatSync(output).isSymbolicLink());
  }
  const { stdout } = await Walbrook.run("restore", "-dry-run", "-o", output, root);
  assert.ok(stdout.includes(`${output}, which exists: restore would refuse`), stdout);
});

test("walbrook restore keeps its log out of the result, whatever the configuration says", async () => {
  const { root } = await replica();
  const config = join(folder.path, "stdout.yml");
  const output = freshOutput();
  writeFileSync(config, `dbs: [{ path: "${output}", replicas: [{ path: "${root}" }] }]`);
  const { code, stdout, stderr } = await Walbrook.run("restore", "-json", "-config", config, output);
  assert.equal(code, 0, stderr);
  assert.equal((JSON.parse(stdout) as Record<string, unknown>)["output"], output);
  assert.match(stderr, /restoring snapshot/);
});

test("walbrook restore -dry-run prints the plan that a restore then carries out, and writes nothing", async () => {
  const { root, objects } = await replica();
  const [, , between] = objects.filter(({ index, offset }) => index === 1 && offset !== undefined);
  const timestamp = new Date(between!.at.getTime() - 1).toISOString();
  for (const how of [[], ["-index", "1"], ["-timestamp", timestamp]]) {
    const output = freshOutput();
    const before = readdirSync(folder.path).sort();
    const planned = await Walbrook.run("restore", "-dry-run", "-json", ...how, "-o", output, root);
    assert.equal(planned.code, 0, planned.stderr);
    assert.deepEqual(readdirSync(folder.path).sort(), before);
    const plan = JSON.parse(planned.stdout) as Record<string, unknown>;
    const done = await Walbrook.run("restore", "-json", ...how, "-o", output, root);
    const summary = JSON.parse(done.stdout) as Record<string, unknown>;
    for (const name of ["replica", "generation", "snapshot_index", "segments", "bytes", "moment", "output"]) {
      assert.deepEqual(plan[name], summary[name], `${name} of ${how.join(" ")}`);
    }
    assert.deepEqual(plan["index_max"], summary["index"]);
    assert.deepEqual([plan["restored"], plan["output_exists"]], [false, false]);
  }
});

test("walbrook restore -dry-run tells people the plan, the moments, and that the output is there", async () => {
  const { root, generation, objects } = await replica();
  const output = freshOutput();
  writeFileSync(output, "");
  const last = objects.at(-1)!;
  const timestamp = new Date(last.at.getTime() - 1).toISOString();
  const { code, stdout, stderr } = await Walbrook.run(
    ...["restore", "-dry-run", "-timestamp", timestamp, "-o", output, root],
  );
  assert.equal(code, 0, stderr);
  const before = objects.at(-2)!;
  for (
    const line of [
      `generation  ${generation}`,
      `wal         index ${formatIndex(1)} to ${formatIndex(2)}, segments: 5`,
      `reaches     ${before.at.toISOString()}`,
      `left out    from ${last.key} on, of ${last.at.toISOString()}`,
      `output      ${output}, which exists: restore would refuse`,
    ]
  ) assert.ok(stdout.split("\n").includes(line), `${line}\n${stdout}`);
  assert.equal(readFileSync(output).length, 0);
});

test("walbrook restore to a moment says which commit it landed on and what comes next", async () => {
  const { root, objects } = await replica();
  const segments = objects.filter(({ offset }) => offset !== undefined);
  const [before, next] = segments.slice(4, 6);
  const timestamp = new Date(next!.at.getTime() - 1).toISOString();
  const output = freshOutput();
  const { code, stderr } = await Walbrook.run("restore", "-timestamp", timestamp, "-o", output, root);
  assert.equal(code, 0, stderr);
  assert.equal(fileHash(output), before!.state);
  const line = stderr.split("\n").find((line) =>
    line.includes("last segment that is complete at the moment")
  );
  for (const at of [before!.at, next!.at]) assert.ok(line?.includes(localSecond(at)), line);
  const later = await Walbrook.run("restore", "-timestamp", "now", "-o", freshOutput(), root);
  assert.equal(later.code, 0, later.stderr);
  assert.match(later.stderr, /restored the newest state: there is nothing after it up to the moment/);
});

/** As logs write it. */
function localSecond(at: Date): string {
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

test("walbrook restore to a moment before all others says which there are", async () => {
  const { root, objects } = await replica();
  const { code, stderr } = await Walbrook.run(
    ...["restore", "-timestamp", "2001-01-01T00:00:00Z", "-o", freshOutput(), root],
  );
  assert.equal(code, 1);
  assert.equal(
    stderr.trim(),
    "walbrook restore: no matching backups found: nothing is as old as 2001-01-01T00:00:00.000Z: the earliest " +
      `moment that can be restored is ${objects[0]!.at.toISOString()}, the latest ${
        objects.at(-1)!.at.toISOString()
      }`,
  );
});

test("walbrook restore -o - writes the database and nothing else to standard output", async () => {
  const { root, finalState } = await replica();
  const temporary = join(folder.path, "temporary");
  mkdirSync(temporary);
  const { command: [path, ...words], options } = testedProgram();
  const { status, stdout, stderr } = spawnSync(
    path,
    [...words, "restore", "-integrity-check", "full", "-o", "-", root],
    {
      ...options,
      env: { ...process.env, ...options.env, TMPDIR: temporary },
      maxBuffer: 1 << 28,
    },
  );
  assert.equal(status, 0, String(stderr));
  assert.equal(createHash("sha256").update(stdout).digest("hex"), finalState);
  assert.match(String(stderr), /integrity check passed/);
  assert.deepEqual(readdirSync(temporary), []);
});

/** A replica of one snapshot: a database with an index that lacks an entry of its table. */
async function damagedReplica(): Promise<string> {
  const generation = "0123456789abcdef";
  const path = join(folder.path, "damaged.db");
  using database = new DatabaseSync(path);
  database.exec("CREATE TABLE t (x); CREATE INDEX i ON t (x); INSERT INTO t VALUES ('entry'), ('other')");
  const bytes = readFileSync(path);
  // Page 3 is the index.
  const at = bytes.indexOf("entry", 8192, "latin1");
  assert.ok(at > 8192);
  bytes.write("ENTRY", at, "latin1");
  const root = join(folder.path, "damaged");
  const key = join(root, snapshotKey({ generation, index: 0 }));
  mkdirSync(join(key, ".."), { recursive: true });
  writeFileSync(key, encodeObjectBytes(bytes));
  return await Promise.resolve(root);
}

test("walbrook restore -integrity-check keeps nothing that fails it", async () => {
  const root = await damagedReplica();
  const run = async (kind: string) => {
    const output = freshOutput();
    const before = readdirSync(folder.path).length;
    const { code, stderr } = await Walbrook.run("restore", "-integrity-check", kind, "-o", output, root);
    return { code, stderr, isThere: existsSync(output), madeCount: readdirSync(folder.path).length - before };
  };
  const full = await run("full");
  assert.deepEqual([full.code, full.isThere, full.madeCount], [1, false, 0]);
  assert.match(full.stderr, /what is restored fails SQLite's full check and is not kept: .*index i/);
  // What quick leaves out.
  assert.deepEqual(await run("quick").then(({ code, isThere, madeCount }) => [code, isThere, madeCount]), [
    0,
    true,
    1,
  ]);
});

test("walbrook restore -integrity-check isn't misled by what another restore left beside the temporary file", async () => {
  const { root, finalState } = await replica();
  const output = freshOutput();
  writeFileSync(`${output}.tmp-wal`, "left by a crash");
  const { code, stderr } = await Walbrook.run("restore", "-integrity-check", "quick", "-o", output, root);
  assert.equal(code, 0, stderr);
  assert.equal(fileHash(output), finalState);
  assert.equal(existsSync(`${output}.tmp-wal`), false);
});
