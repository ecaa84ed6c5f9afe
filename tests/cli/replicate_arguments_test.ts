import { test } from "node:test";
import assert from "node:assert/strict";
import { parseReplicateArguments } from "../../src/cli/replicate.ts";
import { UsageError } from "../../src/errors.ts";

const NOTHING_ASKED = {
  configPath: undefined,
  isExpanding: true,
  exec: undefined,
  restoresMissing: false,
  isOnce: false,
};

test("parseReplicateArguments() numbers replicas of one type", () => {
  assert.deepEqual(parseReplicateArguments(["app.db", "/a", "file:///b", "../c"]), {
    ...NOTHING_ASKED,
    database: {
      path: "app.db",
      replicas: [
        { name: "file", address: { type: "file", path: "/a" } },
        { name: "file-2", address: { type: "file", path: "/b" } },
        { name: "file-3", address: { type: "file", path: "../c" } },
      ],
    },
  });
});

test("parseReplicateArguments() without arguments asks for the configuration file", () => {
  assert.deepEqual(parseReplicateArguments([]), NOTHING_ASKED);
  assert.deepEqual(parseReplicateArguments(["-config", "c.yml", "-no-expand-env"]), {
    ...NOTHING_ASKED,
    configPath: "c.yml",
    isExpanding: false,
  });
});

test("parseReplicateArguments() takes a program; an empty one is none", () => {
  const { exec, restoresMissing } = parseReplicateArguments(["-exec", "a b", "-restore-if-db-not-exists"]);
  assert.deepEqual([exec, restoresMissing], ["a b", true]);
  assert.deepEqual(parseReplicateArguments(["-exec", ""]), NOTHING_ASKED);
});

test("parseReplicateArguments() refuses what can't be done", () => {
  const cases: [string[], string][] = [
    [["", "/b"], "database path required"],
    [["/data/app.db"], "must specify at least one replica URL for /data/app.db"],
    [["-config", "c.yml", "app.db", "/b"], "cannot specify a replica URL and the -config flag"],
    [
      ["app.db", "gs://b/app"],
      'unknown replica type "gs" in gs://b/app; this version replicates to a folder and to S3: give a path, a file:// or an s3:// URL',
    ],
    [["-once", "-exec", "a"], "cannot specify -once & -exec"],
    [["-x"], "flag provided but not defined: -x"],
  ];
  for (const [args, message] of cases) {
    assert.throws(() => parseReplicateArguments(args), (error) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.equal(error.message, message);
      return true;
    });
  }
});
