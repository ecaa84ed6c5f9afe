import { type Logger, silentLogger } from "../../../logger.ts";
import { type Files, systemFiles } from "../../../runtime/files.ts";
import { openHttpClient } from "../../../runtime/http.ts";
import { CredentialsChain } from "./chain.ts";
import { containerCredentials } from "./container.ts";
import type { CredentialsProvider } from "./credentials.ts";
import { instanceCredentials } from "./instance.ts";
import { type ConfiguredKeys, configuredKeys, type Environment, environmentKeys } from "./keys.ts";
import { profileCredentials } from "./profile.ts";
import { webIdentityCredentials } from "./web_identity.ts";

/** Where the keys of a replica may come from. */
export interface DefaultCredentialsOptions {
  /** The variables of the process. */
  readonly env: Environment;
  /** The replica's own keys, then those of the whole configuration; the first that has one counts. */
  readonly configured?: readonly ConfiguredKeys[] | undefined;
  /** The replica's `profile`: from the AWS files, before the environment. */
  readonly profile?: string | undefined;
  readonly files?: Files | undefined;
  readonly logger?: Logger | undefined;
}

/**
 * Configured keys, environment, shared files, web identity, container, EC2: the first that has keys. A profile
 * that the configuration names comes before the environment.
 *
 * Those without configured keys are one and the same for as long as variables, files and profile are: a thousand
 * replicas ask a service once.
 */
export function defaultCredentials(options: DefaultCredentialsOptions): CredentialsProvider {
  const { env, configured = [], logger = silentLogger } = options;
  // Half of a pair is an error or gets its other half: nothing after it counts.
  if (configured.some(({ accessKeyId, secretAccessKey }) => accessKeyId || secretAccessKey)) {
    return new CredentialsChain(configured.map((keys) => configuredKeys(keys, { env })), { logger });
  }
  return sharedChain(options);
}

/** Of the whole process, by profile, for the variables and the files that they are looked up in. */
const sharedChains = new WeakMap<Environment, WeakMap<Files, Map<string, CredentialsChain>>>();

function sharedChain(
  { env, profile = "", files = systemFiles, logger = silentLogger }: DefaultCredentialsOptions,
): CredentialsChain {
  const byFiles = sharedChains.get(env) ?? new WeakMap<Files, Map<string, CredentialsChain>>();
  sharedChains.set(env, byFiles);
  const byProfile = byFiles.get(files) ?? new Map<string, CredentialsChain>();
  byFiles.set(files, byProfile);
  const chain = byProfile.get(profile) ?? openChain({ env, profile, files, logger });
  byProfile.set(profile, chain);
  return chain;
}

function openChain(
  { env, profile, files, logger }: { env: Environment; profile: string; files: Files; logger: Logger },
): CredentialsChain {
  const context = { env, files, http: openHttpClient() };
  return new CredentialsChain([
    ...(profile === "" ? [] : [profileCredentials(context, { profile })]),
    environmentKeys(env),
    profileCredentials(context),
    webIdentityCredentials(context),
    containerCredentials(context),
    instanceCredentials(context),
  ], { logger });
}
