import { describeError, StoreError } from "../../../errors.ts";
import { childText, parseXml, type XmlElement } from "../xml.ts";
import type { Credentials, CredentialsSource } from "./credentials.ts";
import {
  askService,
  isBusyAnswer,
  readSmallFile,
  type ServiceAnswer,
  type SourceContext,
} from "./source_context.ts";

/** A role to take on with a token that Kubernetes or another issuer keeps fresh in a file. */
export interface WebIdentity {
  readonly roleArn: string;
  readonly tokenPath: string;
  readonly sessionName?: string | undefined;
}

/** `AWS_WEB_IDENTITY_TOKEN_FILE` with `AWS_ROLE_ARN`, as EKS sets them for a service account. */
export function webIdentityCredentials(context: SourceContext): CredentialsSource {
  return {
    name: "a web identity token",
    async load() {
      const tokenPath = context.env["AWS_WEB_IDENTITY_TOKEN_FILE"];
      const roleArn = context.env["AWS_ROLE_ARN"];
      if (!tokenPath || !roleArn) return undefined;
      return await assumeRoleWithWebIdentity(context, {
        roleArn,
        tokenPath,
        sessionName: context.env["AWS_ROLE_SESSION_NAME"],
      });
    },
  };
}

/**
 * Temporary keys of a role from the security token service. The call itself is not signed.
 *
 * @throws {StoreError} when the token isn't there or the service refuses it
 */
export async function assumeRoleWithWebIdentity(
  { env, files, http }: SourceContext,
  { roleArn, tokenPath, sessionName }: WebIdentity,
): Promise<Credentials> {
  const token = (await readSmallFile(files, tokenPath))?.trim();
  if (!token) throw new StoreError(`no web identity token in ${tokenPath}`);
  const form = new URLSearchParams({
    Action: "AssumeRoleWithWebIdentity",
    Version: "2011-06-15",
    RoleArn: roleArn,
    RoleSessionName: sessionName || "walbrook",
    WebIdentityToken: token,
  });
  const url = serviceUrl(env);
  const cannot = `cannot take on role ${roleArn} at ${url}`;
  const answer = await askService(http, {
    method: "POST",
    url,
    headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/xml" },
    body: new TextEncoder().encode(form.toString()),
  }, { timeoutMs: 10_000, tries: 3, isBusy }).catch((error) => {
    throw new StoreError(cannot, { isTransient: true, sameAs: cannot, cause: error });
  });
  let root: XmlElement;
  try {
    root = parseXml(answer.text);
  } catch (error) {
    throw new StoreError(`${cannot}: status ${answer.status}: ${describeError(error)}`, {
      isTransient: true,
    });
  }
  if (answer.status !== 200) {
    const failure = find(root, "Error") ?? root;
    const code = childText(failure, "Code") ?? answer.status;
    throw new StoreError(`${cannot}: ${code}: ${childText(failure, "Message") ?? ""}`, {
      isTransient: isBusy(answer),
      // Of a token that has ended the message tells the time.
      sameAs: `${cannot}: ${code}`,
    });
  }
  return keysOf(find(root, "Credentials"), cannot);
}

/** The service's words for "too many at once", and for an issuer that it couldn't ask; both come with status 400. */
const BUSY_CODE =
  /<Code>(Throttling|ThrottlingException|RequestLimitExceeded|TooManyRequests|IDPCommunicationError)<\/Code>/;

function isBusy(answer: ServiceAnswer): boolean {
  return isBusyAnswer(answer) || answer.status === 400 && BUSY_CODE.test(answer.text);
}

function keysOf(keys: XmlElement | undefined, cannot: string): Credentials {
  const accessKeyId = keys && childText(keys, "AccessKeyId");
  const secretAccessKey = keys && childText(keys, "SecretAccessKey");
  const expiresAt = new Date(keys && childText(keys, "Expiration") || NaN);
  if (!accessKeyId || !secretAccessKey || Number.isNaN(expiresAt.getTime())) {
    throw new StoreError(`${cannot}: the answer has no keys`);
  }
  return {
    accessKeyId,
    secretAccessKey,
    sessionToken: childText(keys!, "SessionToken") || undefined,
    expiresAt,
  };
}

function find(element: XmlElement, name: string): XmlElement | undefined {
  if (element.name === name) return element;
  for (const child of element.children) {
    const found = find(child, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

function serviceUrl(env: SourceContext["env"]): string {
  const given = env["AWS_ENDPOINT_URL_STS"];
  if (given) return given;
  const region = env["AWS_REGION"] || env["AWS_DEFAULT_REGION"];
  if (!region) return "https://sts.amazonaws.com/";
  return `https://sts.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}/`;
}
