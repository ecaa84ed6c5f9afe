import { test } from "node:test";
import assert from "node:assert/strict";
import { replicaFields } from "../../src/cli/replica_fields.ts";
import { parsed } from "../config/parsed.ts";

/** What is said of a replica of these keys, but for its name and pace. */
async function placeOf(keys: string): Promise<unknown> {
  const { databases } = parsed(`dbs:\n  - path: /app.db\n    replicas: [{ ${keys} }]\n`, {});
  const { name: _name, type: _type, "sync-interval": _pace, ...place } = await replicaFields(
    databases[0]!.replicas[0]!,
  );
  return place;
}

test("replicaFields() has the keys of each type, and no secret", async () => {
  const cases: [string, unknown][] = [
    ["path: /backup", { path: "/backup" }],
    ["url: 's3://bkt/a/b'", { bucket: "bkt", path: "a/b", region: "", endpoint: "" }],
    [
      "url: 's3://k:secret@bkt.localhost:9000/a'",
      { bucket: "bkt", path: "a", region: "us-east-1", endpoint: "http://localhost:9000" },
    ],
    [
      "type: s3, bucket: bkt, path: a, region: eu-west-1, secret-access-key: x, access-key-id: y",
      { bucket: "bkt", path: "a", region: "eu-west-1", endpoint: "" },
    ],
    [
      "type: s3, bucket: bkt, endpoint: 'http://k:secret@host:1'",
      { bucket: "bkt", path: "", region: "", endpoint: "http://host:1" },
    ],
    [
      "type: s3, bucket: bkt, endpoint: 'http://k:sec/ret@host:1'",
      { bucket: "bkt", path: "", region: "", endpoint: "http://host:1" },
    ],
    ["url: 'gcs://bkt/a'", { bucket: "bkt", path: "a" }],
    [
      "type: abs, bucket: bkt, path: a, account-name: n, account-key: secret",
      { bucket: "bkt", path: "a", endpoint: "" },
    ],
    ["url: 'sftp://user:secret@host:22/a'", { host: "host:22", user: "user", path: "/a" }],
  ];
  for (const [keys, expected] of cases) assert.deepEqual(await placeOf(keys), expected, keys);
});
