import { test } from "node:test";
import assert from "node:assert/strict";
import { HelpRequest } from "../../src/cli/flags.ts";
import { parseRestoreArguments, parseTimestamp } from "../../src/cli/restore.ts";
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

test("parseTimestamp() reads moments with a zone", () => {
  const cases: [string, string][] = [
    ["2000-01-01T00:00:00Z", "2000-01-01T00:00:00.000Z"],
    ["2000-01-01T00:00:00.5Z", "2000-01-01T00:00:00.500Z"],
    ["2000-01-01T00:00:00,25Z", "2000-01-01T00:00:00.250Z"],
    ["2000-01-01T00:00:00.123999999Z", "2000-01-01T00:00:00.123Z"],
    ["2000-01-01T00:00:00+02:00", "1999-12-31T22:00:00.000Z"],
    ["2000-01-01T00:00:00-05:30", "2000-01-01T05:30:00.000Z"],
    ["2024-02-29T23:59:59Z", "2024-02-29T23:59:59.000Z"],
  ];
  for (const [text, at] of cases) assert.equal(parseTimestamp(text).toISOString(), at);
});

test("parseTimestamp() refuses moments that don't exist or have no zone", () => {
  const cases = [
    "",
    "2000-01-01",
    "2000-01-01T00:00:00",
    "2000-01-01 00:00:00Z",
    "2000-01-01t00:00:00z",
    "2000-01-01T00:00Z",
    "2000-01-01T00:00:00.Z",
    "2000-13-01T00:00:00Z",
    "2000-00-10T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2000-04-31T00:00:00Z",
    "2000-01-01T24:00:00Z",
    "2000-01-01T00:60:00Z",
    "2000-01-01T00:00:60Z",
    "2000-01-01T00:00:00+24:00",
    "2000-01-01T00:00:00+01:60",
    "2000-01-01T00:00:00+0100",
    "12000-01-01T00:00:00Z",
    "2000-01-01T00:00:00Z\n",
  ];
  for (const text of cases) assert.throws(() => parseTimestamp(text), UsageError, text);
});
