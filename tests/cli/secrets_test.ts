/** Secrets are nowhere in logs, `/metrics` and `/health`, whatever goes wrong. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import process from "node:process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makeAgeKey } from "../age.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { testedProgram } from "../program.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio, TEST_BUCKET } from "../servers/s3_servers.ts";
import { Walbrook } from "../walbrook.ts";
import { foundSecrets, randomSecret } from "./secret_search.ts";

const minio = oncePerFile(() => startMinio());

/** Start the program with more in its environment. */
function startWith(environment: Readonly<Record<string, string>>, ...args: string[]): Walbrook {
  const program = testedProgram();
  const env = { ...program.options.env ?? process.env, ...environment };
  return Walbrook.startAs({ ...program, options: { ...program.options, env } }, ...args);
}

/** Everything that a run of some seconds says, with the metrics and health that it shows. */
async function saidBy(
  configPath: string,
  { environment, failures }: { environment: Readonly<Record<string, string>>; failures: number },
): Promise<string> {
  await using walbrook = startWith(environment, "replicate", "-config", configPath);
  await walbrook.says("serving metrics on");
  const url = /url=(\S+)\/metrics/.exec(walbrook.stderr)![1]!;
  await walbrook.says("snapshot written");
  await until(
    () => walbrook.lines("monitor error").length >= failures,
    () => `failures:\n${walbrook.stderr}`,
  );
  const shown: string[] = [];
  for (const path of ["/metrics", "/health"]) shown.push(await (await fetch(url + path)).text());
  walbrook.signal("SIGTERM");
  await walbrook.says("shutting down");
  // Its last tries would go on for seconds.
  const { stdout, stderr } = await walbrook.stop();
  for (const text of [stderr, ...shown]) assert.ok(text.includes("app.db"), text);
  return [stdout, stderr, ...shown].join("\n");
}

/** A database beside a configuration with every kind of secret; one `planted` stands where it is shown. */
async function searchRun({ planted }: { planted?: string } = {}): Promise<string[]> {
  using folder = temporaryFolder();
  const { endpoint } = await minio();
  using database = new DatabaseSync(join(folder.path, "app.db"));
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  const age = makeAgeKey();
  const secrets = {
    top: randomSecret(),
    file: randomSecret(),
    replica: randomSecret(),
    expanded: randomSecret(),
    unused: randomSecret(),
    token: randomSecret(),
    identity: age.identity,
    planted: planted ?? randomSecret(),
  };
  const secretPath = join(folder.path, "key");
  writeFileSync(secretPath, `${secrets.file}\n`, { mode: 0o600 });
  const s3 = (name: string, keys: Record<string, string>) => ({
    name,
    type: "s3",
    bucket: TEST_BUCKET,
    path: name,
    endpoint,
    region: "us-east-1",
    ...keys,
  });
  const configPath = join(folder.path, "walbrook.yml");
  const configuration = {
    addr: "127.0.0.1:0",
    logging: { level: "debug", stderr: true },
    "access-key-id": "walbrook-test",
    "secret-access-key": secrets.top,
    dbs: [{
      path: join(folder.path, "app.db"),
      replicas: [
        {
          path: join(folder.path, planted === undefined ? "sealed" : planted.replaceAll("/", "-")),
          age: { identities: [age.identity], recipients: [age.recipient] },
        },
        s3("by-top", {}),
        s3("by-file", { "access-key-id": "walbrook-test", "secret-access-key-file": secretPath }),
        s3("by-replica", { "access-key-id": "unknown", "secret-access-key": secrets.replica }),
        s3("by-environment", { "access-key-id": "walbrook-test", "secret-access-key": "${MY_SECRET}" }),
      ],
    }],
  };
  writeFileSync(configPath, JSON.stringify(configuration), { mode: 0o600 });
  const said = await saidBy(configPath, {
    failures: 4,
    environment: {
      MY_SECRET: secrets.expanded,
      AWS_ACCESS_KEY_ID: "unused",
      AWS_SECRET_ACCESS_KEY: secrets.unused,
      AWS_SESSION_TOKEN: secrets.token,
    },
  });
  return foundSecrets(said, secrets);
}

test("walbrook replicate shows no secret at level debug, not even of keys that are refused", async () => {
  assert.deepEqual(await searchRun(), []);
});

test("the search finds a secret that was put into a replica's path", async () => {
  assert.deepEqual(await searchRun({ planted: randomSecret().replaceAll("/", "-") }), ["planted"]);
});

test("foundSecrets() finds a part of a secret, in each form", () => {
  const secret = "abcdefgh/+ijklmnopqrstuvwxyz";
  const cases = [
    secret,
    secret.slice(3, 15),
    `x=${encodeURIComponent(secret)}`,
    `Basic ${Buffer.from(secret).toString("base64")}`,
  ];
  for (const text of cases) {
    assert.deepEqual(foundSecrets(`before ${text} after`, { secret }), ["secret"], text);
  }
  assert.deepEqual(foundSecrets(secret.slice(0, 11), { secret }), []);
});

/** What is said until the program ends, or waits for the database that isn't there. */
async function refusalOrStart(...args: string[]): Promise<string> {
  await using walbrook = Walbrook.start(...args);
  await until(
    () => !walbrook.isRunning || walbrook.lines("waiting for the database").length > 0,
    () => `the program to end or to wait:\n${walbrook.stderr}`,
  );
  const { stdout, stderr } = await walbrook.stop();
  assert.notEqual(stderr, "");
  return stdout + stderr;
}

/** Replicas, each with the secret in a wrong place or in a file that is refused. */
const REFUSED: readonly ((secret: string) => string)[] = [
  (secret) => `url: "s3://key:${secret}@bucket/path"`,
  (secret) => `url: "sftp://user:${secret}@host:22/path"`,
  (secret) => `url: "abs://account:${secret}@container/path"`,
  (secret) => `url: "http://user:${secret}@host/path"`,
  (secret) => `url: "s3://key:${secret}%zz@bucket/path"`,
  (secret) => `url: "s3://key:${secret}@bucket:x/path"`,
  (secret) => `url: "s3://key:${secret}@/path"`,
  (secret) => `url: "s3://key:/${secret}@bucket/path"`,
  (secret) => `type: s3, bucket: b, endpoint: "http://key:${secret}@localhost:1"`,
  (secret) => `type: s3, bucket: b, endpoint: "http://key:/${secret}@localhost:1"`,
  (secret) => `type: s3, bucket: b, endpoint: "ftp://key:${secret}@localhost:1"`,
  (secret) => `type: abs, bucket: b, account-name: a, account-key: ${secret}`,
  (secret) => `type: sftp, host: h, user: u, password: ${secret}, path: /p`,
  (secret) => `path: /b, age: { identities: [AGE-SECRET-KEY-1${secret.toUpperCase()}], recipients: [] }`,
  (secret) => `path: /b, age: AGE-SECRET-KEY-1${secret.toUpperCase()}`,
  (secret) => `path: /b, age: { identities: AGE-SECRET-KEY-1${secret.toUpperCase()} }`,
  (secret) => `path: /b, age: { recipients: AGE-SECRET-KEY-1${secret.toUpperCase()} }`,
  (secret) => `type: s3, bucket: b, secret-access-key: [${secret}]`,
  (secret) => `type: s3, bucket: b, secret-acces-key: ${secret}`,
  (secret) => `type: s3, bucket: b, secret-access-key:${secret}`,
  (secret) => `type: s3, bucket: b, secret-access-key=${secret}`,
  (secret) => `type: s3, bucket: b, secret-access-key ${secret}`,
  (secret) => `type: s3, bucket: b, access-key-id: k, secret-access-key: "${secret}`,
];

/** Secrets without and with the marks that URLs and YAML write otherwise. */
function refusedSecrets(): string[] {
  return [randomSecret().replaceAll(/[/+=]/g, "x"), `s${randomSecret()}==`];
}

test("walbrook replicate shows no secret of a file that it refuses", async () => {
  using folder = temporaryFolder();
  const configPath = join(folder.path, "walbrook.yml");
  const database = `path: ${join(folder.path, "app.db")}`;
  for (const secret of refusedSecrets()) {
    const configurations = [
      ...REFUSED.map((replica) => `dbs: [{ ${database}, replicas: [{ ${replica(secret)} }] }]`),
      `dbs:\n- ${database}\n  replicas:\n  - secret-access-key:${secret}`,
      `dbs:\n- ${database}\n  replicas:\n  - type: s3\n    secret-access-key:${secret}`,
      `dbs: [{ ${database} }]\nsecret-access-key:${secret}`,
    ];
    for (const configuration of configurations) {
      writeFileSync(configPath, `strict: true\nlogging: { level: debug, stderr: true }\n${configuration}`, {
        mode: 0o600,
      });
      const said = await refusalOrStart("replicate", "-config", configPath);
      assert.deepEqual(foundSecrets(said, { secret, upper: secret.toUpperCase() }), [], said);
    }
  }
});

test("walbrook replicate shows no secret of a URL that it refuses", async () => {
  using folder = temporaryFolder();
  const databasePath = join(folder.path, "app.db");
  for (const secret of refusedSecrets()) {
    for (const url of [`s3://key:${secret}@bucket/path`, `sftp://user:${secret}@host/path`]) {
      const said = await refusalOrStart("replicate", databasePath, url);
      assert.deepEqual(foundSecrets(said, { secret }), [], said);
    }
  }
});
