import { describeError, StoreError } from "../../../errors.ts";
import { isRefusal } from "../../../runtime/system_code.ts";
import type { Credentials, CredentialsSource } from "./credentials.ts";
import { parseIni } from "./ini.ts";
import { awsFilePath, readSmallFile, type SourceContext } from "./source_context.ts";
import { assumeRoleWithWebIdentity } from "./web_identity.ts";

const CONFIG_FILE = { variable: "AWS_CONFIG_FILE", name: "config" };
const CREDENTIALS_FILE = { variable: "AWS_SHARED_CREDENTIALS_FILE", name: "credentials" };

/** Where the keys are that a role is taken on with. */
const ROLE_SOURCES = ["source_profile", "credential_source"];

/** Ways of a profile that need other programs, other keys or a browser. */
const FOREIGN_SETTINGS = [
  ...["sso_session", "sso_start_url", "credential_process"],
  ...ROLE_SOURCES,
  "role_arn",
];

/**
 * A profile in the shared credentials file (`[name]`) or the config file (`[profile name]`): keys, or a role with
 * a web identity token. Keys that are there to take on another role are never taken by themselves.
 *
 * @param profile the name that was asked for; absent: `AWS_PROFILE`, else `default`, which may be missing, of no
 * use or, in the home folder, hidden from us
 */
export function profileCredentials(
  context: SourceContext,
  { profile }: { profile?: string | undefined } = {},
): CredentialsSource {
  let passedOver: string | undefined;
  return {
    name: "the AWS config and credentials files",
    passedOver: () => passedOver,
    async load(): Promise<Credentials | undefined> {
      passedOver = undefined;
      const wanted = profile || context.env["AWS_PROFILE"] || undefined;
      const name = wanted ?? "default";
      const settings = await readProfile(context, name).catch((error) => {
        if (wanted !== undefined || namesFile(context.env) || !isRefusal(error)) throw error;
        passedOver = `profile "${name}" can't be read: ${describeError(error)}`;
        return undefined;
      });
      if (settings === undefined) {
        if (wanted === undefined) return undefined;
        throw new StoreError(`profile "${name}" is not in the AWS config and credentials files`);
      }
      const credentials = await credentialsIn(settings, context);
      if (credentials !== undefined) return credentials;
      const foreign = FOREIGN_SETTINGS.find((setting) => settings.has(setting));
      const cannot = foreign === undefined
        ? `profile "${name}" has no aws_access_key_id with aws_secret_access_key`
        : `profile "${name}" uses ${foreign}, which walbrook can't: take one that has keys alone, or AWS_… ` +
          `variables made by "aws configure export-credentials"`;
      if (wanted !== undefined) throw new StoreError(cannot);
      if (foreign !== undefined) passedOver = cannot;
      return undefined;
    },
  };
}

async function credentialsIn(
  settings: ReadonlyMap<string, string>,
  context: SourceContext,
): Promise<Credentials | undefined> {
  const roleArn = settings.get("role_arn");
  if (roleArn && ROLE_SOURCES.some((setting) => settings.has(setting))) return undefined;
  const accessKeyId = settings.get("aws_access_key_id");
  const secretAccessKey = settings.get("aws_secret_access_key");
  if (accessKeyId && secretAccessKey) {
    return { accessKeyId, secretAccessKey, sessionToken: settings.get("aws_session_token") || undefined };
  }
  const tokenPath = settings.get("web_identity_token_file");
  if (!roleArn || !tokenPath) return undefined;
  const sessionName = settings.get("role_session_name");
  return await assumeRoleWithWebIdentity(context, { roleArn, tokenPath, sessionName });
}

/** Whether a variable says where one of the AWS files is. */
function namesFile(env: SourceContext["env"]): boolean {
  return [CONFIG_FILE, CREDENTIALS_FILE].some(({ variable }) => env[variable]);
}

/** The settings of both files together; those of the credentials file win. */
async function readProfile(
  { env, files }: SourceContext,
  name: string,
): Promise<Map<string, string> | undefined> {
  const configPath = awsFilePath(env, CONFIG_FILE);
  const credentialsPath = awsFilePath(env, CREDENTIALS_FILE);
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
