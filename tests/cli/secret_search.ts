/** Looks for secrets in what a program has said. */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";

/** So much of a secret in a row counts as the secret. */
const WINDOW = 12;

/** A secret as AWS makes them: 40 characters, with those that URLs and JSON write otherwise. */
export function randomSecret(): string {
  return `${randomBytes(14).toString("base64").slice(0, 18)}/+${randomBytes(15).toString("base64")}`;
}

/** Names of the secrets of which a part stands in `text`: as they are, encoded for a URL, or in Base64. */
export function foundSecrets(text: string, secrets: Readonly<Record<string, string>>): string[] {
  return Object.entries(secrets).filter(([, secret]) =>
    [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64")].some((form) =>
      windowsOf(form).some((part) => text.includes(part))
    )
  ).map(([name]) => name);
}

function windowsOf(text: string): string[] {
  return Array.from(
    { length: Math.max(1, text.length - WINDOW + 1) },
    (_, at) => text.slice(at, at + WINDOW),
  );
}
