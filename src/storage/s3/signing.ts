/** Signature version 4, the only place that knows how requests are signed. */
import { AwsV4Signer } from "aws4fetch";
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
  #cache = new Map<string, ArrayBuffer>();

  constructor({ service }: { service: string }) {
    this.#service = service;
  }

  /** The request's headers with those of the signature. */
  async sign(
    request: UnsignedRequest,
    { credentials, region }: { credentials: Credentials; region: string },
  ): Promise<Record<string, string>> {
    // One entry a day and key: old ones are of no use, and secrets.
    if (this.#cache.size > 8) this.#cache = new Map();
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const signer = new AwsV4Signer({
      ...request,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      service: this.#service,
      region,
      cache: this.#cache,
    });
    const { headers } = await signer.sign();
    return Object.fromEntries(headers);
  }
}
