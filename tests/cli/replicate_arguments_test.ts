import { test } from "node:test";
import assert from "node:assert/strict";
import { parseReplicateArguments } from "../../src/cli/replicate.ts";
import { UsageError } from "../../src/errors.ts";

test("parseReplicateArguments() numbers replicas of one type", () => {
  assert.deepEqual(parseReplicateArguments(["app.db", "/a", "file:///b", "../c"]), {
    configPath: undefined,
    isExpanding: true,
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
  assert.deepEqual(parseReplicateArguments([]), { configPath: undefined, isExpanding: true });
  assert.deepEqual(parseReplicateArguments(["-config", "c.yml", "-no-expand-env"]), {
    configPath: "c.yml",
    isExpanding: false,
  });
});

test("parseReplicateArguments() refuses what can't be done", () => {
  const cases: [string[], string][] = [
    [["", "/b"], "database path required"],
    [["/data/app.db"], "must specify at least one replica URL for /data/app.db"],
    [["-config", "c.yml", "app.db", "/b"], "cannot specify a replica URL and the -config flag"],
    [["-exec", "sh", "app.db", "/b"], "-exec: not supported yet: start the program by itself"],
    [
      ["app.db", "gs://b/app"],
      'unknown replica type "gs" in gs://b/app; this version replicates to a folder and to S3: give a path, a file:// or an s3:// URL',
    ],
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
