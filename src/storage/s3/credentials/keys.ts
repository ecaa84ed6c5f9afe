/** Keys that somebody wrote down: in the configuration or in the environment. */
import { UsageError } from "../../../errors.ts";
import type { CredentialsSource } from "./credentials.ts";

/** Variables by name, as the process has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Keys as configured; an empty text is as good as none. */
export interface ConfiguredKeys {
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  readonly sessionToken?: string | undefined;
}

/**
 * The keys of a replica, or of the whole configuration. When one of the two is missing the environment's is taken.
 *
 * @throws {UsageError} on loading, when one of the two is nowhere to be found
 */
export function configuredKeys(keys: ConfiguredKeys, { env }: { env: Environment }): CredentialsSource {
  return {
    name: "the configuration",
    load() {
      const { accessKeyId, secretAccessKey, sessionToken } = keys;
      if (!accessKeyId && !secretAccessKey) return Promise.resolve(undefined);
      const id = accessKeyId || accessKeyIdIn(env);
      const secret = secretAccessKey || secretAccessKeyIn(env);
      if (!id) return Promise.reject(halfError("secret-access-key", "access-key-id"));
      if (!secret) return Promise.reject(halfError("access-key-id", "secret-access-key"));
      return Promise.resolve({
        accessKeyId: id,
        secretAccessKey: secret,
        sessionToken: sessionToken || undefined,
      });
    },
  };
}

/** `LITESTREAM_…` first, then `AWS_…` with its session token. */
export function environmentKeys(env: Environment): CredentialsSource {
  return {
    name: "the environment",
    load() {
      const accessKeyId = accessKeyIdIn(env);
      const secretAccessKey = secretAccessKeyIn(env);
      if (!accessKeyId && !secretAccessKey) return Promise.resolve(undefined);
      if (!accessKeyId) return Promise.reject(halfError("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"));
      if (!secretAccessKey) return Promise.reject(halfError("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"));
      // The token belongs to AWS's own pair, which is ours too where it has no other.
      const isAws = [undefined, "", accessKeyId].includes(env["AWS_ACCESS_KEY_ID"]) ||
        !env["LITESTREAM_ACCESS_KEY_ID"];
      const sessionToken = isAws ? env["AWS_SESSION_TOKEN"] || undefined : undefined;
      return Promise.resolve({ accessKeyId, secretAccessKey, sessionToken });
    },
  };
}

function accessKeyIdIn(env: Environment): string | undefined {
  return env["LITESTREAM_ACCESS_KEY_ID"] || env["AWS_ACCESS_KEY_ID"] || env["AWS_ACCESS_KEY"] || undefined;
}

function secretAccessKeyIn(env: Environment): string | undefined {
  return env["LITESTREAM_SECRET_ACCESS_KEY"] || env["AWS_SECRET_ACCESS_KEY"] || env["AWS_SECRET_KEY"] ||
    undefined;
}

function halfError(present: string, missing: string): UsageError {
  return new UsageError(`${present} is set but ${missing} is not: set both`);
}
