import { test } from "node:test";
import assert from "node:assert/strict";
import { isReplicaUrl, parseReplicaAddress } from "../../src/cli/replica_address.ts";

test("parseReplicaAddress() takes URLs and paths of folders as they always were", () => {
  const cases: [string, string][] = [
    ["/backup/app", "/backup/app"],
    ["backup", "backup"],
    ["~/backup", "~/backup"],
    ["file:///tmp/x", "/tmp/x"],
    ["FILE:///tmp/x", "/tmp/x"],
    ["file:/tmp/x", "/tmp/x"],
    ["file://rel/path", "/rel/path"],
    ["file:x/y", "x/y"],
    ["file:///tmp/my%20dir", "/tmp/my%20dir"],
    ["file:///tmp/a?b#c", "/tmp/a?b#c"],
  ];
  for (const [text, path] of cases) assert.deepEqual(parseReplicaAddress(text), { type: "file", path }, text);
});

test("parseReplicaAddress() refuses what it doesn't know without showing a password", () => {
  const advice = "give a folder or a file:// URL";
  const cases: [string, string][] = [
    ["ftp://h/x", `ftp://h/x: unknown replica type "ftp": ${advice}`],
    ["sftp://me:secret@h:22/x", `sftp://me:***@h:22/x: unknown replica type "sftp": ${advice}`],
    ["file://", "file://: file replica path required"],
    ["file:", "file:: file replica path required"],
    ["", '"": file replica path required'],
  ];
  for (const [text, message] of cases) assert.throws(() => parseReplicaAddress(text), { message }, text);
});

test("isReplicaUrl() tells URLs from paths", () => {
  assert.deepEqual(["s3://b", "file:x", "file:///x", "S3://b"].map(isReplicaUrl), [true, true, true, true]);
  assert.deepEqual(["/x", "x", "./s3:/x", "C:\\x", ""].map(isReplicaUrl), [
    false,
    false,
    false,
    false,
    false,
  ]);
});
