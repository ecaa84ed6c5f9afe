import { StoreError } from "../../../errors.ts";
import type { CredentialsSource } from "./credentials.ts";
import {
  askService,
  isBusyAnswer,
  parseServiceKeys,
  readSmallFile,
  type SourceContext,
} from "./source_context.ts";

const SERVICE = "the container's credentials service";

/** The endpoint that ECS tasks and EKS pods (Pod Identity) are told in variables. */
export function containerCredentials({ env, files, http }: SourceContext): CredentialsSource {
  return {
    name: SERVICE,
    async load() {
      const url = serviceUrl(env);
      if (url === undefined) return undefined;
      const tokenPath = env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
      // Read each time: the file is replaced while we run.
      const token = tokenPath
        ? await readSmallFile(files, tokenPath)
        : env["AWS_CONTAINER_AUTHORIZATION_TOKEN"];
      if (tokenPath && !token) {
        throw new StoreError(`${SERVICE} needs the token in ${tokenPath}, which isn't there`);
      }
      const request = { method: "GET", url, headers: token ? { authorization: token.trim() } : {} };
      const answer = await askService(http, request, { timeoutMs: 5000, tries: 3 }).catch((error) => {
        const message = `${SERVICE} at ${url} can't be reached`;
        throw new StoreError(message, { isTransient: true, sameAs: message, cause: error });
      });
      if (answer.status !== 200) {
        throw new StoreError(`${SERVICE} at ${url} answers with status ${answer.status}`, {
          isTransient: isBusyAnswer(answer),
        });
      }
      return parseServiceKeys(answer.text, { service: SERVICE });
    },
  };
}

function serviceUrl(env: SourceContext["env"]): string | undefined {
  const relative = env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
  if (relative) return `http://169.254.170.2${relative}`;
  const full = env["AWS_CONTAINER_CREDENTIALS_FULL_URI"];
  if (!full) return undefined;
  if (!URL.canParse(full)) throw new StoreError(`AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL: ${full}`);
  const { protocol, hostname } = new URL(full);
  // The token must not go over the network in the clear.
  const isNear = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|169\.254\.17[01]\.\d+|\[fd00:ec2::23\])$/.test(
    hostname,
  );
  if (protocol !== "https:" && !(protocol === "http:" && isNear)) {
    throw new StoreError(`AWS_CONTAINER_CREDENTIALS_FULL_URI must be https or on this machine: ${full}`);
  }
  return full;
}
