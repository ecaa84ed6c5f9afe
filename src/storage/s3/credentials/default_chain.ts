import type { Logger } from "../../../logger.ts";
import type { Clock } from "../../../runtime/clock.ts";
import { type Files, systemFiles } from "../../../runtime/files.ts";
import { type HttpClient, openHttpClient } from "../../../runtime/http.ts";
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
  readonly http?: HttpClient | undefined;
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
}

/**
 * Configured keys, environment, shared files, web identity, container, EC2: the first that has keys. A profile
 * that the configuration names comes before the environment.
 */
export function defaultCredentials(
  { env, configured = [], profile, files = systemFiles, http = openHttpClient(), clock, logger }:
    DefaultCredentialsOptions,
): CredentialsProvider {
  const context = { env, files, http };
  return new CredentialsChain([
    ...configured.map((keys) => configuredKeys(keys, { env })),
    ...(profile ? [profileCredentials(context, { profile })] : []),
    environmentKeys(env),
    profileCredentials(context),
    webIdentityCredentials(context),
    containerCredentials(context),
    instanceCredentials(context),
  ], { ...(clock === undefined ? {} : { clock }), ...(logger === undefined ? {} : { logger }) });
}
