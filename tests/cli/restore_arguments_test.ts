import { test } from "node:test";
import assert from "node:assert/strict";
import process from "node:process";
import { HelpRequest } from "../../src/cli/flags.ts";
import { parseRestoreArguments, STANDARD_OUTPUT } from "../../src/cli/restore.ts";
import { UsageError } from "../../src/errors.ts";

const GENERATION = "d3fec2d6d6dfa285";

test("parseRestoreArguments() fills in what is not given", () => {
  assert.deepEqual(parseRestoreArguments(["-o", "out.db", "/backup/app"]), {
    source: {
      configPath: undefined,
      isExpanding: true,
      argument: "/backup/app",
      replicaName: undefined,
      takesFolder: true,
    },
    outputPath: "out.db",
    generation: undefined,
    index: undefined,
    timestamp: undefined,
    parallelism: 8,
    ifDatabaseNotExists: false,
    ifReplicaExists: false,
    mode: undefined,
    owner: undefined,
    integrityCheck: undefined,
    isDryRun: false,
    isJson: false,
  });
});

test("parseRestoreArguments() reads every flag", () => {
  const args = [
    ...[
      "-o",
      "out.db",
      "-replica",
      "file",
      "-generation",
      GENERATION,
      "-index",
      "0000000A",
      "-parallelism=2",
    ],
    ...[
      "-if-db-not-exists",
      "-if-replica-exists",
      "-no-expand-env",
      "-v",
      "-mode",
      "0640",
      "-owner",
      "1000:100",
    ],
    ...["-integrity-check", "quick", "-dry-run", "-json"],
    "/data/app.db",
  ];
  assert.deepEqual(parseRestoreArguments(args), {
    source: {
      configPath: undefined,
      isExpanding: false,
      argument: "/data/app.db",
      replicaName: "file",
      takesFolder: true,
    },
    outputPath: "out.db",
    generation: GENERATION,
    index: 10,
    timestamp: undefined,
    parallelism: 2,
    ifDatabaseNotExists: true,
    ifReplicaExists: true,
    mode: 0o640,
    owner: { uid: 1000, gid: 100 },
    integrityCheck: "quick",
    isDryRun: true,
    isJson: true,
  });
});

test("parseRestoreArguments() passes -replica over for a URL, and takes no folder without an output", () => {
  const { source } = parseRestoreArguments(["-o", "x", "-replica", "s3", "file:///b"]);
  assert.equal(source.replicaName, undefined);
  const toItself = parseRestoreArguments(["-config", "c.yml", "/data/app.db"]);
  assert.equal(toItself.outputPath, undefined);
  assert.equal(toItself.source.takesFolder, false);
  assert.equal(toItself.source.configPath, "c.yml");
});

test("parseRestoreArguments() takes no folder where the output is the argument itself", () => {
  const cases: [output: string, argument: string, takesFolder: boolean][] = [
    ["/data/app.db", "/data/app.db", false],
    ["/data/x/../app.db", "/data/app.db/", false],
    ["app.db", `${process.cwd()}/app.db`, false],
    ["/data/app.db", "/data/app", true],
    ["-", "/data/app.db", true],
  ];
  for (const [output, argument, takesFolder] of cases) {
    const { source } = parseRestoreArguments(["-o", output, argument]);
    assert.equal(source.takesFolder, takesFolder, `${output} of ${argument}`);
  }
});

test("parseRestoreArguments() takes a lone dash for standard output", () => {
  assert.equal(parseRestoreArguments(["-o", "-", "/backup"]).outputPath, STANDARD_OUTPUT);
  assert.equal(parseRestoreArguments(["-o", "-", "-dry-run", "-json", "s3://b/x"]).isJson, true);
});

test("parseRestoreArguments() reads indices in hex", () => {
  const cases: [string, number | undefined][] = [
    ["0", 0],
    ["ff", 255],
    ["+10", 16],
    ["00000000000001", 1],
    ["7ffffffe", 0x7ffffffe],
    ["7fffffff", undefined],
  ];
  for (const [text, index] of cases) {
    assert.equal(parseRestoreArguments(["-o", "x", "-index", text, "/b"]).index, index, text);
  }
});

test("parseRestoreArguments() takes no parallelism below one", () => {
  for (const text of ["0", "-5"]) {
    assert.equal(parseRestoreArguments(["-o", "x", `-parallelism=${text}`, "/b"]).parallelism, 1, text);
  }
});

test("parseRestoreArguments() refuses what can't be done", () => {
  const timestamp = "invalid -timestamp, must specify in ISO 8601 format (e.g. 2000-01-01T00:00:00Z)";
  const generation = "a generation is 16 lowercase hex digits";
  const mode = "three octal digits are expected, such as 0640";
  const owner = "a number is expected, or two such as 1000:1000";
  const cases: [string[], string][] = [
    [[], "database path or replica URL required"],
    [["-o", "x"], "database path or replica URL required"],
    [["-o", "x", ""], "database path or replica URL required"],
    [["-o", "", "s3://bucket/app"], "output path required"],
    [["file:///backup"], "output path required"],
    [["/backup", "-o", "x"], "too many arguments"],
    [["-o", "x", "-config", "c.yml", "file:///b"], "cannot specify a replica URL and the -config flag"],
    [
      ["-o", "x", "gcs://bucket/app"],
      "gcs replicas are not in this version yet: gcs://bucket/app; this version replicates to a folder and to S3: give a path, a file:// or an s3:// URL",
    ],
    [["-o", "x", "-index", "zz", "/b"], 'invalid value "zz" for flag -index: invalid hexadecimal format'],
    [["-o", "x", "-index", "0x1", "/b"], 'invalid value "0x1" for flag -index: invalid hexadecimal format'],
    [["-o", "x", "-index", "-1", "/b"], 'invalid value "-1" for flag -index: invalid hexadecimal format'],
    [["-o", "x", "-index", "", "/b"], 'invalid value "" for flag -index: invalid hexadecimal format'],
    [
      ["-o", "x", "-index", "80000000", "/b"],
      'invalid value "80000000" for flag -index: invalid hexadecimal format',
    ],
    [["-o", "x", "-timestamp", "yesterday", "/b"], timestamp],
    [
      ["-o", "x", "-index", "1", "-timestamp", "2000-01-01T00:00:00Z", "/b"],
      "cannot specify index & timestamp to restore",
    ],
    [
      ["-o", "x", "-generation", "latest", "/b"],
      `invalid value "latest" for flag -generation: ${generation}`,
    ],
    [["-o", "x", "-parallelism", "257", "/b"], "invalid -parallelism 257, at most 256"],
    [["-o", "x", "-mode", "0888", "/b"], `invalid value "0888" for flag -mode: ${mode}`],
    [["-o", "x", "-mode", "04755", "/b"], `invalid value "04755" for flag -mode: ${mode}`],
    [["-o", "x", "-owner", "www-data", "/b"], `invalid value "www-data" for flag -owner: ${owner}`],
    [["-o", "x", "-owner", "4294967295", "/b"], `invalid value "4294967295" for flag -owner: ${owner}`],
    [["-o", "-", "-json", "/b"], "-json and -o - would both write to standard output"],
    [["-o", "-", "-mode", "0640", "/b"], "-mode and -owner are for a file, not for standard output"],
    [
      ["-o", "x", "-integrity-check", "deep", "/b"],
      'invalid value "deep" for flag -integrity-check: quick or full is expected',
    ],
    [
      ["-o", "x", "-timestamp", "soon ago", "/b"],
      'invalid -timestamp "soon ago": write how long ago as 10m, 1h30m or 2d',
    ],
    [["-o", "x", "-exec", "sh", "/b"], "flag provided but not defined: -exec"],
  ];
  for (const [args, message] of cases) {
    assert.throws(() => parseRestoreArguments(args), (error) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.equal(error.message, message);
      return true;
    });
  }
});

test("parseRestoreArguments() passes the call for help on", () => {
  assert.throws(() => parseRestoreArguments(["-h"]), HelpRequest);
});
