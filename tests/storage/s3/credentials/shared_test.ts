/** Many replicas with the same places of keys, and services that many processes ask. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { StoreError } from "../../../../src/errors.ts";
import { defaultCredentials } from "../../../../src/storage/s3/credentials/default_chain.ts";
import type { Environment } from "../../../../src/storage/s3/credentials/keys.ts";
import { temporaryFolder } from "../../../doubles/temporary_folder.ts";
import { type ServiceAnswer, type ServiceRequest, startService } from "./services.ts";

const ENDS_AT = new Date(Date.now() + 3_600_000).toISOString();

const KEYS = JSON.stringify({
  AccessKeyId: "k-shared",
  SecretAccessKey: "s",
  Token: "t",
  Expiration: ENDS_AT,
});

const ROLE_KEYS = `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
  <AccessKeyId>k-shared</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
  <Expiration>${ENDS_AT}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;

const THROTTLED =
  "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";

/** A service of one of the three protocols: its answers, and the variables that lead to it. */
interface Protocol {
  readonly name: string;
  /** For all keys once. */
  readonly requestCount: number;
  answer(request: ServiceRequest): ServiceAnswer;
  readonly busy: ServiceAnswer;
  env(url: string, tokenPath: string): Environment;
}

const NOWHERE = { HOME: "/nonexistent", AWS_EC2_METADATA_DISABLED: "true" };

const PROTOCOLS: Protocol[] = [
  {
    name: "EC2's metadata service",
    requestCount: 3,
    answer: ({ path }) => ({
      body: path.endsWith("/token") ? "session" : path.endsWith("/my-role") ? KEYS : "my-role",
    }),
    busy: { status: 503, body: "" },
    env: (url) => ({
      ...NOWHERE,
      AWS_EC2_METADATA_DISABLED: "",
      AWS_EC2_METADATA_SERVICE_ENDPOINT: url,
    }),
  },
  {
    name: "the container's service",
    requestCount: 1,
    answer: () => ({ body: KEYS }),
    busy: { status: 429, body: "" },
    env: (url) => ({ ...NOWHERE, AWS_CONTAINER_CREDENTIALS_FULL_URI: url }),
  },
  {
    name: "the security token service",
    requestCount: 1,
    answer: () => ({ body: ROLE_KEYS }),
    // Its own way to say it, with the status of a mistake.
    busy: { status: 400, body: THROTTLED },
    env: (url, tokenPath) => ({
      ...NOWHERE,
      AWS_ROLE_ARN: "arn:aws:iam::1:role/backup",
      AWS_WEB_IDENTITY_TOKEN_FILE: tokenPath,
      AWS_ENDPOINT_URL_STS: url,
    }),
  },
];

async function withService(
  protocol: Protocol,
  { answer, use }: {
    answer: (request: ServiceRequest, count: number) => ServiceAnswer | undefined;
    use: (env: Environment, requests: readonly ServiceRequest[]) => Promise<void>;
  },
): Promise<void> {
  using folder = temporaryFolder();
  const tokenPath = join(folder.path, "token");
  writeFileSync(tokenPath, "the-token");
  let count = 0;
  await using service = await startService((request) => answer(request, ++count));
  await use(protocol.env(service.url, tokenPath), service.requests);
}

for (const protocol of PROTOCOLS) {
  const { name, requestCount, answer, busy } = protocol;

  test(`defaultCredentials() of a thousand replicas ask ${name} once`, async () => {
    await withService(protocol, {
      answer,
      async use(env, requests) {
        const providers = Array.from({ length: 1000 }, () => defaultCredentials({ env, configured: [{}] }));
        const all = await Promise.all(providers.map((provider) => provider.get()));
        assert.ok(all.every(({ accessKeyId }) => accessKeyId === "k-shared"));
        assert.equal(requests.length, requestCount);
        // Refused by a server to all of them: others are asked for once.
        for (const [index, provider] of providers.entries()) provider.discard(all[index]!);
        await Promise.all(providers.map((provider) => provider.get()));
        assert.equal(requests.length, 2 * requestCount);
      },
    });
  });

  test(`defaultCredentials() waits for ${name} while it is busy`, async () => {
    await withService(protocol, {
      answer: (request, count) => count <= 3 ? busy : answer(request),
      async use(env, requests) {
        assert.equal((await defaultCredentials({ env }).get()).accessKeyId, "k-shared");
        assert.equal(requests.length, 3 + requestCount);
      },
    });
  });

  test(`defaultCredentials() takes ${name} that stays busy for a failure that may pass`, async () => {
    await withService(protocol, {
      answer: () => busy,
      async use(env, requests) {
        await assert.rejects(defaultCredentials({ env }).get(), isPassing);
        assert.equal(requests.length, 5);
      },
    });
  });
}

function isPassing(error: unknown): boolean {
  return error instanceof StoreError && error.isTransient && !error.message.includes("no S3 credentials");
}

test("defaultCredentials() takes a metadata service that is busy and then silent for one that is there", async () => {
  const [metadata] = PROTOCOLS;
  await withService(metadata!, {
    answer: (_, count) => count === 1 ? metadata!.busy : undefined,
    use: async (env) => await assert.rejects(defaultCredentials({ env }).get(), isPassing),
  });
});

test("defaultCredentials() that one replica no longer waits for come to the others", async () => {
  const [metadata] = PROTOCOLS;
  const asked = Promise.withResolvers<void>();
  const stop = new AbortController();
  await withService(metadata!, {
    answer(request, count) {
      // The first answer is lost, so that the others wait on.
      if (count > 1) return metadata!.answer(request);
      asked.resolve();
      return undefined;
    },
    async use(env, requests) {
      const stopped = defaultCredentials({ env }).get({ signal: stop.signal });
      const other = defaultCredentials({ env }).get({ signal: new AbortController().signal });
      await asked.promise;
      stop.abort(new Error("stopped"));
      await assert.rejects(stopped, /^Error: stopped$/);
      assert.equal((await other).accessKeyId, "k-shared");
      assert.equal(requests.length, 1 + metadata!.requestCount);
    },
  });
});

test("defaultCredentials() of other keys, profiles or variables are others", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "credentials");
  const section = (name: string) => `[${name}]\naws_access_key_id = k-${name}\naws_secret_access_key = s\n`;
  writeFileSync(path, section("one") + section("two"));
  const env = { ...NOWHERE, AWS_SHARED_CREDENTIALS_FILE: path, AWS_PROFILE: "one" };
  const configured = [{ accessKeyId: "k-own", secretAccessKey: "s" }];
  const providers = [
    defaultCredentials({ env, configured }),
    defaultCredentials({ env, profile: "two" }),
    defaultCredentials({ env }),
    defaultCredentials({ env: { ...env, AWS_PROFILE: "two" } }),
  ];
  const all = await Promise.all(providers.map((provider) => provider.get()));
  assert.deepEqual(all.map(({ accessKeyId }) => accessKeyId), ["k-own", "k-two", "k-one", "k-two"]);
});
