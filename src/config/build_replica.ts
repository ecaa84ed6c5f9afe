/** One entry of `replicas`, with the rules and texts of Litestream 0.3 in their order. */
import { UsageError } from "../errors.ts";
import { CONFIGURED_NAMES, wholePair } from "../key_pair.ts";
import {
  isReplicaUrl,
  parseReplicaUrl,
  type RemoteReplicaUrl,
  withoutCredentials,
} from "../storage/replica_url.ts";
import { parseIdentities, parseRecipients } from "./age_keys.ts";
import {
  atKey,
  type BuildContext,
  linesOf,
  positive,
  readSecretAt,
  secretOf,
  zeroOrMore,
} from "./build_context.ts";
import type {
  AbsReplicaConfig,
  CommonReplicaConfig,
  FileReplicaConfig,
  GcsReplicaConfig,
  ReplicaConfig,
  S3ReplicaConfig,
  SftpReplicaConfig,
} from "./configuration.ts";
import { Refusal } from "./findings.ts";
import { keyFact, REPLICA_TYPES, type ReplicaType } from "./keys.ts";
import { nearestName } from "./nearest_key.ts";
import type { SectionValues } from "./section_values.ts";

/** Keys of the account that the top of the file gives to every replica that leaves them out. */
export interface GlobalCredentials {
  readonly accessKeyId: string | undefined;
  readonly secretAccessKey: string | undefined;
}

/** What a builder of one type gets. */
interface ReplicaContext extends BuildContext {
  readonly globals: GlobalCredentials;
}

/**
 * Build a replica.
 *
 * @throws {Refusal} at the first thing that is wrong
 */
export function buildReplica(section: SectionValues, context: ReplicaContext): ReplicaConfig {
  const path = section.text("path");
  if (path !== undefined && isReplicaUrl(path)) {
    const shownPath = withoutCredentials(path);
    throw new Refusal(
      section.offsetOf("path"),
      `replica path cannot be a url, please use the 'url' field instead: ${shownPath}`,
    );
  }
  const keys = buildAge(section, context);
  const type = replicaType(section);
  warnWithoutEffect(section, { type, context });
  const common = buildCommon(section, { type, keys, context });
  switch (type) {
    case "file":
      return buildFile(section, { common, context });
    case "s3":
      return buildS3(section, { common, context });
    case "gcs":
      return buildGcs(section, common);
    case "abs":
      return buildAbs(section, { common, context });
    case "sftp":
      return buildSftp(section, { common, context });
  }
}

interface AgeKeys {
  readonly identities: string[];
  readonly recipients: string[];
}

function buildAge(section: SectionValues, context: BuildContext): AgeKeys {
  const age = section.child("age");
  if (age === undefined) return { identities: [], recipients: [] };
  const keysIn = (name: "identities" | "recipients", parse: (text: string) => string[]): string[] => {
    const keys = linesOf(age.texts(name), parse);
    const fileKey = `${name}-file`;
    const path = age.text(fileKey);
    if (path === undefined) return keys;
    const text = readSecretAt(age, fileKey, { path, context });
    return [...keys, ...atKey(age, fileKey, () => parse(text))];
  };
  for (const place of age.texts("identities")) context.noteSecret(place);
  const identities = keysIn("identities", parseIdentities);
  const recipients = keysIn("recipients", parseRecipients);
  if (recipients.length > 0 && identities.length === 0) {
    const message =
      "age has recipients and no identities: what is written here can't be read back here (restore, " +
      "validation, going on after a restart)";
    context.findings.add("doubtful", age.start, message);
  }
  if (identities.length > 0 && recipients.length === 0) {
    const message =
      "age has identities and no recipients: this replica can be restored, and nothing can be stored in it";
    context.findings.add("doubtful", age.start, message);
  }
  return { identities, recipients };
}

/** The scheme of the URL before `type`; a URL that can't be read has none. */
function replicaType(section: SectionValues): ReplicaType {
  const url = section.text("url");
  const written = section.text("type") ?? "";
  const scheme = url === undefined ? undefined : schemeOf(url);
  const name = scheme ?? (written === "" ? "file" : written);
  const type = REPLICA_TYPES.find((known) => known === name);
  if (type !== undefined) return type;
  const near = { gs: "gcs", azure: "abs", ssh: "sftp" }[name] ?? nearestName(name, REPLICA_TYPES);
  const hint = near === undefined ? `write ${REPLICA_TYPES.join(", ")}` : `did you mean ${near}?`;
  const found = scheme === undefined ? "" : ` (url ${scheme}:)`;
  throw new Refusal(
    section.offsetOf(scheme === undefined ? "type" : "url"),
    `unknown replica type in config: ${JSON.stringify(written)}${found}: ${hint}`,
  );
}

function schemeOf(url: string): string | undefined {
  return /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(url)?.[1]?.toLowerCase();
}

function warnWithoutEffect(
  section: SectionValues,
  { type, context }: { type: ReplicaType; context: BuildContext },
): void {
  for (const key of section.keys()) {
    const types = keyFact("replica", key)?.types;
    if (types === undefined || types.includes(type)) continue;
    const message = `key "${key}" has no effect on a replica of type ${type}: it is for ${types.join(", ")}`;
    context.findings.add("no-effect", section.keyOffsetOf(key), message);
  }
  const written = section.text("type");
  if (written !== undefined && written !== type) {
    const message = `type "${written}" has no effect: by its url the replica is of type ${type}`;
    context.findings.add("no-effect", section.offsetOf("type"), message);
  }
}

function buildCommon(
  section: SectionValues,
  { type, keys, context }: { type: ReplicaType; keys: AgeKeys; context: BuildContext },
): CommonReplicaConfig {
  const retentionMs = zeroOrMore(section, "retention");
  const checkMs = positive(section, "retention-check-interval", "to keep everything write retention: 0");
  return {
    name: section.text("name") ?? type,
    syncIntervalMs: positive(section, "sync-interval", "1s is the usual"),
    retentionMs,
    retentionCheckIntervalMs: retentionMs > 0 ? Math.min(checkMs, retentionMs) : checkMs,
    snapshotIntervalMs: zeroOrMore(section, "snapshot-interval"),
    validationIntervalMs: zeroOrMore(section, "validation-interval"),
    drillIntervalMs: zeroOrMore(section, "drill-interval"),
    ...keys,
    uploadBandwidth: atLeast(section, "upload-bandwidth", { least: 1, unit: "bytes a second" }),
    at: context.findings.locationOf(section.start),
  };
}

/** An optional number that must be `least` or more. */
function atLeast(
  section: SectionValues,
  key: string,
  { least, most = Infinity, unit }: { least: number; most?: number; unit: string },
): number | undefined {
  const value = section.number(key);
  if (value === undefined || (value >= least && value <= most)) return value;
  const limits = most === Infinity ? `at least ${least}` : `from ${least} to ${most}`;
  throw new Refusal(section.offsetOf(key), `${key} must be ${limits} ${unit}`);
}

/** Refuse `key` beside `url`. */
function notBoth(section: SectionValues, key: string, type: ReplicaType): void {
  if (section.text("url") === undefined || section.text(key) === undefined) return;
  throw new Refusal(section.offsetOf(key), `cannot specify url & ${key} for ${type} replica`);
}

/** The URL of a server, if there is one. */
function remoteUrl(section: SectionValues): RemoteReplicaUrl | undefined {
  const text = section.text("url");
  if (text === undefined) return undefined;
  requireScheme(section, text);
  // `s3:bucket/path` has no host for the original, which then misses it.
  if (!isReplicaUrl(text)) return undefined;
  const url = readUrl(section, text);
  return url.type === "file" ? undefined : url;
}

function requireScheme(section: SectionValues, url: string): void {
  if (schemeOf(url) !== undefined) return;
  throw new Refusal(section.offsetOf("url"), `replica url scheme required: ${withoutCredentials(url)}`);
}

function readUrl(section: SectionValues, url: string): ReturnType<typeof parseReplicaUrl> {
  try {
    return parseReplicaUrl(url);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new Refusal(section.offsetOf("url"), error.message);
  }
}

function required(section: SectionValues, value: string | undefined, what: string): string {
  if (value !== undefined && value !== "") return value;
  throw new Refusal(section.text("url") === undefined ? section.start : section.offsetOf("url"), what);
}

function buildFile(
  section: SectionValues,
  { common, context }: { common: CommonReplicaConfig; context: BuildContext },
): FileReplicaConfig {
  notBoth(section, "path", "file");
  const url = section.text("url");
  if (url !== undefined) requireScheme(section, url);
  const fromUrl = url === undefined ? undefined : readUrl(section, url);
  const written = fromUrl?.type === "file" ? fromUrl.path : section.text("path");
  const path = required(section, written, "file replica path required");
  return {
    ...common,
    type: "file",
    path: atKey(section, url === undefined ? "path" : "url", () => context.expandPath(path)),
    mustExist: section.flag("must-exist") ?? false,
  };
}

function buildS3(
  section: SectionValues,
  { common, context }: { common: CommonReplicaConfig; context: ReplicaContext },
): S3ReplicaConfig {
  notBoth(section, "path", "s3");
  notBoth(section, "bucket", "s3");
  const url = remoteUrl(section);
  const place = url === undefined ? undefined : url.host.replace(/:\d*$/, "");
  required(section, place ?? section.text("bucket"), "bucket required for s3 replica");
  const caCert = section.text("ca-cert");
  return {
    ...common,
    type: "s3",
    urlHost: url?.host,
    bucket: url === undefined ? section.text("bucket") : undefined,
    path: url?.path ?? section.text("path") ?? "",
    region: section.text("region"),
    endpoint: section.text("endpoint"),
    forcePathStyle: section.flag("force-path-style"),
    skipVerify: section.flag("skip-verify") ?? false,
    ...buildCredentials(section, context),
    profile: section.text("profile"),
    caCertPath: caCert === undefined
      ? undefined
      : atKey(section, "ca-cert", () => context.expandPath(caCert)),
    partSize: atLeast(section, "part-size", {
      least: 5 * 2 ** 20,
      most: 5 * 2 ** 30,
      unit: "bytes (5MiB to 5GiB)",
    }),
    concurrency: atLeast(section, "concurrency", { least: 1, most: 1000, unit: "parts" }),
    storageClass: section.text("storage-class"),
  };
}

/** Both halves or none: one that is missing may come from the environment. */
function buildCredentials(
  section: SectionValues,
  context: ReplicaContext,
): Pick<S3ReplicaConfig, "accessKeyId" | "secretAccessKey" | "sessionToken"> {
  const accessKeyId = secretOf(section, "access-key-id", context) ?? context.globals.accessKeyId;
  const secretAccessKey = secretOf(section, "secret-access-key", context) ?? context.globals.secretAccessKey;
  const sessionToken = secretOf(section, "session-token", context);
  const present = accessKeyId === undefined ? "secret-access-key" : "access-key-id";
  const pair = atKey(
    section,
    present,
    () => wholePair({ accessKeyId, secretAccessKey }, { names: CONFIGURED_NAMES, lookup: context.lookup }),
  );
  if (pair !== undefined) return { ...pair, sessionToken };
  if (sessionToken === undefined) return {};
  throw new Refusal(
    section.offsetOf(section.text("session-token") === undefined ? "session-token-file" : "session-token"),
    "session-token is set and its keys are not: write access-key-id and secret-access-key too",
  );
}

function buildGcs(section: SectionValues, common: CommonReplicaConfig): GcsReplicaConfig {
  notBoth(section, "path", "gcs");
  notBoth(section, "bucket", "gcs");
  const url = remoteUrl(section);
  return {
    ...common,
    type: "gcs",
    bucket: required(section, url?.host ?? section.text("bucket"), "bucket required for gcs replica"),
    path: url?.path ?? section.text("path") ?? "",
  };
}

function buildAbs(
  section: SectionValues,
  { common, context }: { common: CommonReplicaConfig; context: BuildContext },
): AbsReplicaConfig {
  notBoth(section, "path", "abs");
  notBoth(section, "bucket", "abs");
  const url = remoteUrl(section);
  const fromEnvironment = context.lookup("LITESTREAM_AZURE_ACCOUNT_KEY");
  return {
    ...common,
    type: "abs",
    accountName: section.text("account-name") ?? url?.user,
    accountKey: secretOf(section, "account-key", context) ??
      (fromEnvironment === "" ? undefined : fromEnvironment),
    bucket: required(section, url?.host ?? section.text("bucket"), "bucket required for abs replica"),
    path: url?.path ?? section.text("path") ?? "",
    endpoint: section.text("endpoint"),
  };
}

function buildSftp(
  section: SectionValues,
  { common, context }: { common: CommonReplicaConfig; context: BuildContext },
): SftpReplicaConfig {
  notBoth(section, "path", "sftp");
  notBoth(section, "host", "sftp");
  const url = remoteUrl(section);
  if (url?.password !== undefined && url.password !== "") {
    context.noteSecret({ start: section.offsetOf("url"), end: section.endOf("url") });
  }
  return {
    ...common,
    type: "sftp",
    host: required(section, section.text("host") ?? url?.host, "host required for sftp replica"),
    user: required(section, section.text("user") ?? url?.user, "user required for sftp replica"),
    password: secretOf(section, "password", context) ?? url?.password,
    keyPath: section.text("key-path"),
    path: section.text("path") ?? url?.uncleanPath ?? "",
  };
}
