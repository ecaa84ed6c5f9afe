/** Where `replicate` logs to, and how. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { loadConfiguration } from "../../src/cli/load_configuration.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { Walbrook } from "../walbrook.ts";

const TEXT = /^time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d) level=(INFO|WARN) msg=/;
const DEFAULT = /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d (INFO|WARN) /;

/** Run `replicate -once` of one database under `logging`; nothing there: without a configuration file. */
async function run(logging: string | undefined) {
  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  const replica = join(folder.path, "backup");
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x)");
  const config = join(folder.path, "walbrook.yml");
  writeFileSync(
    config,
    `logging: ${logging}\ndbs: [{ path: "${path}", replicas: [{ path: "${replica}" }] }]\n`,
  );
  const args = logging === undefined ? [path, replica] : ["-config", config];
  const { code, stdout, stderr } = await Walbrook.run("replicate", "-once", ...args);
  assert.equal(code, 0, stdout + stderr);
  return { stdout: linesOf(stdout), stderr: linesOf(stderr) };
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

test("walbrook replicate logs as text to standard output unless told otherwise (111)", async () => {
  const { stdout, stderr } = await run("{}");
  assert.deepEqual(stderr, []);
  for (const line of stdout) assert.match(line, TEXT);
  const messages = stdout.map((line) => /msg=("[^"]*"|\S+)/.exec(line)![1]);
  for (const message of ["walbrook", '"initialized db"', '"replicating to"', '"walbrook shut down"']) {
    assert.ok(messages.includes(message), message);
  }
});

test("walbrook replicate logs JSON, a record a line (111)", async () => {
  const { stdout } = await run("{ type: json }");
  const records = stdout.map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const record of records) assert.deepEqual(Object.keys(record).slice(0, 3), ["time", "level", "msg"]);
  const place = records.find(({ msg }) => msg === "replicating to")!;
  assert.equal(place["sync-interval"], 1_000_000_000);
});

test("walbrook replicate logs to standard error when told (111)", async () => {
  const { stdout, stderr } = await run("{ stderr: true }");
  assert.deepEqual(stdout, []);
  for (const line of stderr) assert.match(line, TEXT);
});

test("walbrook replicate keeps quiet below its level (111)", async () => {
  const { stdout, stderr } = await run("{ level: ERROR }");
  assert.deepEqual([...stdout, ...stderr], []);
  const debug = await run("{ level: debug }");
  assert.ok(debug.stdout.some((line) => line.includes("level=DEBUG")));
});

test("walbrook replicate without a configuration file logs to standard error in the short form (111)", async () => {
  const { stdout, stderr } = await run(undefined);
  assert.deepEqual(stdout, []);
  for (const line of stderr) assert.match(line, DEFAULT);
});

test("loadConfiguration() logs to standard output apart from results, which are waited with", () => {
  using folder = temporaryFolder();
  const configPath = join(folder.path, "walbrook.yml");
  writeFileSync(configPath, "unheard-of: 1");
  const records: string[] = [];
  const fail = (text: string) => assert.fail(text);
  loadConfiguration({ configPath, isExpanding: true }, {
    writeOutput: fail,
    writeError: fail,
    writeRecord: (text) => records.push(text),
  });
  assert.equal(records.length, 1);
  assert.match(records[0]!, /unheard-of/);
});
