import { StoreError } from "../../../errors.ts";
import { sleep } from "../../../async.ts";
import type { Files } from "../../../runtime/files.ts";
import type { HttpClient, HttpRequest } from "../../../runtime/http.ts";
import { join } from "../../../runtime/paths.ts";
import { readText as readBody } from "../http_body.ts";
import type { Environment } from "./keys.ts";

/** What the places of credentials are looked up with. */
export interface SourceContext {
  readonly env: Environment;
  readonly files: Files;
  readonly http: HttpClient;
}

/** An answer of a credentials service. */
export interface ServiceAnswer {
  readonly status: number;
  readonly text: string;
}

/** How long a service is waited for and how often it is asked. */
export interface ServicePatience {
  readonly timeoutMs: number;
  /** In all, where nothing answers. One that answers that it is busy is there, and asked more often. */
  readonly tries: number;
  /** Whether another answer may come in a moment. Default `isBusyAnswer`. */
  readonly isBusy?: (answer: ServiceAnswer) => boolean;
}

/** With the waits between them some three seconds on average, six at most. */
const BUSY_TRIES = 5;

/** More than any answer of these services has. */
const LONGEST_ANSWER = 256 * 1024;

/** Whether this answer is one that may be another in a moment. */
export function isBusyAnswer({ status }: ServiceAnswer): boolean {
  return status === 429 || status >= 500;
}

/**
 * Ask a service of the machine or of AWS; network failures and answers that it is busy are tried again after a moment.
 *
 * @returns the last answer, a busy one where there was no other: a service that then fell silent is there all the same
 */
export async function askService(
  http: HttpClient,
  request: HttpRequest,
  { timeoutMs, tries, isBusy = isBusyAnswer }: ServicePatience,
): Promise<ServiceAnswer> {
  let busy: ServiceAnswer | undefined;
  for (let attempt = 1;; attempt++) {
    try {
      const answer = await askOnce(http, request, { timeoutMs });
      if (!isBusy(answer)) return answer;
      busy = answer;
    } catch (error) {
      if (busy === undefined && attempt >= tries) throw error;
    }
    if (busy !== undefined && attempt >= BUSY_TRIES) return busy;
    await sleep(Math.random() * 200 * 2 ** attempt);
  }
}

async function askOnce(
  http: HttpClient,
  request: HttpRequest,
  { timeoutMs }: { timeoutMs: number },
): Promise<ServiceAnswer> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
  try {
    const response = await http.send({ ...request, signal: timeout.signal });
    return { status: response.status, text: await readBody(response.body, { limit: LONGEST_ANSWER }) };
  } finally {
    clearTimeout(timer);
  }
}

/** The text of a small file; `undefined` when it isn't there. */
export async function readSmallFile(files: Files, path: string): Promise<string | undefined> {
  const stat = await files.stat(path);
  if (stat === undefined) return undefined;
  if (stat.size > LONGEST_ANSWER) throw new StoreError(`cannot use ${path}: too large`);
  using file = await files.open(path, { access: "read" });
  const bytes = new Uint8Array(stat.size);
  return new TextDecoder().decode(bytes.subarray(0, await file.read(bytes, 0)));
}

/** Where AWS's tools keep their files unless a variable says otherwise. */
export function awsFilePath(
  env: Environment,
  { variable, name }: { variable: string; name: string },
): string | undefined {
  const home = env["HOME"] || env["USERPROFILE"];
  return env[variable] || (home ? join(home, ".aws", name) : undefined);
}

/** The fields that ECS, EKS and EC2 give keys in. */
export function parseServiceKeys(text: string, { service }: { service: string }) {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new StoreError(`${service} did not answer with JSON`, { isTransient: true });
  }
  const { AccessKeyId, SecretAccessKey, Token, Expiration } = fields;
  if (typeof AccessKeyId !== "string" || typeof SecretAccessKey !== "string") {
    // `Code` and `Message` hold no secrets: "AssumeRoleUnauthorizedAccess" and the like.
    const why = [fields["Code"], fields["Message"] ?? fields["message"]].filter((part) =>
      typeof part === "string"
    );
    throw new StoreError(`${service} gave no keys${why.length > 0 ? `: ${why.join(": ")}` : ""}`);
  }
  const expiresAt = typeof Expiration === "string" ? new Date(Expiration) : undefined;
  if (expiresAt !== undefined && Number.isNaN(expiresAt.getTime())) {
    throw new StoreError(`${service} gave keys with an end that is no time`);
  }
  return {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: typeof Token === "string" && Token !== "" ? Token : undefined,
    expiresAt,
  };
}
