import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../src/errors.ts";
import {
  isReplicaUrl,
  parseReplicaUrl,
  parseSupportedReplicaUrl,
  type RemoteReplicaUrl,
} from "../../src/storage/replica_url.ts";

test("isReplicaUrl() wants a scheme and two slashes", () => {
  const cases: [string, boolean][] = [
    ["s3://bucket/app", true],
    ["file:///tmp/x", true],
    ["S3://x", true],
    ["gs2_x://", true],
    ["file:/tmp/x", false],
    ["/tmp/x", false],
    ["./s3://x", false],
    ["a-b://x", false],
    ["://x", false],
    ["", false],
  ];
  for (const [text, expected] of cases) assert.equal(isReplicaUrl(text), expected, text);
});

test("parseReplicaUrl() takes a file URL with the quirks of its origin", () => {
  const cases: [string, string][] = [
    ["file:///tmp/x", "/tmp/x"],
    ["file:/tmp/x", "/tmp/x"],
    ["FILE:///tmp/x", "/tmp/x"],
    ["file://rel/path", "/rel/path"],
    ["file:x/y", "x/y"],
    ["file:x//y/../z/", "x/z"],
    ["file:///tmp/my dir", "/tmp/my%20dir"],
    ["file:///tmp/my%20dir", "/tmp/my%20dir"],
    ["file:///tmp/caf\u00e9", "/tmp/caf%C3%A9"],
    ["file:///tmp/a b!(c)+d", "/tmp/a%20b%21%28c%29+d"],
    ["file:///tmp/a!(c)+d", "/tmp/a!(c)+d"],
    ["file:///tmp/%ff", "/tmp/%ff"],
    ["file:///tmp//a/./b/../c/", "/tmp/a/c"],
    ["file:///../../x", "/x"],
    ["file:///tmp/x?a=b", "/tmp/x?a=b"],
    ["file:///tmp/x#part", "/tmp/x#part"],
    ["file:///", "/"],
  ];
  for (const [text, path] of cases) assert.deepEqual(parseReplicaUrl(text), { type: "file", path }, text);
});

test("parseReplicaUrl() takes a plain path as it is", () => {
  for (
    const path of ["/backup/app", "backup", "./a b", "~/x", "/tmp/100%", "C:x", "/a:b/c", "filed/x", "a#b?c"]
  ) {
    assert.deepEqual(parseReplicaUrl(path), { type: "file", path });
  }
});

test("parseReplicaUrl() splits the URL of a server", () => {
  const remote = (url: Partial<RemoteReplicaUrl>) => ({ host: "bkt", path: "", uncleanPath: "", ...url });
  const cases: [string, object][] = [
    ["s3://bkt/a//b/../c/", remote({ type: "s3", path: "a/c", uncleanPath: "/a//b/../c/" })],
    ["s3://bkt/", remote({ type: "s3", uncleanPath: "/" })],
    ["s3://bkt", remote({ type: "s3" })],
    ["S3://bkt/x", remote({ type: "s3", path: "x", uncleanPath: "/x" })],
    [
      "s3://foo.localhost:9000/bar",
      remote({
        type: "s3",
        host: "foo.localhost:9000",
        path: "bar",
        uncleanPath: "/bar",
      }),
    ],
    ["s3://bkt/a@b", remote({ type: "s3", path: "a@b", uncleanPath: "/a@b" })],
    [
      "s3://b.localhost:9/a@b",
      remote({ type: "s3", host: "b.localhost:9", path: "a@b", uncleanPath: "/a@b" }),
    ],
    ["s3://bkt/a%20b?x=y#z", remote({ type: "s3", path: "a b", uncleanPath: "/a b" })],
    ["gcs://foo/bar", remote({ type: "gcs", host: "foo", path: "bar", uncleanPath: "/bar" })],
    ["abs://acct@cont/p", remote({ type: "abs", host: "cont", path: "p", uncleanPath: "/p", user: "acct" })],
    [
      "sftp://u:p%40x@h:2222/abs",
      remote({
        type: "sftp",
        host: "h:2222",
        path: "abs",
        uncleanPath: "/abs",
        user: "u",
        password: "p@x",
      }),
    ],
    [
      "sftp://u:a@b@h/abs//x/",
      remote({
        type: "sftp",
        host: "h",
        path: "abs/x",
        uncleanPath: "/abs//x/",
        user: "u",
        password: "a@b",
      }),
    ],
    [
      "sftp://u:@[::1]:22/x",
      remote({
        type: "sftp",
        host: "[::1]:22",
        path: "x",
        uncleanPath: "/x",
        user: "u",
        password: "",
      }),
    ],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseReplicaUrl(text), expected, text);
});

test("parseReplicaUrl() refuses what names no replica, without a password in the message", () => {
  const cases: [string, RegExp][] = [
    ["", /^replica path required: give a folder, for example \/backup\/app$/],
    ["file:", /^file replica path required: file: names no folder/],
    ["file://", /^file replica path required/],
    ["gs://b/x", /^unknown replica type "gs" in gs:\/\/b\/x; this version replicates to a folder/],
    ["http://u:geheim@h/x", /^unknown replica type "http" in http:\/\/h\/x; /],
    ["s3://u:geheim@b/%zz", /^replica URL s3:\/\/b\/%zz has a % that is no valid escape/],
    ["file:///tmp/a b%zz", /no valid escape/],
    ["s3://b/a\nb", /control character/],
    ["file:///a\u0000b", /control character/],
    ["s3://u:geheim@b:port/x", /^cannot read the host of replica URL s3:\/\/b:port\/x$/],
    [
      "s3://u:geheim/geheim@b/x",
      /^cannot read the host of replica URL s3:\/\/b\/x: write %2F for a \/ in what/,
    ],
    ["s3://u:/geheim@b/x", /^cannot read the host of replica URL s3:\/\/b\/x: write %2F/],
    ["s3://u:12/geheim@b/x", /^cannot read the host of replica URL s3:\/\/b\/x: write %2F/],
    ["s3://u:geheim?geheim#geheim@b/x", /^cannot read the host of replica URL s3:\/\/b\/x: write/],
    ["http://u:geheim/geheim@h/x", /^unknown replica type "http" in http:\/\/h\/x; /],
    ["s3://u:geheim@b/geheim@%zz", /^replica URL s3:\/\/%zz has a %/],
    ["file:///a@b c%zz", /^replica URL file:\/\/\/a@b c%zz has a %/],
    ["s3://a b/x", /^cannot read the host of replica URL s3:\/\/a b\/x$/],
  ];
  for (const [text, expected] of cases) {
    assert.throws(() => parseReplicaUrl(text), (error) => {
      assert.ok(error instanceof UsageError, text);
      assert.match(error.message, expected);
      assert.doesNotMatch(error.message, /geheim|\n/);
      return true;
    });
  }
});

test("parseSupportedReplicaUrl() takes folders and S3, and says what is still to come", () => {
  assert.equal(parseSupportedReplicaUrl("s3://bucket/app").type, "s3");
  assert.deepEqual(parseSupportedReplicaUrl("/backup"), { type: "file", path: "/backup" });
  assert.deepEqual(parseSupportedReplicaUrl("file:///backup"), { type: "file", path: "/backup" });
  for (const type of ["gcs", "abs", "sftp"]) {
    assert.throws(() => parseSupportedReplicaUrl(`${type}://u:geheim@h/x`), {
      name: "UsageError",
      message: `${type} replicas are not in this version yet: ${type}://h/x; ` +
        "this version replicates to a folder and to S3: give a path, a file:// or an s3:// URL",
    });
  }
});
