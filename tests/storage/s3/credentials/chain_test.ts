import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { describeError, StoreError } from "../../../../src/errors.ts";
import type { Logger } from "../../../../src/logger.ts";
import { type Clock, systemClock } from "../../../../src/runtime/clock.ts";
import { systemFiles } from "../../../../src/runtime/files.ts";
import { openHttpClient } from "../../../../src/runtime/http.ts";
import { CredentialsChain } from "../../../../src/storage/s3/credentials/chain.ts";
import type { Credentials } from "../../../../src/storage/s3/credentials/credentials.ts";
import {
  defaultCredentials,
  type DefaultCredentialsOptions,
} from "../../../../src/storage/s3/credentials/default_chain.ts";
import { parseIni } from "../../../../src/storage/s3/credentials/ini.ts";
import { instanceCredentials } from "../../../../src/storage/s3/credentials/instance.ts";
import { failFiles } from "../../../doubles/failing_files.ts";
import { temporaryFolder } from "../../../doubles/temporary_folder.ts";
import { type ServiceAnswer, type ServiceRequest, startService } from "./services.ts";

const SECRETS = ["s-conf", "s-env", "s-aws", "s-file", "s-web", "s-ecs", "s-imds", "the-token", "pod-token"];

/** Without the machine's own places: nothing in the home folder, no metadata service. */
const NOWHERE = { HOME: "/nonexistent", AWS_EC2_METADATA_DISABLED: "true" };

async function keysFrom(options: DefaultCredentialsOptions): Promise<Credentials> {
  return await defaultCredentials({ ...options, env: { ...NOWHERE, ...options.env } }).get();
}

async function failureOf(promise: Promise<unknown>): Promise<string> {
  let text = "";
  await promise.catch((error) => text = describeError(error));
  assert.notEqual(text, "", "it succeeded");
  assert.ok(!text.includes("\n") && !SECRETS.some((secret) => text.includes(secret)), text);
  return text;
}

/** Files of `~/.aws` in a home folder of the test's own. */
function home(files: Record<string, string>): Disposable & { readonly env: Record<string, string> } {
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, ".aws"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.path, ".aws", name), text);
  return { env: { HOME: folder.path }, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

const AWS_ENV = { AWS_ACCESS_KEY_ID: "k-aws", AWS_SECRET_ACCESS_KEY: "s-aws", AWS_SESSION_TOKEN: "t-aws" };
const OWN_ENV = { LITESTREAM_ACCESS_KEY_ID: "k-env", LITESTREAM_SECRET_ACCESS_KEY: "s-env" };
const REPLICA = { accessKeyId: "k-conf", secretAccessKey: "s-conf" };

const ORDER: [string, DefaultCredentialsOptions, string, string | undefined][] = [
  [
    "the replica's keys",
    { env: { ...OWN_ENV, ...AWS_ENV }, configured: [REPLICA, { accessKeyId: "g", secretAccessKey: "g" }] },
    "k-conf",
    undefined,
  ],
  [
    "the replica's keys with their token",
    { env: AWS_ENV, configured: [{ ...REPLICA, sessionToken: "t" }] },
    "k-conf",
    "t",
  ],
  ["the global keys", { env: AWS_ENV, configured: [{}, REPLICA] }, "k-conf", undefined],
  [
    "empty keys for none",
    { env: OWN_ENV, configured: [{ accessKeyId: "", secretAccessKey: "" }] },
    "k-env",
    undefined,
  ],
  ["LITESTREAM_ variables without AWS's token", { env: { ...OWN_ENV, ...AWS_ENV } }, "k-env", undefined],
  [
    "LITESTREAM_ variables with AWS's token where AWS has no other pair",
    { env: { ...OWN_ENV, AWS_SESSION_TOKEN: "t-aws" } },
    "k-env",
    "t-aws",
  ],
  [
    "LITESTREAM_ variables with AWS's token where AWS has the same pair",
    {
      env: {
        ...OWN_ENV,
        AWS_ACCESS_KEY_ID: "k-env",
        AWS_SECRET_ACCESS_KEY: "s-env",
        AWS_SESSION_TOKEN: "t-aws",
      },
    },
    "k-env",
    "t-aws",
  ],
  ["AWS_ variables with their token", { env: AWS_ENV }, "k-aws", "t-aws"],
  [
    "AWS's older variables",
    { env: { AWS_ACCESS_KEY: "k-old", AWS_SECRET_KEY: "s-env" } },
    "k-old",
    undefined,
  ],
  [
    "the second key from the environment",
    { env: { AWS_SECRET_ACCESS_KEY: "s-aws" }, configured: [{ accessKeyId: "k-conf" }] },
    "k-conf",
    undefined,
  ],
  [
    "LITESTREAM_ variables without AWS's token where AWS has another secret",
    { env: { ...OWN_ENV, AWS_SECRET_ACCESS_KEY: "s-aws", AWS_SESSION_TOKEN: "t-aws" } },
    "k-env",
    undefined,
  ],
];
for (const [name, options, accessKeyId, sessionToken] of ORDER) {
  test(`defaultCredentials() takes ${name}`, async () => {
    const keys = await keysFrom(options);
    assert.equal(keys.accessKeyId, accessKeyId);
    assert.equal(keys.sessionToken, sessionToken);
  });
}

test("defaultCredentials() refuses half of a pair and names the other half", async () => {
  const cases: [DefaultCredentialsOptions, string][] = [
    [
      { env: {}, configured: [{ accessKeyId: "k" }] },
      "access-key-id is set but secret-access-key is not: set both, or AWS_SECRET_ACCESS_KEY in the environment",
    ],
    [
      { env: {}, configured: [{ secretAccessKey: "s-conf" }] },
      "secret-access-key is set but access-key-id is not: set both, or AWS_ACCESS_KEY_ID in the environment",
    ],
    [
      { env: AWS_ENV, configured: [{ accessKeyId: "k" }] },
      "access-key-id is set but secret-access-key is not, and AWS_SECRET_ACCESS_KEY goes with another " +
      "AWS_ACCESS_KEY_ID: set both",
    ],
    [
      { env: { AWS_ACCESS_KEY_ID: "k" } },
      "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not: set both",
    ],
    [
      { env: { ...AWS_ENV, LITESTREAM_ACCESS_KEY_ID: "k" } },
      "LITESTREAM_ACCESS_KEY_ID is set but LITESTREAM_SECRET_ACCESS_KEY is not, and AWS_SECRET_ACCESS_KEY goes " +
      "with another AWS_ACCESS_KEY_ID: set both",
    ],
  ];
  for (const [options, expected] of cases) assert.equal(await failureOf(keysFrom(options)), expected);
});

test("defaultCredentials() says where it looked when there are none", async () => {
  using own = home({ config: "[default]\nregion = eu-west-1\n" });
  const text = await failureOf(keysFrom({ env: own.env }));
  assert.match(
    text,
    /^no S3 credentials found: set access-key-id and secret-access-key, or LITESTREAM_ACCESS_KEY_ID/,
  );
  assert.match(
    text,
    /the environment, the AWS config and credentials files, a web identity token, .*EC2 metadata service\)$/,
  );
});

const CREDENTIALS_FILE = "[default]\naws_access_key_id = k-file\naws_secret_access_key=s-file\n\n" +
  "[work]\r\naws_access_key_id = k-work ; mine\r\naws_secret_access_key = s-file\r\naws_session_token = t-work\r\n";

test("defaultCredentials() takes the profile of the AWS files that is asked for", async () => {
  using own = home({
    credentials: CREDENTIALS_FILE,
    config:
      "[profile other]\naws_access_key_id=k-other\naws_secret_access_key=s-file\nregion = x\n[profile sso]\nsso_session = a\n",
  });
  assert.equal((await keysFrom({ env: own.env })).accessKeyId, "k-file");
  const work = await keysFrom({ env: { ...own.env, AWS_PROFILE: "work" } });
  assert.equal(`${work.accessKeyId} ${work.sessionToken}`, "k-work t-work");
  assert.equal(
    (await keysFrom({ env: { ...own.env, AWS_PROFILE: "work" }, profile: "other" })).accessKeyId,
    "k-other",
  );
  assert.equal((await keysFrom({ env: { ...own.env, ...AWS_ENV } })).accessKeyId, "k-aws");
  assert.equal((await keysFrom({ env: { ...own.env, ...AWS_ENV }, profile: "work" })).accessKeyId, "k-work");
  assert.equal(
    await failureOf(keysFrom({ env: { ...own.env, AWS_PROFILE: "none" } })),
    'profile "none" is not in the AWS config and credentials files',
  );
  assert.match(
    await failureOf(keysFrom({ env: own.env, profile: "sso" })),
    /^profile "sso" uses sso_session, which/,
  );
});

const ROLE = "role_arn = arn:aws:iam::1:role/backup\n";

for (const source of ["source_profile = default", "credential_source = Ec2InstanceMetadata"]) {
  const setting = source.split(" ")[0];
  const uses = (profile: string) =>
    `profile "${profile}" uses ${setting}, which walbrook can't: take one that`;

  test(`defaultCredentials() takes no keys from a profile whose role goes by ${setting}`, async () => {
    using own = home({ credentials: CREDENTIALS_FILE, config: `[profile work]\n${ROLE}${source}\n` });
    for (const options of [{ env: { ...own.env, AWS_PROFILE: "work" } }, { env: own.env, profile: "work" }]) {
      assert.ok((await failureOf(keysFrom(options))).startsWith(uses("work")));
    }
    assert.equal((await keysFrom({ env: own.env })).accessKeyId, "k-file");
  });

  test(`defaultCredentials() passes over the keys of [default] whose role goes by ${setting}`, async () => {
    using own = home({ credentials: CREDENTIALS_FILE, config: `[default]\n${ROLE}${source}\n` });
    assert.ok((await failureOf(keysFrom({ env: own.env }))).includes(`; ${uses("default")}`));
  });
}

for (
  const [setting, value] of [
    ["sso_session", "mine"],
    ["sso_start_url", "https://mine.awsapps.com/start"],
    ["credential_process", "/opt/keys"],
    ["role_arn", "arn:aws:iam::1:role/backup"],
  ] as const
) {
  test(`defaultCredentials() goes on behind ${setting} in [default], and names it where nothing else has keys`, async () => {
    using own = home({ config: `[default]\nregion = eu-west-1\n${setting} = ${value}\n` });
    assert.match(
      await failureOf(keysFrom({ env: own.env })),
      new RegExp(
        `^no S3 credentials found: .*\\(looked in: .*EC2.*; profile "default" uses ${setting}, which walbrook can't: .*\\)$`,
      ),
    );
    await using container = await startService(() => ({ body: SERVICE_KEYS("ecs", inAnHour()) }));
    const env = { ...own.env, AWS_CONTAINER_CREDENTIALS_FULL_URI: container.url };
    assert.equal((await keysFrom({ env })).accessKeyId, "k-ecs");
    assert.match(
      await failureOf(keysFrom({ env: { ...env, AWS_PROFILE: "default" } })),
      new RegExp(`^profile "default" uses ${setting}, which walbrook can't: `),
    );
  });
}

/** The system's files, of which it hides the one whose path ends so, as with `ProtectHome=` of systemd. */
function hidden(name: string, code = "EACCES") {
  return failFiles(systemFiles, [
    { kind: "stat", path: new RegExp(`${name}$`), code, times: Infinity },
  ]).files;
}

for (const [name, code] of [["config", "EACCES"], ["credentials", "EPERM"]] as const) {
  test(`defaultCredentials() goes on behind a ~/.aws/${name} that nobody named and that gives ${code}, and says so`, async () => {
    // What the other file says may not be all: the hidden one may have other keys, or a role.
    using own = home({ credentials: CREDENTIALS_FILE, config: CREDENTIALS_FILE });
    const files = hidden(`/\\.aws/${name}`, code);
    const text = await failureOf(keysFrom({ env: own.env, files }));
    assert.match(text, /^no S3 credentials found: .*\(looked in: .*EC2.*; profile "default" can't be read: /);
    assert.ok(text.includes(`${code}: `) && text.includes(`/.aws/${name}'`), text);
    await using container = await startService(() => ({ body: SERVICE_KEYS("ecs", inAnHour()) }));
    const env = { ...own.env, AWS_CONTAINER_CREDENTIALS_FULL_URI: container.url };
    assert.equal((await keysFrom({ env, files })).accessKeyId, "k-ecs");
  });
}

test("defaultCredentials() ends at AWS files that were named and can't be read", async () => {
  using own = home({ credentials: CREDENTIALS_FILE, config: "" });
  const path = join(own.env["HOME"]!, ".aws", "credentials");
  const cases: DefaultCredentialsOptions[] = [
    { env: own.env, profile: "work" },
    { env: { ...own.env, AWS_PROFILE: "default" } },
    { env: { ...own.env, AWS_SHARED_CREDENTIALS_FILE: path } },
    { env: { ...own.env, AWS_CONFIG_FILE: join(own.env["HOME"]!, "config") } },
  ];
  for (const options of cases) {
    const text = await failureOf(keysFrom({ ...options, files: hidden("credentials") }));
    assert.ok(text.startsWith("EACCES: ") && text.includes(path), text);
  }
  // A disk that fails hides nothing.
  assert.match(await failureOf(keysFrom({ env: own.env, files: hidden("credentials", "EIO") })), /^EIO: /);
});

test("defaultCredentials() takes the AWS files from where the variables say", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "keys");
  writeFileSync(path, CREDENTIALS_FILE);
  assert.equal((await keysFrom({ env: { AWS_SHARED_CREDENTIALS_FILE: path } })).accessKeyId, "k-file");
});

test("parseIni() reads sections, comments and nested settings as AWS's tools do", () => {
  const parsed = parseIni(
    "x=1\n[a]\n# c\n; c\nKey = v = w\ns3 =\n  key = nested\nempty=\n[ profile  b ]\nk=v # c\n[a]\nz=1",
  );
  assert.deepEqual([...parsed.keys()], ["a", "profile b"]);
  assert.deepEqual([...parsed.get("a")!], [["key", "v = w"], ["s3", ""], ["empty", ""], ["z", "1"]]);
  assert.equal(parsed.get("profile b")!.get("k"), "v");
});

function inAnHour(): string {
  return new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, "");
}

function stsAnswer(expiration: string): string {
  return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
    <Credentials><AccessKeyId>k-web</AccessKeyId><SecretAccessKey>s-web</SecretAccessKey><SessionToken>t-web</SessionToken>
    <Expiration>${expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
}

test("defaultCredentials() takes on a role with a web identity token", async () => {
  using folder = temporaryFolder();
  const tokenPath = join(folder.path, "token");
  writeFileSync(tokenPath, "the-token\n");
  let answer: ServiceAnswer = { body: stsAnswer(inAnHour()) };
  await using sts = await startService(() => answer);
  const env = {
    AWS_ROLE_ARN: "arn:aws:iam::1:role/backup",
    AWS_WEB_IDENTITY_TOKEN_FILE: tokenPath,
    AWS_ENDPOINT_URL_STS: sts.url,
  };
  const keys = await keysFrom({ env });
  assert.equal(`${keys.accessKeyId} ${keys.sessionToken}`, "k-web t-web");
  assert.ok(keys.expiresAt!.getTime() > Date.now());
  const form = new URLSearchParams(sts.requests[0]!.body);
  assert.equal(form.get("Action"), "AssumeRoleWithWebIdentity");
  assert.equal(form.get("RoleArn"), "arn:aws:iam::1:role/backup");
  assert.equal(form.get("WebIdentityToken"), "the-token");
  using own = home({
    config:
      `[profile pod]\nrole_arn = arn:x\nweb_identity_token_file = ${tokenPath}\nrole_session_name = mine\n`,
  });
  await keysFrom({ env: { ...own.env, AWS_PROFILE: "pod", AWS_ENDPOINT_URL_STS: sts.url } });
  assert.equal(new URLSearchParams(sts.requests[1]!.body).get("RoleSessionName"), "mine");
  answer = {
    status: 400,
    body:
      "<ErrorResponse><Error><Code>ExpiredTokenException</Code><Message>Token expired: x</Message></Error></ErrorResponse>",
  };
  assert.match(
    await failureOf(keysFrom({ env })),
    /^cannot take on role arn:aws:iam::1:role\/backup at .*: ExpiredTokenException: Token/,
  );
  answer = { body: stsAnswer(inAnHour()).slice(0, -20) };
  assert.match(await failureOf(keysFrom({ env })), /XML is damaged/);
  writeFileSync(tokenPath, "");
  assert.match(await failureOf(keysFrom({ env })), /^no web identity token in /);
});

const SERVICE_KEYS = (name: string, expiration: string) =>
  JSON.stringify({
    Code: "Success",
    AccessKeyId: `k-${name}`,
    SecretAccessKey: `s-${name}`,
    Token: `t-${name}`,
    Expiration: expiration,
  });

test("defaultCredentials() asks the container's service with its token", async () => {
  using folder = temporaryFolder();
  const tokenPath = join(folder.path, "token");
  writeFileSync(tokenPath, "pod-token\n");
  let failures = 1;
  await using service = await startService(() =>
    failures-- > 0 ? { status: 500, body: "busy" } : { body: SERVICE_KEYS("ecs", inAnHour()) }
  );
  const env = { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${service.url}/v1/credentials` };
  const keys = await keysFrom({ env: { ...env, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenPath } });
  assert.equal(`${keys.accessKeyId} ${keys.secretAccessKey} ${keys.sessionToken}`, "k-ecs s-ecs t-ecs");
  assert.equal(service.requests[1]!.path, "/v1/credentials");
  assert.equal(service.requests[1]!.headers.authorization, "pod-token");
  await keysFrom({ env: { ...env, AWS_CONTAINER_AUTHORIZATION_TOKEN: "direct" } });
  assert.equal(service.requests[2]!.headers.authorization, "direct");
  assert.match(
    await failureOf(keysFrom({ env: { AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://example.com/x" } })),
    /must be https or on this machine/,
  );
});

function imds(answers: Record<string, ServiceAnswer>) {
  return ({ method, path, headers }: ServiceRequest): ServiceAnswer => {
    if (method === "PUT" && path === "/latest/api/token") {
      const isAsked = headers["x-aws-ec2-metadata-token-ttl-seconds"] === "21600";
      return answers["token"] ?? { status: isAsked ? 200 : 400, body: "session" };
    }
    if (headers["x-aws-ec2-metadata-token"] !== "session") return { status: 401, body: "" };
    return answers[path.replace("/latest/meta-data/iam/security-credentials/", "")] ??
      { status: 404, body: "" };
  };
}

test("defaultCredentials() asks EC2's metadata service by its second version", async () => {
  await using service = await startService(
    imds({ "": { body: "my-role\n" }, "my-role": { body: SERVICE_KEYS("imds", inAnHour()) } }),
  );
  const env = { AWS_EC2_METADATA_DISABLED: "false", AWS_EC2_METADATA_SERVICE_ENDPOINT: service.url };
  assert.equal((await keysFrom({ env })).accessKeyId, "k-imds");
  assert.deepEqual(service.requests.map(({ method }) => method), ["PUT", "GET", "GET"]);
});

test("defaultCredentials() takes an EC2 machine without a role for a place without keys", async () => {
  await using roleless = await startService(imds({}));
  const env = { AWS_EC2_METADATA_DISABLED: "", AWS_EC2_METADATA_SERVICE_ENDPOINT: roleless.url };
  assert.match(await failureOf(keysFrom({ env })), /^no S3 credentials found/);
  await using failing = await startService(
    imds({ "": { body: "r" }, r: { body: '{"Code":"AssumeRoleUnauthorizedAccess"}' } }),
  );
  assert.match(
    await failureOf(keysFrom({ env: { ...env, AWS_EC2_METADATA_SERVICE_ENDPOINT: failing.url } })),
    /^the EC2 metadata service gave no keys: AssumeRoleUnauthorizedAccess/,
  );
});

for (
  const [silentPath, message] of [
    ["", /^the EC2 metadata service can't be reached for the name of the role: /],
    ["my-role", /^the EC2 metadata service can't be reached for the keys of role my-role: /],
  ] as const
) {
  test(`defaultCredentials() names EC2's metadata service where it falls silent at "${silentPath}"`, async () => {
    const answer = imds({ "": { body: "my-role\n" } });
    await using service = await startService((request) =>
      request.path === `/latest/meta-data/iam/security-credentials/${silentPath}`
        ? undefined
        : answer(request)
    );
    const env = { AWS_EC2_METADATA_DISABLED: "", AWS_EC2_METADATA_SERVICE_ENDPOINT: service.url };
    const keys = keysFrom({ env });
    assert.match(await failureOf(keys), message);
    await assert.rejects(keys, (error) => error instanceof StoreError && error.isTransient);
  });
}

for (const path of ["token", "", "my-role"]) {
  test(`instanceCredentials() takes a 503 at "${path}" for a failure that may pass`, async () => {
    const answers: Record<string, ServiceAnswer> = {
      "": { body: "my-role\n" },
      "my-role": { body: SERVICE_KEYS("imds", inAnHour()) },
    };
    await using service = await startService(imds(answers));
    using http = openHttpClient();
    const env = { AWS_EC2_METADATA_SERVICE_ENDPOINT: service.url };
    const source = instanceCredentials({ env, http, files: systemFiles });
    assert.equal((await source.load())?.accessKeyId, "k-imds");
    answers[path] = { status: 503, body: "" };
    await assert.rejects(source.load(), (error) => error instanceof StoreError && error.isTransient);
    answers[path] = { status: 403, body: "" };
    await assert.rejects(source.load(), (error) => error instanceof StoreError && !error.isTransient);
  });
}

test("defaultCredentials() doesn't wait long where no metadata service answers", async () => {
  await using silent = await startService(() => undefined);
  const env = { AWS_EC2_METADATA_DISABLED: "", AWS_EC2_METADATA_SERVICE_ENDPOINT: silent.url };
  const startedAt = performance.now();
  assert.match(await failureOf(keysFrom({ env })), /^no S3 credentials found/);
  assert.ok(performance.now() - startedAt < 4000);
});

test("defaultCredentials() goes through all places in the documented order", async () => {
  using folder = temporaryFolder();
  const tokenPath = join(folder.path, "token");
  writeFileSync(tokenPath, "the-token\n");
  const file = "aws_secret_access_key = s-file\naws_access_key_id = ";
  using own = home({ credentials: `[default]\n${file}k-file\n[mine]\n${file}k-mine\n` });
  await using sts = await startService(() => ({ body: stsAnswer(inAnHour()) }));
  await using container = await startService(() => ({ body: SERVICE_KEYS("ecs", inAnHour()) }));
  await using ec2 = await startService(
    imds({ "": { body: "my-role\n" }, "my-role": { body: SERVICE_KEYS("imds", inAnHour()) } }),
  );
  // Each place with what has to be taken away for it to have no keys.
  const places: [string, { env?: string[]; configured?: number; profile?: true }][] = [
    ["k-conf", { configured: 0 }],
    ["k-global", { configured: 1 }],
    ["k-mine", { profile: true }],
    ["k-env", { env: ["LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY"] }],
    ["k-aws", { env: ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] }],
    ["k-file", { env: ["HOME"] }],
    ["k-web", { env: ["AWS_WEB_IDENTITY_TOKEN_FILE"] }],
    ["k-ecs", { env: ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] }],
    ["k-imds", {}],
  ];
  const env: Record<string, string | undefined> = {
    ...OWN_ENV,
    ...AWS_ENV,
    ...own.env,
    AWS_ROLE_ARN: "arn:x",
    AWS_WEB_IDENTITY_TOKEN_FILE: tokenPath,
    AWS_ENDPOINT_URL_STS: sts.url,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: container.url,
    AWS_EC2_METADATA_DISABLED: "",
    AWS_EC2_METADATA_SERVICE_ENDPOINT: ec2.url,
  };
  const configured: { accessKeyId?: string; secretAccessKey?: string }[] = [
    REPLICA,
    { accessKeyId: "k-global", secretAccessKey: "s-conf" },
  ];
  let profile: string | undefined = "mine";
  for (const [accessKeyId, { env: names = [], configured: nth, profile: isProfile }] of places) {
    assert.equal((await keysFrom({ env, configured, profile })).accessKeyId, accessKeyId);
    for (const name of names) env[name] = name === "HOME" ? "/nonexistent" : "";
    if (nth !== undefined) configured[nth] = {};
    if (isProfile) profile = undefined;
  }
});

/** Keys that last `lifeMs` by a clock that the test moves. */
function renewable({ lifeMs }: { lifeMs: number }) {
  let now = 1_000_000;
  const state = { loads: 0, fails: false, warnings: [] as unknown[] };
  const clock: Clock = { ...systemClock, now: () => now };
  const logger: Logger = {
    debug() {},
    info() {},
    error() {},
    warn: (message, fields) => void state.warnings.push([message, fields]),
    with: () => logger,
  };
  const source = {
    name: "a test",
    load() {
      state.loads++;
      if (state.fails) return Promise.reject(new Error("service is down"));
      const keys = {
        accessKeyId: `k-${state.loads}`,
        secretAccessKey: "s-conf",
        expiresAt: new Date(now + lifeMs),
      };
      return Promise.resolve(keys);
    },
  };
  const chain = new CredentialsChain([source], { clock, logger });
  return { chain, state, advance: (ms: number) => void (now += ms) };
}

test("CredentialsChain.get() loads once for many, and again five minutes before the end", async () => {
  const { chain, state, advance } = renewable({ lifeMs: 3_600_000 });
  const all = await Promise.all([1, 2, 3].map(() => chain.get()));
  assert.deepEqual(all.map(({ accessKeyId }) => accessKeyId), ["k-1", "k-1", "k-1"]);
  advance(54 * 60_000);
  await chain.get();
  assert.equal(state.loads, 1);
  advance(2 * 60_000);
  assert.equal((await chain.get()).accessKeyId, "k-2");
  assert.equal(state.loads, 2);
});

test("CredentialsChain.get() renews keys that last for minutes only at half of their time", async () => {
  const { chain, state, advance } = renewable({ lifeMs: 240_000 });
  await chain.get();
  advance(110_000);
  await chain.get();
  assert.equal(state.loads, 1);
  advance(20_000);
  await chain.get();
  assert.equal(state.loads, 2);
});

test("CredentialsChain.get() waits for a renewal once, and gives the others the old keys meanwhile", async () => {
  let now = 1_000_000;
  const clock: Clock = { ...systemClock, now: () => now };
  const keys = (name: string, endsAt: number) => ({
    accessKeyId: name,
    secretAccessKey: "s-conf",
    expiresAt: new Date(endsAt),
  });
  const old = keys("k-old", now + 3_600_000);
  const renewed = Promise.withResolvers<Credentials>();
  let loads = 0;
  const load = () => ++loads === 1 ? Promise.resolve(old) : renewed.promise;
  const chain = new CredentialsChain([{ name: "slow", load }], { clock });
  await chain.get();
  now += 56 * 60_000;
  const first = chain.get();
  assert.deepEqual(await Promise.all([chain.get(), chain.get()]), [old, old]);
  now += 5 * 60_000;
  const late = chain.get();
  renewed.resolve(keys("k-new", now + 3_600_000));
  assert.deepEqual((await Promise.all([first, late])).map(({ accessKeyId }) => accessKeyId), [
    "k-new",
    "k-new",
  ]);
  assert.equal(loads, 2);
});

test("CredentialsChain.get() uses the old keys to their end when new ones can't be had, and says so", async () => {
  const { chain, state, advance } = renewable({ lifeMs: 3_600_000 });
  await chain.get();
  state.fails = true;
  advance(56 * 60_000);
  assert.equal((await chain.get()).accessKeyId, "k-1");
  assert.equal((await chain.get()).accessKeyId, "k-1");
  assert.equal(state.loads, 2, "not at every request");
  assert.equal(state.warnings.length, 1);
  assert.ok(!JSON.stringify(state.warnings).includes("s-conf"));
  advance(5 * 60_000);
  await assert.rejects(chain.get(), /service is down/);
  state.fails = false;
  assert.equal((await chain.get()).accessKeyId, "k-4");
});

test("CredentialsChain.discard() has other keys loaded, unless they were already", async () => {
  const { chain } = renewable({ lifeMs: 3_600_000 });
  const first = await chain.get();
  chain.discard(first);
  const second = await chain.get();
  assert.equal(second.accessKeyId, "k-2");
  chain.discard(first);
  assert.equal(await chain.get(), second);
});

test("CredentialsChain.get() passes a source's failure on, as a StoreError where it is one", async () => {
  const chain = new CredentialsChain([
    { name: "none", load: () => Promise.resolve(undefined) },
    { name: "broken", load: () => Promise.reject(new StoreError("gone", { isTransient: true })) },
  ]);
  await assert.rejects(chain.get(), (error) => error instanceof StoreError && error.isTransient);
});

test("CredentialsChain.get() ends with its signal while keys are loaded, and others get them all the same", async () => {
  const loaded = Promise.withResolvers<Credentials>();
  let loads = 0;
  const load = () => (loads++, loaded.promise);
  const chain = new CredentialsChain([{ name: "slow", load }]);
  const stop = new AbortController();
  const stopped = chain.get({ signal: stop.signal });
  const other = chain.get({ signal: new AbortController().signal });
  stop.abort(new Error("stopped"));
  const first = await Promise.race([
    stopped.catch((error: Error) => error.message),
    new Promise((resolve) => setTimeout(resolve, 1000, "still waiting")),
  ]);
  assert.equal(first, "stopped");
  loaded.resolve({ accessKeyId: "k", secretAccessKey: "s-conf" });
  assert.equal((await other).accessKeyId, "k");
  assert.equal((await chain.get()).accessKeyId, "k");
  assert.equal(loads, 1);
});

test("CredentialsChain.get() that is stopped during a renewal tells of no failed one", async () => {
  const warnings: string[] = [];
  const logger: Logger = {
    debug() {},
    info() {},
    error() {},
    warn: (message) => void warnings.push(message),
    with: () => logger,
  };
  let now = 1_000_000;
  const renewal = Promise.withResolvers<Credentials>();
  let loads = 0;
  const old = { accessKeyId: "k", secretAccessKey: "s-conf", expiresAt: new Date(now + 3_600_000) };
  const load = () => ++loads === 1 ? Promise.resolve(old) : renewal.promise;
  const clock = { ...systemClock, now: () => now };
  const chain = new CredentialsChain([{ name: "slow", load }], { clock, logger });
  await chain.get();
  now += 56 * 60_000;
  const stop = new AbortController();
  const stopped = chain.get({ signal: stop.signal });
  stop.abort(new Error("stopped"));
  // Nobody waits for it any more: its failure must not be an unhandled one.
  renewal.reject(new Error("service is down"));
  await assert.rejects(stopped, /^Error: stopped$/);
  assert.deepEqual(warnings, []);
});
