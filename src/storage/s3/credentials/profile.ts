import { StoreError } from "../../../errors.ts";
import type { Credentials, CredentialsSource } from "./credentials.ts";
import { parseIni } from "./ini.ts";
import { awsFilePath, readSmallFile, type SourceContext } from "./source_context.ts";
import { assumeRoleWithWebIdentity } from "./web_identity.ts";

/** Ways of a profile that need other programs or a browser. */
const FOREIGN_SETTINGS = [
  "sso_session",
  "sso_start_url",
  "credential_process",
  "source_profile",
  "credential_source",
];

/**
 * A profile in the shared credentials file (`[name]`) or the config file (`[profile name]`): keys, or a role with
 * a web identity token.
 *
 * @param profile the name that was asked for; absent: `AWS_PROFILE`, else `default`, which may be missing
 */
export function profileCredentials(
  context: SourceContext,
  { profile }: { profile?: string | undefined } = {},
): CredentialsSource {
  return {
    name: "the AWS config and credentials files",
    async load(): Promise<Credentials | undefined> {
      const wanted = profile || context.env["AWS_PROFILE"] || undefined;
      const name = wanted ?? "default";
      const settings = await readProfile(context, name);
      if (settings === undefined) {
        if (wanted === undefined) return undefined;
        throw new StoreError(`profile "${name}" is not in the AWS config and credentials files`);
      }
      const accessKeyId = settings.get("aws_access_key_id");
      const secretAccessKey = settings.get("aws_secret_access_key");
      if (accessKeyId && secretAccessKey) {
        return { accessKeyId, secretAccessKey, sessionToken: settings.get("aws_session_token") || undefined };
      }
      const roleArn = settings.get("role_arn");
      const tokenPath = settings.get("web_identity_token_file");
      if (roleArn && tokenPath) {
        const sessionName = settings.get("role_session_name");
        return await assumeRoleWithWebIdentity(context, { roleArn, tokenPath, sessionName });
      }
      if (wanted === undefined) return undefined;
      const foreign = FOREIGN_SETTINGS.find((setting) => settings.has(setting));
      throw new StoreError(
        foreign === undefined
          ? `profile "${name}" has no aws_access_key_id with aws_secret_access_key`
          : `profile "${name}" uses ${foreign}, which walbrook can't: give it keys, or AWS_… variables made by ` +
            `"aws configure export-credentials"`,
      );
    },
  };
}

/** The settings of both files together; those of the credentials file win. */
async function readProfile(
  { env, files }: SourceContext,
  name: string,
): Promise<Map<string, string> | undefined> {
  const configPath = awsFilePath(env, { variable: "AWS_CONFIG_FILE", name: "config" });
  const credentialsPath = awsFilePath(env, { variable: "AWS_SHARED_CREDENTIALS_FILE", name: "credentials" });
  const config = parseIni(configPath === undefined ? "" : await readSmallFile(files, configPath) ?? "");
  const keys = parseIni(
    credentialsPath === undefined ? "" : await readSmallFile(files, credentialsPath) ?? "",
  );
  const parts = [
    config.get(`profile ${name}`) ?? (name === "default" ? config.get(name) : undefined),
    keys.get(name),
  ];
  if (parts.every((part) => part === undefined)) return undefined;
  return new Map(parts.flatMap((part) => [...part ?? []]));
}
