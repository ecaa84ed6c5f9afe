/** Temporary credentials with fewer rights, as MinIO's token service gives them. */
import { createHash } from "node:crypto";
import { parseXml, type XmlElement } from "../../src/storage/s3/xml.ts";
import { RequestSigner } from "../../src/storage/s3/signing.ts";
import { type S3Server, TEST_KEYS } from "./s3_servers.ts";

/** Keys that end. */
export interface TemporaryKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/** Ask the token service of `server` for keys with which only `policy` (JSON) is allowed. */
export async function temporaryKeys(server: S3Server, policy: string): Promise<TemporaryKeys> {
  const url = `${server.endpoint}/`;
  const body = new URLSearchParams({ Action: "AssumeRole", Version: "2011-06-15", Policy: policy })
    .toString();
  const headers = await new RequestSigner({ service: "sts" }).sign({
    method: "POST",
    url,
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      "x-amz-content-sha256": createHash("sha256").update(body).digest("hex"),
    },
  }, { credentials: TEST_KEYS, region: "us-east-1" });
  const response = await fetch(url, { method: "POST", headers, body });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`no temporary keys: ${text}`);
  const root = parseXml(text);
  const part = (name: string) => textOf(root, name);
  return {
    accessKeyId: part("AccessKeyId"),
    secretAccessKey: part("SecretAccessKey"),
    sessionToken: part("SessionToken"),
  };
}

/** The text of the first element of this name, at any depth. */
function textOf(element: XmlElement, name: string): string {
  const found = elementsOf(element).find((other) => other.name === name);
  if (found === undefined) throw new Error(`no <${name}> in the answer`);
  return found.text;
}

function elementsOf(element: XmlElement): XmlElement[] {
  return [element, ...element.children.flatMap(elementsOf)];
}
