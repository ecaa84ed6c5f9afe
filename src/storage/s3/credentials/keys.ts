/** Keys that somebody wrote down: in the configuration or in the environment. */
import {
  awsKeys,
  CONFIGURED_NAMES,
  environmentPair,
  type KeyPair,
  type PartOfPair,
  type VariableLookup,
  wholePair,
} from "../../../key_pair.ts";
import type { CredentialsSource } from "./credentials.ts";

/** Variables by name, as the process has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Keys as configured; an empty text is as good as none. */
export interface ConfiguredKeys extends PartOfPair {
  readonly sessionToken?: string | undefined;
}

/**
 * The keys of a replica, or of the whole configuration. When one of the two is missing the environment's is taken.
 *
 * @throws {UsageError} on loading, as `wholePair()`
 */
export function configuredKeys(keys: ConfiguredKeys, { env }: { env: Environment }): CredentialsSource {
  return {
    name: "the configuration",
    load: () =>
      Promise.try(() => {
        const pair = wholePair(keys, { names: CONFIGURED_NAMES, lookup: (name) => env[name] });
        return pair && { ...pair, sessionToken: keys.sessionToken || undefined };
      }),
  };
}

/**
 * `LITESTREAM_…` first, then `AWS_…` with its session token.
 *
 * @throws {UsageError} on loading, as `wholePair()`
 */
export function environmentKeys(env: Environment): CredentialsSource {
  const lookup = (name: string) => env[name];
  return {
    name: "the environment",
    load: () =>
      Promise.try(() => {
        const pair = environmentPair(lookup);
        return pair && { ...pair, sessionToken: sessionTokenOf(pair, lookup) };
      }),
  };
}

/** The token belongs to AWS's own pair, which is ours too where it has no other. */
function sessionTokenOf(pair: KeyPair, lookup: VariableLookup): string | undefined {
  const { accessKeyId, secretAccessKey } = awsKeys(lookup);
  if (accessKeyId && accessKeyId !== pair.accessKeyId) return undefined;
  if (secretAccessKey && secretAccessKey !== pair.secretAccessKey) return undefined;
  return lookup("AWS_SESSION_TOKEN") || undefined;
}
