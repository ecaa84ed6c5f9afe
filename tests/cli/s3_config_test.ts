/** Replicas in S3 by a configuration file: what its keys do on the wire, and what the commands say when it fails. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { testedProgram } from "../program.ts";
import { makeCertificate } from "../servers/certificates.ts";
import { startFaultProxy } from "../servers/fault_proxy.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio, TEST_BUCKET, TEST_KEYS } from "../servers/s3_servers.ts";
import { temporaryKeys } from "../servers/temporary_keys.ts";
import { type Ending, Walbrook } from "../walbrook.ts";

const MIB = 1024 * 1024;
const minio = oncePerFile(() => startMinio());
const certified = oncePerFile(async () => {
  const folder = temporaryFolder();
  const tls = makeCertificate(folder.path);
  const server = await startMinio({ tls });
  return {
    ...server,
    caCert: tls.caCert,
    async stop() {
      await server.stop();
      folder[Symbol.dispose]();
    },
  };
});

const KEYS = { "access-key-id": TEST_KEYS.accessKeyId, "secret-access-key": TEST_KEYS.secretAccessKey };

/** A folder with a database and a configuration file for it. */
class Ground implements Disposable {
  readonly #folder = temporaryFolder();
  readonly databasePath = this.path("app.db");
  readonly configPath = this.path("walbrook.yml");
  readonly #env: Readonly<Record<string, string | undefined>>;

  constructor(replica: Readonly<Record<string, unknown>>, { top = {}, env = {} } = {}) {
    const logging = { stderr: true };
    const dbs = [{ path: this.databasePath, replicas: [{ type: "s3", bucket: TEST_BUCKET, ...replica }] }];
    writeFileSync(this.configPath, JSON.stringify({ logging, ...top, dbs }), { mode: 0o600 });
    // No keys of whoever runs the tests.
    const nowhere = this.path("none");
    const none = Object.fromEntries(
      Object.keys(process.env).filter((name) => /^(AWS|LITESTREAM)_/.test(name)).map((
        name,
      ) => [name, undefined]),
    );
    this.#env = { ...none, AWS_SHARED_CREDENTIALS_FILE: nowhere, AWS_CONFIG_FILE: nowhere, ...env };
  }

  path(name: string): string {
    return join(this.#folder.path, name);
  }

  /** Make the database with some random bytes. */
  fill(bytes: number): void {
    using database = new DatabaseSync(this.databasePath);
    database.exec(
      `PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(${bytes}))`,
    );
  }

  start(...words: string[]): Walbrook {
    const program = testedProgram();
    const env = { ...(program.options.env ?? process.env), ...this.#env };
    const named = { ...program, options: { ...program.options, env } };
    return Walbrook.startAs(named, words[0]!, "-config", this.configPath, ...words.slice(1));
  }

  restore(): Promise<Ending> {
    return this.start("restore", "-o", this.path("restored.db"), this.databasePath).ended;
  }

  /** Replicate until the snapshot is stored. */
  async replicate(): Promise<Ending> {
    await using walbrook = this.start("replicate");
    await walbrook.says("snapshot written");
    return await walbrook.stop();
  }

  assertRestored(): void {
    const contentOf = (path: string) => {
      using database = new DatabaseSync(path);
      return String(database.prepare("SELECT hex(x) AS x FROM t").get()!["x"]);
    };
    assert.ok(contentOf(this.path("restored.db")) === contentOf(this.databasePath));
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

test("walbrook replicates to and restores from a server whose authority ca-cert names, and skip-verify trusts any", async () => {
  const { endpoint, caCert } = await certified();
  const place = { path: "by-config/tls", endpoint, ...KEYS };
  using folder = temporaryFolder();
  const caCertPath = join(folder.path, "ca.pem");
  writeFileSync(caCertPath, caCert);
  using trusting = new Ground({ ...place, "ca-cert": caCertPath });
  trusting.fill(1000);
  const { code, stderr } = await trusting.replicate();
  assert.equal(code, 0, stderr);
  const restored = await trusting.restore();
  assert.equal(restored.code, 0, restored.stderr);
  trusting.assertRestored();
  using careless = new Ground({ ...place, "skip-verify": true });
  const carelessly = await careless.restore();
  assert.equal(carelessly.code, 0, carelessly.stderr);
});

test("walbrook sends what the keys of the configuration say: region, part size, concurrency, global keys", async () => {
  const proxy = await startFaultProxy({ upstreamPort: (await minio()).port });
  try {
    const replica = { path: "by-config/keys", endpoint: proxy.endpoint, region: "eu-test-1" };
    using ground = new Ground({ ...replica, "part-size": "5MiB", concurrency: 1, "force-path-style": true }, {
      top: KEYS,
    });
    ground.fill(11 * MIB);
    const { code, stderr } = await ground.replicate();
    assert.equal(code, 0, stderr);
    const parts = proxy.seen.filter(({ path }) => path.includes("partNumber="));
    const whole = parts.filter(({ path }) => path.includes("/snapshots/"));
    assert.deepEqual(whole.slice(0, 2).map(({ size }) => size), [5 * MIB, 5 * MIB]);
    for (const { path, headers } of proxy.seen) {
      assert.ok(path.startsWith(`/${TEST_BUCKET}`), path);
      const credential = new RegExp(`Credential=${TEST_KEYS.accessKeyId}/\\d{8}/eu-test-1/s3/`);
      assert.match(String(headers["authorization"]), credential);
    }
  } finally {
    await proxy.stop();
  }
});

test("walbrook signs with the profile that the configuration names", async () => {
  const { endpoint } = await minio();
  using folder = temporaryFolder();
  const AWS_SHARED_CREDENTIALS_FILE = join(folder.path, "credentials");
  const { accessKeyId, secretAccessKey } = TEST_KEYS;
  const lines = [
    "[mine]",
    `aws_access_key_id = ${accessKeyId}`,
    `aws_secret_access_key = ${secretAccessKey}`,
  ];
  writeFileSync(AWS_SHARED_CREDENTIALS_FILE, lines.join("\n"));
  const replica = { path: "by-config/profile", endpoint, profile: "mine" };
  using ground = new Ground(replica, { env: { AWS_SHARED_CREDENTIALS_FILE } });
  ground.fill(1000);
  const { code, stderr } = await ground.replicate();
  assert.equal(code, 0, stderr);
});

/** What is wrong, the settings, and what has to be said. */
async function failures(): Promise<[string, Record<string, unknown>, RegExp, Record<string, string>?][]> {
  const { endpoint } = await minio();
  const place = { path: "by-config/failing", endpoint };
  const elsewhere = {
    Effect: "Allow",
    Action: "s3:*",
    Resource: ["arn:aws:s3:::another", "arn:aws:s3:::another/*"],
  };
  const { accessKeyId, secretAccessKey, sessionToken } = await temporaryKeys(
    await minio(),
    JSON.stringify({ Version: "2012-10-17", Statement: [elsewhere] }),
  );
  const denied = {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  };
  return [
    ["a missing bucket", { ...place, ...KEYS, bucket: "nowhere" }, /there is no bucket "nowhere"/],
    [
      "denied access",
      place,
      /access denied; let these credentials do s3:ListBucket on bucket "backup"/,
      denied,
    ],
    ["an unknown key", { ...place, ...KEYS, "access-key-id": "stranger" }, /does not know this access key/],
    [
      "a wrong secret",
      { ...place, ...KEYS, "secret-access-key": "hunter22" },
      /the signature does not match/,
    ],
    [
      "an unknown host",
      { ...place, ...KEYS, endpoint: "http://no-such-host.invalid" },
      /no host of this name/,
    ],
    [
      "an untrusted certificate",
      { ...place, ...KEYS, endpoint: (await certified()).endpoint },
      /is not trusted; set ca-cert/,
    ],
  ];
}

test("walbrook restore and replicate say in one line what is wrong with the bucket, the keys or the server", async () => {
  const cases = await failures();
  await Promise.all(cases.map(async ([what, replica, text, env = {}]) => {
    using ground = new Ground(replica, { env });
    const { code, stderr } = await ground.restore();
    assert.equal(code, 1, `${what}: ${stderr}`);
    const lines = stderr.trim().split("\n");
    assert.equal(lines.length, 1, `${what}: ${stderr}`);
    assert.match(lines[0]!, text, `${what}: ${stderr}`);
    assert.ok(!stderr.includes("hunter22"), what);
  }));
  for (const [what, replica, text, env = {}] of cases) {
    using ground = new Ground(replica, { env });
    ground.fill(100);
    await using walbrook = ground.start("replicate");
    await walbrook.says("monitor error");
    const [line] = walbrook.lines("monitor error");
    assert.match(line!.replaceAll('\\"', '"'), text, what);
    assert.ok(walbrook.isRunning, `${what}: replicate waits for it to be mended`);
    assert.ok(!walbrook.stderr.includes("hunter22"), what);
  }
});

test("walbrook says that the clock is off, and follows once to the region that a server names", async () => {
  const proxy = await startFaultProxy({ upstreamPort: (await minio()).port });
  const error = (code: string, more = "") =>
    `<Error><Code>${code}</Code><Message>${code}</Message>${more}</Error>`;
  try {
    const place = { path: "by-config/failing", endpoint: proxy.endpoint, ...KEYS };
    const serverTime = new Date(Date.now() - 20 * 60_000).toISOString();
    proxy.fault = () => ({
      act: "answer",
      status: 403,
      body: error("RequestTimeTooSkewed", `<ServerTime>${serverTime}</ServerTime>`),
    });
    using late = new Ground(place);
    const skewed = await late.restore();
    assert.match(skewed.stderr, /this machine's clock is 20 minutes ahead of the server's; set/);
    assert.equal(skewed.stderr.trim().split("\n").length, 1);
    proxy.fault = ({ headers }) =>
      String(headers["authorization"]).includes("/eu-west-3/") ? undefined : {
        act: "answer",
        status: 400,
        body: error("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"),
      };
    using ground = new Ground({ ...place, region: "us-west-1", path: "by-config/region" });
    ground.fill(100);
    const { stderr } = await ground.replicate();
    const told = stderr.split("\n").filter((line) => line.includes("another region than configured"));
    assert.equal(told.length, 1, stderr);
    assert.match(told[0]!, /eu-west-3/);
  } finally {
    await proxy.stop();
  }
});
