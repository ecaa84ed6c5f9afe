/** Signature version 4, the only place that knows how requests are signed. */
import { AwsV4Signer } from "aws4fetch";
import { toHex } from "../../bytes.ts";
import { hmacSha256, sha256 } from "../../runtime/digests.ts";
import type { Credentials } from "./credentials/credentials.ts";

/** What is signed. The body is not: its checksum is a signed header. */
export interface UnsignedRequest {
  readonly method: string;
  /** Path and query encoded by `encodeURIComponent`; a raw `+` would be signed wrongly. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Signs for one service, with the derived keys of a day kept. */
export class RequestSigner {
  readonly #service: string;
  readonly #keys = new SigningKeys();

  constructor({ service }: { service: string }) {
    this.#service = service;
  }

  /** The request's headers with those of the signature. */
  async sign(
    request: UnsignedRequest,
    { credentials, region }: { credentials: Credentials; region: string },
  ): Promise<Record<string, string>> {
    const quick = this.#signPlain(request, { credentials, region });
    if (quick !== undefined) return quick;
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const signer = new DirectSigner(this.#keys, {
      ...request,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      service: this.#service,
      region,
    });
    const { headers } = await signer.sign();
    return Object.fromEntries(headers);
  }

  /**
   * The same for what nothing has to be encoded in, as nearly all objects of a replica: aws4fetch's way through URL and
   * Headers was a ninth of a restore of small segments. `undefined` for anything else.
   */
  #signPlain(
    { method, url, headers }: UnsignedRequest,
    { credentials, region }: { credentials: Credentials; region: string },
  ): Record<string, string> | undefined {
    const [, host, path] = PLAIN_URL.exec(url) ?? [];
    if (host === undefined || path === undefined || path.includes("/.")) return undefined;
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const datetime = new Date().toISOString().replace(/[:-]|\.\d{3}/g, "");
    const all: Record<string, string> = {
      [CONTENT_HASH]: "UNSIGNED-PAYLOAD",
      ...headers,
      "x-amz-date": datetime,
    };
    if (sessionToken !== undefined) all["x-amz-security-token"] = sessionToken;
    const signed: Record<string, string> = { ...all, host };
    const names = Object.keys(signed).filter((name) => !UNSIGNED_HEADERS.has(name)).sort();
    if (!names.every((name) => PLAIN_NAME.test(name) && PLAIN_VALUE.test(signed[name]!))) return undefined;
    const canonicalHeaders = names.map((name) => `${name}:${signed[name]}\n`).join("");
    const signedHeaders = names.join(";");
    const canonical = [method, path, "", canonicalHeaders, signedHeaders, all[CONTENT_HASH]].join("\n");
    const date = datetime.slice(0, 8);
    const scope = `${date}/${region}/${this.#service}/aws4_request`;
    const hash = toHex(sha256(new TextEncoder().encode(canonical)));
    const key = this.#keys.get({ secretAccessKey, date, region, service: this.#service });
    const signature = toHex(hmacSha256(key, `AWS4-HMAC-SHA256\n${datetime}\n${scope}\n${hash}`));
    all["authorization"] = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, ` +
      `SignedHeaders=${signedHeaders}, Signature=${signature}`;
    return all;
  }
}

const CONTENT_HASH = "x-amz-content-sha256";

/** Scheme, host and path without a query, with nothing in them that would have to be encoded or made normal. */
const PLAIN_URL = /^https?:\/\/([a-z0-9.:-]+)(\/[\w.~/-]*)$/;

const PLAIN_NAME = /^[a-z0-9-]+$/;

/** One line without doubled spaces, which would be signed as one. */
const PLAIN_VALUE = /^[!-~]+( [!-~]+)*$/;

/** What aws4fetch signs neither, since proxies change it. */
const UNSIGNED_HEADERS: ReadonlySet<string> = new Set([
  "authorization",
  "connection",
  "content-length",
  "content-type",
  "expect",
  "presigned-expires",
  "range",
  "user-agent",
  "x-amzn-trace-id",
]);

/** What is needed to derive a key. */
interface KeyScope {
  readonly secretAccessKey: string;
  /** `20250131`. */
  readonly date: string;
  readonly region: string;
  readonly service: string;
}

/** The derived keys of a day. */
class SigningKeys {
  #kept = new Map<string, Uint8Array>();

  get({ secretAccessKey, date, region, service }: KeyScope): Uint8Array {
    const scope = [secretAccessKey, date, region, service].join();
    const known = this.#kept.get(scope);
    if (known !== undefined) return known;
    // One entry a day and key: old ones are of no use, and secrets.
    if (this.#kept.size > 8) this.#kept = new Map();
    let key: Uint8Array = new TextEncoder().encode(`AWS4${secretAccessKey}`);
    for (const part of [date, region, service, "aws4_request"]) key = hmacSha256(key, part);
    this.#kept.set(scope, key);
    return key;
  }
}

/**
 * aws4fetch's signer with hashes computed at once. Its own go through Web Crypto, which hands each to another thread
 * and cost more than all else that a small request takes: two fifths of the CPU of a restore of many segments.
 */
class DirectSigner extends AwsV4Signer {
  readonly #keys: SigningKeys;

  constructor(keys: SigningKeys, options: ConstructorParameters<typeof AwsV4Signer>[0]) {
    super(options);
    this.#keys = keys;
  }

  override async signature(): Promise<string> {
    const { secretAccessKey, region, service } = this;
    const key = this.#keys.get({ secretAccessKey, date: this.datetime.slice(0, 8), region, service });
    return toHex(hmacSha256(key, await this.stringToSign()));
  }

  override async stringToSign(): Promise<string> {
    const canonical = new TextEncoder().encode(await this.canonicalString());
    return ["AWS4-HMAC-SHA256", this.datetime, this.credentialString, toHex(sha256(canonical))].join("\n");
  }
}
