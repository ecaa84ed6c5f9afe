/** Files as people have them, given to Litestream 0.3.13 and to us. */
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Configuration, ReplicaConfig } from "../../src/config/configuration.ts";
import { ConfigurationError } from "../../src/config/finding.ts";
import { readConfiguration } from "../../src/config/read_configuration.ts";
import { formatGoDuration, toNanoseconds } from "../../src/duration.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { litestreamDatabases, litestreamReplicas } from "./litestream.ts";
import { parsed } from "./parsed.ts";

const FOLDER = fileURLToPath(new URL("./files", import.meta.url));
const FILES = readdirSync(FOLDER).sort();

function readWith(path: string, environment: Readonly<Record<string, string>>): Configuration {
  return readConfiguration(path, { lookup: (name) => environment[name] }).configuration;
}

/** The lines of `databases`: paths and names of replicas. */
function tableOf({ databases }: Configuration): string[] {
  return databases.map(({ path, replicas }) =>
    `${path}  ${replicas.map(({ name }) => name).join(",")}`.trim()
  );
}

test("readConfiguration() finds the databases and replicas that Litestream finds", () => {
  assert.ok(FILES.length >= 12);
  using folder = temporaryFolder();
  const environment = { DIR: folder.path };
  for (const file of FILES) {
    const { code, output } = litestreamDatabases(join(FOLDER, file), environment);
    assert.equal(code, 0, `${file}: ${output}`);
    const [header, ...lines] = output.trimEnd().split("\n");
    assert.match(header!, /^path +replicas$/, file);
    const theirs = lines.map((line) => line.trim().replace(/(?<=\.db|\/db) +/, "  "));
    assert.deepEqual(tableOf(readWith(join(FOLDER, file), environment)), theirs, file);
  }
});

/** The facts of a replica that Litestream logs, and we know without the table of S3 hosts. */
function factsOf(replica: ReplicaConfig): Record<string, string> {
  const facts = { name: replica.name, type: replica.type, path: replica.path };
  switch (replica.type) {
    case "file":
      return facts;
    case "s3":
      return {
        ...facts,
        bucket: replica.bucket ?? replica.urlHost ?? "",
        region: replica.region ?? "",
        endpoint: replica.endpoint ?? "",
      };
    case "gcs":
      return { ...facts, bucket: replica.bucket };
    case "abs":
      return { ...facts, bucket: replica.bucket, endpoint: replica.endpoint ?? "" };
    case "sftp":
      return { ...facts, host: replica.host, user: replica.user };
  }
}

test("readConfiguration() gives replicas the settings that Litestream logs", () => {
  let replicaCount = 0;
  for (const file of FILES) {
    using folder = temporaryFolder();
    const environment = { DIR: folder.path };
    const theirs = litestreamReplicas(join(FOLDER, file), environment);
    const ours = readWith(join(FOLDER, file), environment).databases.flatMap(({ replicas }) => replicas);
    assert.equal(theirs.length, ours.length, file);
    ours.forEach((replica, replicaIndex) => {
      const seen = theirs[replicaIndex]!;
      const what = `${file}, replica ${replica.name}`;
      for (const [key, value] of Object.entries(factsOf(replica))) {
        assert.equal(seen[key], value, `${what}: ${key}`);
      }
      const interval = seen["sync-interval"];
      const expected = [
        formatGoDuration(replica.syncIntervalMs),
        String(toNanoseconds(replica.syncIntervalMs)),
      ];
      assert.ok(expected.includes(interval!), `${what}: ${interval}`);
      replicaCount++;
    });
  }
  assert.ok(replicaCount >= 25);
});

test("readConfiguration() reads intervals, limits, credentials and keys of the files as they are meant", () => {
  const environment = { DIR: "/dir" };
  const read = (name: string) => readWith(join(FOLDER, `${name}.yml`), environment).databases;
  const [a, b, c] = read("several_databases");
  assert.deepEqual(
    a!.replicas.map(({ retentionMs, retentionCheckIntervalMs }) => [retentionMs, retentionCheckIntervalMs]),
    [
      [3_600_000, 1_200_000],
      [86_400_000, 3_600_000],
    ],
  );
  const cloud = a!.replicas[1]!;
  assert.ok(cloud.type === "s3");
  assert.equal(cloud.secretAccessKey, "secret/with+signs=");
  assert.deepEqual(
    [b!.monitorIntervalMs, b!.checkpointIntervalMs, b!.minCheckpointPageCount, b!.maxCheckpointPageCount],
    [500, 300_000, 500, 5000],
  );
  assert.deepEqual([b!.replicas[0]!.snapshotIntervalMs, b!.replicas[0]!.validationIntervalMs], [
    43_200_000,
    23_400_000,
  ]);
  assert.deepEqual(c!.replicas, []);
  const minio = read("s3_endpoint")[0]!.replicas[0]!;
  assert.ok(minio.type === "s3");
  assert.deepEqual([minio.forcePathStyle, minio.skipVerify], [true, true]);
  const [encrypted] = read("age");
  assert.deepEqual([encrypted!.replicas[0]!.identities.length, encrypted!.replicas[0]!.recipients.length], [
    2,
    2,
  ]);
  const sftp = read("providers")[0]!.replicas[2]!;
  assert.ok(sftp.type === "sftp");
  assert.deepEqual([sftp.password, sftp.keyPath], ["pass word", "/etc/key"]);
  const [one] = read("anchors");
  assert.deepEqual(one!.replicas.map(({ retentionMs, syncIntervalMs }) => [retentionMs, syncIntervalMs]), [
    [604_800_000, 5_000],
    [604_800_000, 7_000],
  ]);
});

test("readConfiguration() refuses with Litestream's words what Litestream refuses", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "c.yml");
  const replica = (text: string) => `dbs: [{path: /a, replicas: [{${text}}]}]`;
  const files = [
    replica("path: 's3://b/x'"),
    replica("path: /b, age: {identities: ['#']}"),
    replica("path: /b, age: {recipients: ['#']}"),
    replica('path: /b, age: {recipients: ["#\\nage1foo"]}'),
    replica('path: /b, age: {identities: ["\\n\\nfoo"]}'),
    replica("url: 'gs://b/x'"),
    replica("type: webdav"),
    replica("name: x"),
    replica("url: /b/x"),
    ...["file", "s3", "gcs", "abs", "sftp"].map((type) => replica(`url: '${type}://h/x', path: y`)),
    ...["s3", "gcs", "abs"].map((type) => replica(`url: '${type}://h/x', bucket: y`)),
    ...["s3", "gcs", "abs", "sftp"].map((type) => replica(`type: ${type}`)),
    replica("url: 'sftp://h/x', host: y"),
    replica("url: 'sftp://h/x'"),
  ];
  for (const text of files) {
    writeFileSync(path, text);
    const { code, output } = litestreamDatabases(path, {});
    assert.equal(code, 1, text);
    const quoted = /error=("(?:[^"\\]|\\.)*")/.exec(output)![1]!;
    // What comes after age's "malformed" shows bytes of the key; ours says it in other words.
    const theirs = (JSON.parse(quoted) as string).replace(/(malformed secret key): .*/, "$1");
    assert.throws(() => parsed(text), (error) => {
      assert.ok(error instanceof ConfigurationError, text);
      assert.equal(error.findings.length, 1, text);
      assert.ok(error.findings[0]!.message.startsWith(theirs), `${theirs}: ${error.message}`);
      return true;
    });
  }
});
