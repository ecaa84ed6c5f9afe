import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  findConfigurationPath,
  parseConfiguration,
  readConfiguration,
} from "../../src/config/read_configuration.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { expandInTest, load, parsed, testOptions } from "./parsed.ts";

/** The only replica of `text`. */
function onlyReplica(text: string, environment: Readonly<Record<string, string>> = {}) {
  const [database, ...rest] = parsed(text, environment).databases;
  assert.deepEqual([database?.replicas.length, rest.length], [1, 0], text);
  return database!.replicas[0]!;
}

test("parseConfiguration() fills in every default", () => {
  assert.deepEqual(parsed("dbs: [{path: /a, replicas: [{path: /b}]}]"), {
    path: "c.yml",
    strict: false,
    addr: undefined,
    exec: undefined,
    health: { maxStallMs: 300_000, maxLagMs: 0 },
    logging: { level: "info", type: "text", stderr: false },
    databases: [{
      path: "/a",
      metaPath: undefined,
      monitorIntervalMs: 1_000,
      checkpointIntervalMs: 60_000,
      busyTimeoutMs: 1_000,
      minCheckpointPageCount: 1_000,
      maxCheckpointPageCount: 10_000,
      maxShadowSize: 10 * 2 ** 30,
      truncatePageCount: 500_000,
      at: { line: 1, column: 7 },
      replicas: [{
        type: "file",
        name: "file",
        path: "/b",
        mustExist: false,
        syncIntervalMs: 1_000,
        retentionMs: 86_400_000,
        retentionCheckIntervalMs: 3_600_000,
        snapshotIntervalMs: 0,
        validationIntervalMs: 0,
        drillIntervalMs: 0,
        identities: [],
        recipients: [],
        uploadBandwidth: undefined,
        at: { line: 1, column: 29 },
      }],
    }],
  });
});

test("parseConfiguration() takes an empty file, and one of comments", () => {
  for (const text of ["", "\n", "# nothing\n", "---\n", "~", "dbs:\n", "dbs: []", "logging:\n"]) {
    assert.deepEqual(parsed(text).databases, [], text);
  }
});

test("parseConfiguration() copies global keys to the replicas that lack them (case 94)", () => {
  const { databases } = parsed(`
access-key-id: XXX
secret-access-key: YYY
dbs:
  - path: /a
    replicas:
      - url: s3://foo/bar
  - path: /b
    replicas:
      - url: s3://foo/one
        access-key-id: ZZZ
      - {name: two, url: s3://foo/two, secret-access-key: 1e3}
      - path: /c
`);
  const keys = databases.flatMap(({ replicas }) => replicas)
    .map((replica) => replica.type === "s3" ? [replica.accessKeyId, replica.secretAccessKey] : replica.type);
  assert.deepEqual(keys, [["XXX", "YYY"], ["ZZZ", "YYY"], ["XXX", "1e3"], "file"]);
});

test("parseConfiguration() fills half a pair of keys from the environment", () => {
  const text = "dbs: [{path: /a, replicas: [{url: s3://b/x, access-key-id: A}]}]";
  const cases: [Record<string, string>, string][] = [
    [{ AWS_SECRET_ACCESS_KEY: "aws" }, "aws"],
    [{ LITESTREAM_SECRET_ACCESS_KEY: "ls" }, "ls"],
    [{ AWS_SECRET_ACCESS_KEY: "aws", LITESTREAM_SECRET_ACCESS_KEY: "ls" }, "ls"],
    [{ AWS_SECRET_ACCESS_KEY: "", LITESTREAM_SECRET_ACCESS_KEY: "ls" }, "ls"],
    [{ AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "aws" }, "aws"],
  ];
  for (const [environment, secret] of cases) {
    const replica = onlyReplica(text, environment);
    assert.ok(replica.type === "s3");
    assert.deepEqual([replica.accessKeyId, replica.secretAccessKey], ["A", secret]);
  }
  const none = onlyReplica("dbs: [{path: /a, replicas: [{url: s3://b/x}]}]", {
    AWS_SECRET_ACCESS_KEY: "aws",
  });
  assert.ok(none.type === "s3");
  assert.deepEqual([none.accessKeyId, none.secretAccessKey], [undefined, undefined]);
});

test("parseConfiguration() expands the environment unless told not to (case 95)", () => {
  const text = "dbs: [{path: /$NAME, replicas: [{path: '/${NAME}$UNSET/a$$b'}]}]";
  const options = testOptions({ NAME: "value" });
  const paths = (isExpanding: boolean) => {
    const [database] = parseConfiguration(text, "c.yml", { ...options, isExpanding }).configuration.databases;
    return [database!.path, database!.replicas[0]!.type === "file" ? database!.replicas[0]!.path : ""];
  };
  assert.deepEqual(paths(true), ["/value", "/value/ab"]);
  assert.deepEqual(paths(false), ["/$NAME", "/${NAME}$UNSET/a$$b"]);
});

test("parseConfiguration() takes texts literally, flags and durations by YAML 1.1 (case 96)", () => {
  const replica = onlyReplica(`
dbs:
  - path: /a
    replicas:
      - type: s3
        bucket: 0123
        access-key-id: yes
        secret-access-key: 1e3
        skip-verify: yes
        force-path-style: off
        retention: 1d
        retention-check-interval: 90
        sync-interval: 1e9
        name: 2001-01-01
`);
  assert.ok(replica.type === "s3");
  const {
    bucket,
    accessKeyId,
    secretAccessKey,
    skipVerify,
    forcePathStyle,
    retentionMs,
    syncIntervalMs,
    name,
  } = replica;
  assert.deepEqual(
    { bucket, accessKeyId, secretAccessKey, skipVerify, forcePathStyle, retentionMs, syncIntervalMs, name },
    {
      bucket: "0123",
      accessKeyId: "yes",
      secretAccessKey: "1e3",
      skipVerify: true,
      forcePathStyle: false,
      retentionMs: 86_400_000,
      syncIntervalMs: 1_000,
      name: "2001-01-01",
    },
  );
  assert.equal(replica.retentionCheckIntervalMs, 0.00009);
});

test("parseConfiguration() leaves the host of an s3 URL to the store (case 98)", () => {
  const cases: [string, string, string][] = [
    ["s3://my.bucket.com/db", "my.bucket.com", "db"],
    ["s3://foo.localhost:9000/a//b/../c/", "foo.localhost:9000", "a/c"],
    ["S3://foo", "foo", ""],
  ];
  for (const [url, urlHost, path] of cases) {
    const replica = onlyReplica(`dbs: [{path: /a, replicas: [{url: '${url}'}]}]`);
    assert.ok(replica.type === "s3");
    assert.deepEqual([replica.urlHost, replica.bucket, replica.path], [urlHost, undefined, path]);
  }
});

test("parseConfiguration() splits the URLs of the other stores (case 99)", () => {
  const cases: [string, object][] = [
    ["url: gcs://foo/bar", { type: "gcs", bucket: "foo", path: "bar" }],
    ["type: gcs, bucket: foo, path: /bar/", { type: "gcs", bucket: "foo", path: "/bar/" }],
    ["url: abs://acct@cont/p", { type: "abs", accountName: "acct", bucket: "cont", path: "p" }],
    ["url: abs://acct@cont/p, account-name: other, account-key: k", {
      accountName: "other",
      accountKey: "k",
    }],
    ["url: 'sftp://u:p@h:2222/abs//x'", {
      type: "sftp",
      host: "h:2222",
      user: "u",
      password: "p",
      path: "/abs//x",
    }],
    ["url: 'sftp://u:p@h/abs', user: v, password: q, path: ~", { user: "v", password: "q", path: "/abs" }],
    ["type: sftp, host: h, user: u, key-path: ~/k, path: rel", { host: "h", keyPath: "~/k", path: "rel" }],
  ];
  for (const [text, expected] of cases) {
    const replica = onlyReplica(`dbs: [{path: /a, replicas: [{${text}}]}]`) as unknown as Record<
      string,
      unknown
    >;
    for (const [key, value] of Object.entries(expected)) {
      assert.deepEqual(replica[key], value, `${text} ${key}`);
    }
  }
});

test("parseConfiguration() takes the account key of abs from the environment", () => {
  const text = (more: string) => `dbs: [{path: /a, replicas: [{url: abs://acct@cont/p${more}}]}]`;
  const keyOf = (more: string, environment: Record<string, string>) => {
    const replica = onlyReplica(text(more), environment);
    return replica.type === "abs" ? replica.accountKey : "";
  };
  assert.equal(keyOf("", { LITESTREAM_AZURE_ACCOUNT_KEY: "env" }), "env");
  assert.equal(keyOf(", account-key: own", { LITESTREAM_AZURE_ACCOUNT_KEY: "env" }), "own");
  assert.equal(keyOf("", {}), undefined);
});

test("parseConfiguration() keeps the quirks of file URLs (case 100)", () => {
  const cases: [string, string][] = [
    ["url: 'file:///tmp/my dir'", "/tmp/my%20dir"],
    ["url: 'file://rel/path'", "/rel/path"],
    ["url: 'file:x/y'", "/srv/x/y"],
    ["url: 'FILE:///x', type: s3", "/x"],
    ["path: ~/b/../c/", "/home/app/c"],
    ["path: b", "/srv/b"],
    ["path: '~'", "/home/app"],
    ["path: ~x", "/srv/~x"],
  ];
  for (const [text, path] of cases) {
    const replica = onlyReplica(`dbs: [{path: /a, replicas: [{${text}}]}]`);
    assert.ok(replica.type === "file", text);
    assert.equal(replica.path, path, text);
  }
});

test("parseConfiguration() reads our own keys", () => {
  const { strict, databases } = parsed(`
strict: true
dbs:
  - path: ~/a
    meta-path: /meta/a
    busy-timeout: 5s
    truncate-page-count: 0
    max-checkpoint-page-count: 0
    replicas:
      - {path: /b, must-exist: true, upload-bandwidth: 10M}
      - {url: s3://b/x, profile: p, ca-cert: ~/ca.pem, part-size: 8MiB, concurrency: 3}
`);
  assert.equal(strict, true);
  const [{ path, metaPath, busyTimeoutMs, truncatePageCount, maxCheckpointPageCount, replicas }] =
    databases as [
      typeof databases[number],
    ];
  assert.deepEqual([path, metaPath, busyTimeoutMs, truncatePageCount, maxCheckpointPageCount], [
    "/home/app/a",
    "/meta/a",
    5_000,
    0,
    0,
  ]);
  const [file, s3] = replicas;
  assert.ok(file?.type === "file" && s3?.type === "s3");
  assert.deepEqual([file.mustExist, file.uploadBandwidth], [true, 10_000_000]);
  assert.deepEqual([s3.profile, s3.caCertPath, s3.partSize, s3.concurrency], [
    "p",
    "/home/app/ca.pem",
    8_388_608,
    3,
  ]);
});

test("parseConfiguration() turns off by zero or less what 0.3 turns off so, and caps the retention check", () => {
  const replica = onlyReplica(
    "dbs: [{path: /a, checkpoint-interval: -1s, replicas: [{path: /b, retention: -1h, snapshot-interval: -1s}]}]",
  );
  assert.deepEqual([replica.retentionMs, replica.snapshotIntervalMs, replica.retentionCheckIntervalMs], [
    0,
    0,
    3_600_000,
  ]);
  assert.equal(
    onlyReplica("dbs: [{path: /a, replicas: [{path: /b, retention: 5m}]}]").retentionCheckIntervalMs,
    300_000,
  );
});

test("parseConfiguration() reads logging as 0.3 does", () => {
  const cases: [string, unknown][] = [
    ["{level: DEBUG, type: json, stderr: on}", { level: "debug", type: "json", stderr: true }],
    ["{level: Warning}", { level: "warn", type: "text", stderr: false }],
    ["{level: error, type: ''}", { level: "error", type: "text", stderr: false }],
    ["{level: loud}", { level: "info", type: "text", stderr: false }],
    ["{level: constructor}", { level: "info", type: "text", stderr: false }],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parsed(`logging: ${text}`).logging, expected, text);
});

test("findConfigurationPath() goes by flag, environment and what exists", () => {
  const existing = (...paths: string[]) => ({
    ...systemFiles,
    statSync: (path: string) => paths.includes(path) ? systemFiles.statSync("/") : undefined,
  });
  const find = (flag: string | undefined, environment: Record<string, string>, files = existing()) =>
    findConfigurationPath(flag, { ...testOptions(environment), files });
  assert.equal(find("x.yml", { WALBROOK_CONFIG: "/w" }), "/srv/x.yml");
  assert.equal(find("", { WALBROOK_CONFIG: "~/w", LITESTREAM_CONFIG: "/l" }), "/home/app/w");
  assert.equal(find(undefined, { WALBROOK_CONFIG: "", LITESTREAM_CONFIG: "/l" }), "/l");
  assert.equal(find(undefined, { LITESTREAM_CONFIG: "" }), "/etc/litestream.yml");
  assert.equal(find(undefined, {}, existing("/etc/litestream.yml")), "/etc/litestream.yml");
  assert.equal(
    find(undefined, {}, existing("/etc/walbrook.yml", "/etc/litestream.yml")),
    "/etc/walbrook.yml",
  );
});

test("readConfiguration() names a file that isn't there or can't be read (case 105)", () => {
  using folder = temporaryFolder();
  const missing = join(folder.path, "none.yml");
  assert.throws(() => readConfiguration(missing), {
    name: "UsageError",
    message: `config file not found: ${missing}`,
  });
  assert.throws(() => readConfiguration(folder.path), {
    name: "UsageError",
    message: `read ${folder.path}: is a directory`,
  });
  const broken = join(folder.path, "broken.yml");
  writeFileSync(broken, Uint8Array.of(0x61, 0xff, 0x62));
  assert.throws(() => readConfiguration(broken), {
    name: "UsageError",
    message: `${broken}: cannot read YAML: invalid UTF-8`,
  });
});

test("readConfiguration() reads a pipe", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "pipe");
  execFileSync("mkfifo", [path]);
  const text = `dbs:\n- path: /a\n- path: /b\n# ${"x".repeat(200_000)}\n`;
  writeFileSync(join(folder.path, "text"), text);
  const writer = spawn("sh", ["-c", 'cat text > "$0"', path], { cwd: folder.path });
  const ended = once(writer, "exit");
  const { configuration } = readConfiguration(path, testOptions());
  assert.deepEqual(configuration.databases.map(({ path }) => path), ["/a", "/b"]);
  assert.deepEqual(await ended, [0, null]);
});

test("readConfiguration() takes byte order marks and UTF-16", () => {
  using folder = temporaryFolder();
  const text = "\ufeffdbs: [{path: /é}]";
  const utf16 = Uint8Array.from(text, (mark) => mark.charCodeAt(0));
  const wide = (isBig: boolean) =>
    Uint8Array.from([...utf16].flatMap((code) => isBig ? [0, code] : [code, 0]));
  const big = wide(true);
  const little = wide(false);
  big.set([0xfe, 0xff]);
  little.set([0xff, 0xfe]);
  for (const bytes of [new TextEncoder().encode(text), big, little]) {
    const path = join(folder.path, "c.yml");
    writeFileSync(path, bytes);
    const { configuration, warnings } = readConfiguration(path, {
      lookup: () => undefined,
      expandPath: expandInTest,
    });
    assert.equal(configuration.databases[0]!.path, "/é");
    assert.deepEqual(warnings.map(({ line, column }) => [line, column]), [[1, 7]]);
  }
});

test("parseConfiguration() tells where databases and replicas stand", () => {
  const text =
    "a: &a\n  path: /x\ndbs:\n  - path: /a\n    replicas:\n    -  path: /b\n       name: b\n    - *a\n";
  const [database] = load(text).configuration.databases;
  assert.deepEqual(database!.at, { line: 4, column: 5 });
  assert.deepEqual(database!.replicas.map(({ at }) => at), [{ line: 6, column: 8 }, { line: 2, column: 3 }]);
});
