import { StoreError } from "../../../errors.ts";
import type { CredentialsSource } from "./credentials.ts";
import {
  askService,
  isBusyAnswer,
  parseServiceKeys,
  type ServiceAnswer,
  type SourceContext,
} from "./source_context.ts";

const SERVICE = "the EC2 metadata service";

/** On a machine that isn't one of EC2's nobody answers; that must not hold up the start for long. */
const PATIENCE = { timeoutMs: 1000, tries: 2 };

/** The role of an EC2 machine, by version 2 of its metadata service: a session token first, then the keys. */
export function instanceCredentials({ env, http }: SourceContext): CredentialsSource {
  const base = (env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] || "http://169.254.169.254").replace(/\/+$/, "");
  /** The keys' service answered once: from then on a failure is one, not a sign that this is no EC2 machine. */
  let isHere = false;
  return {
    name: SERVICE,
    async load() {
      if (env["AWS_EC2_METADATA_DISABLED"]?.toLowerCase() === "true") return undefined;
      const session = await askService(http, {
        method: "PUT",
        url: `${base}/latest/api/token`,
        headers: { "x-aws-ec2-metadata-token-ttl-seconds": "21600" },
      }, PATIENCE).catch((error) => {
        if (isHere) throw unreachable("a token", error);
        return undefined;
      });
      if (session === undefined) return undefined;
      // What is too busy to give a token is there: only something else than EC2's service refuses one.
      if (session.status !== 200 && !isHere && !isBusyAnswer(session)) return undefined;
      if (session.status !== 200) throw refused("gives no token", session);
      const headers = { "x-aws-ec2-metadata-token": session.text };
      const url = `${base}/latest/meta-data/iam/security-credentials/`;
      const roles = await askService(http, { method: "GET", url, headers }, PATIENCE)
        .catch((error) => {
          throw unreachable("the name of the role", error);
        });
      const role = roles.text.trim().split(/\s+/)[0];
      // A machine without a role.
      if (roles.status === 404 || (roles.status === 200 && !role)) return undefined;
      if (roles.status !== 200) throw refused("names no role", roles);
      const answer = await askService(http, { method: "GET", url: url + role, headers }, PATIENCE)
        .catch((error) => {
          throw unreachable(`the keys of role ${role}`, error);
        });
      if (answer.status !== 200) throw refused(`gives no keys of role ${role}`, answer);
      isHere = true;
      return parseServiceKeys(answer.text, { service: SERVICE });
    },
  };
}

function unreachable(what: string, cause: unknown): StoreError {
  const message = `${SERVICE} can't be reached for ${what}`;
  return new StoreError(message, { isTransient: true, sameAs: message, cause });
}

function refused(what: string, answer: ServiceAnswer): StoreError {
  return new StoreError(`${SERVICE} ${what}: status ${answer.status}`, { isTransient: isBusyAnswer(answer) });
}
