/**
 * Every key of the configuration file, once: what reads the file, what warns about it and docs/CONFIG.md all go by this
 * table. A new key is a row here and a field in `build_…ts`.
 */

/** Where in the file a key stands. */
export type Section = "top" | "logging" | "database" | "replica" | "age";

/** Kinds of destination. */
export type ReplicaType = "file" | "s3" | "gcs" | "abs" | "sftp";

/** Every kind of destination. */
export const REPLICA_TYPES: readonly ReplicaType[] = ["file", "s3", "gcs", "abs", "sftp"];

/**
 * What a value is: `text` is taken literally; `size` is bytes and `rate` bytes per second, both with k, M, G, Ki, Mi…;
 * `texts` is a list; `section` a mapping, `sections` a list of mappings.
 */
export type KeyKind =
  | "text"
  | "flag"
  | "count"
  | "duration"
  | "size"
  | "rate"
  | "texts"
  | "section"
  | "sections";

/** One key. */
export interface KeyFact {
  readonly key: string;
  readonly section: Section;
  readonly kind: KeyKind;
  /** Milliseconds of a duration, bytes of a size; `undefined` when nothing is set without the key. */
  readonly default?: string | number | boolean;
  /** What docs show where `default` is absent or says it badly. */
  readonly defaultText?: string;
  /** The types of replica it has an effect on; all when absent. */
  readonly types?: readonly ReplicaType[];
  readonly meaning: string;
  /** `0.3`: as in Litestream 0.3.13. `walbrook`: our own; Litestream passes over it. */
  readonly since: "0.3" | "walbrook";
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

const TOP: readonly KeyFact[] = [
  key("top", "addr", "text", { meaning: "Address of the metrics server, `host:port` or `:port`" }),
  own("top", "health-max-stall", "duration", {
    default: 5 * MINUTE_MS,
    meaning:
      "How long a replica may get no further while there is data to send, before that is an error in the log " +
      "and in `/health`; more than 0",
  }),
  own("top", "health-max-lag", "duration", {
    default: 0,
    meaning:
      "How far a replica may be behind, although it gets further, before that is an error too; 0: no such limit",
  }),
  key("top", "exec", "text", { meaning: "Program that `replicate` starts and ends with" }),
  key("top", "access-key-id", "text", { meaning: "Used by every s3 replica that leaves it out" }),
  key("top", "secret-access-key", "text", { meaning: "Used by every s3 replica that leaves it out" }),
  own("top", "access-key-id-file", "text", { meaning: "File that holds `access-key-id`" }),
  own("top", "secret-access-key-file", "text", { meaning: "File that holds `secret-access-key`" }),
  key("top", "logging", "section", { meaning: "How to log" }),
  key("top", "dbs", "sections", { meaning: "The databases" }),
  own("top", "strict", "flag", { default: false, meaning: "Refuse to start on what is otherwise a warning" }),
];

const LOGGING: readonly KeyFact[] = [
  key("logging", "level", "text", { default: "info", meaning: "`debug`, `info`, `warn` or `error`" }),
  key("logging", "type", "text", { default: "text", meaning: "`text` or `json`" }),
  key("logging", "stderr", "flag", {
    default: false,
    meaning: "Log to standard error instead of standard output",
  }),
];

const DATABASE: readonly KeyFact[] = [
  key("database", "path", "text", {
    defaultText: "required",
    meaning: "The database file; `~/` is your home",
  }),
  key("database", "meta-path", "text", {
    defaultText: "`.<name>-litestream` beside the database",
    meaning: "Folder for our own files, taken as written (no `~/`)",
  }),
  key("database", "monitor-interval", "duration", {
    default: SECOND_MS,
    meaning:
      "How often to look for changes when no notice of one comes (at rest on Linux: each 5 s); more than 0",
  }),
  key("database", "checkpoint-interval", "duration", {
    default: MINUTE_MS,
    meaning:
      "Longest time without a checkpoint while there is something to copy back (4 s once nothing is written any more); 0: no such limit",
  }),
  own("database", "busy-timeout", "duration", {
    default: SECOND_MS,
    meaning: "How long the write lock is tried for when the WAL must be checkpointed; 0: once",
  }),
  key("database", "min-checkpoint-page-count", "count", {
    default: 1000,
    meaning:
      "From three quarters of so many pages in the WAL on, checkpoint when the application lets us; more than 0",
  }),
  key("database", "max-checkpoint-page-count", "count", {
    default: 10000,
    meaning: "Pages in the WAL from which on to checkpoint in any case; 0: never",
  }),
  own("database", "truncate-page-count", "count", {
    default: 500000,
    meaning: "Pages in the WAL from which on to make its file smaller again; 0: never",
  }),
  own("database", "max-shadow-size", "size", {
    default: 10 * 2 ** 30,
    defaultText: "`10Gi`",
    meaning:
      "Most bytes of WAL kept for a dead replica, which then starts a new generation when it is back; 0: all",
  }),
  key("database", "replicas", "sections", { meaning: "Where the database is replicated to" }),
];

const REPLICA: readonly KeyFact[] = [
  key("replica", "type", "text", {
    default: "file",
    meaning: "`file`, `s3`, `gcs`, `abs` or `sftp`; the scheme of `url` goes before it",
  }),
  key("replica", "name", "text", {
    defaultText: "the type",
    meaning: "Name in logs, tables and `-replica`; each of a database its own",
  }),
  key("replica", "path", "text", { meaning: "Folder, or prefix of the objects" }),
  key("replica", "url", "text", {
    meaning: "`s3://bucket/path`, `file:///folder`… instead of the fields of the type",
  }),
  key("replica", "retention", "duration", {
    default: 24 * HOUR_MS,
    meaning: "How long a snapshot and what follows it is kept; 0: forever",
  }),
  key("replica", "retention-check-interval", "duration", {
    default: HOUR_MS,
    meaning: "How often to delete what is older; more than 0, at most `retention`",
  }),
  key("replica", "sync-interval", "duration", {
    default: SECOND_MS,
    meaning: "Shortest time between two uploads; more than 0",
  }),
  key("replica", "snapshot-interval", "duration", {
    default: 0,
    meaning: "Age of the last snapshot at which to make one, if anything was written since; 0: none",
  }),
  key("replica", "validation-interval", "duration", {
    default: 0,
    meaning: "How often to restore the replica and compare it with the database; 0: never",
  }),
  own("replica", "drill-interval", "duration", {
    default: 0,
    meaning:
      "How often to restore the replica, check it in every way and publish for when that held; 0: never",
  }),
  own("replica", "must-exist", "flag", {
    default: false,
    types: ["file"],
    meaning: "Never make the folder: an unmounted disk is an error instead of a new replica beside it",
  }),
  own("replica", "upload-bandwidth", "rate", {
    defaultText: "no limit",
    meaning: "Most bytes a second to send",
  }),
  key("replica", "access-key-id", "text", { types: ["s3"], meaning: "Key of the account" }),
  key("replica", "secret-access-key", "text", { types: ["s3"], meaning: "Its secret" }),
  own("replica", "access-key-id-file", "text", { types: ["s3"], meaning: "File that holds `access-key-id`" }),
  own("replica", "secret-access-key-file", "text", {
    types: ["s3"],
    meaning: "File that holds `secret-access-key`",
  }),
  own("replica", "session-token", "text", {
    types: ["s3"],
    meaning: "Token that belongs to a temporary pair of keys",
  }),
  own("replica", "session-token-file", "text", {
    types: ["s3"],
    meaning: "File that holds `session-token`",
  }),
  own("replica", "profile", "text", { types: ["s3"], meaning: "Profile of the shared AWS credentials file" }),
  key("replica", "region", "text", {
    types: ["s3"],
    defaultText: "found by asking",
    meaning: "Region of the bucket",
  }),
  key("replica", "bucket", "text", { types: ["s3", "gcs", "abs"], meaning: "Bucket, or container of abs" }),
  key("replica", "endpoint", "text", {
    types: ["s3", "abs"],
    defaultText: "the provider's",
    meaning: "URL of the server",
  }),
  key("replica", "force-path-style", "flag", {
    types: ["s3"],
    defaultText: "true with an endpoint but Tigris's",
    meaning: "The bucket in the path of a request instead of in its host",
  }),
  key("replica", "skip-verify", "flag", {
    types: ["s3"],
    default: false,
    meaning: "Take any TLS certificate",
  }),
  own("replica", "ca-cert", "text", { types: ["s3"], meaning: "File with the certificates (PEM) to trust" }),
  own("replica", "part-size", "size", {
    types: ["s3"],
    defaultText: "`8Mi`",
    meaning: "Size of the first parts of a large upload; `5Mi` to `5Gi`",
  }),
  own("replica", "concurrency", "count", {
    types: ["s3"],
    defaultText: "`4`",
    meaning: "Parts of one upload sent at once; 1 to 1000",
  }),
  own("replica", "storage-class", "text", {
    types: ["s3"],
    defaultText: "the bucket's",
    meaning: "Storage class of new objects, such as `STANDARD_IA`",
  }),
  key("replica", "account-name", "text", { types: ["abs"], meaning: "Storage account" }),
  key("replica", "account-key", "text", {
    types: ["abs"],
    defaultText: "`LITESTREAM_AZURE_ACCOUNT_KEY`",
    meaning: "Its shared key",
  }),
  own("replica", "account-key-file", "text", { types: ["abs"], meaning: "File that holds `account-key`" }),
  key("replica", "host", "text", { types: ["sftp"], meaning: "`host` or `host:port`" }),
  key("replica", "user", "text", { types: ["sftp"], meaning: "User at the host" }),
  key("replica", "password", "text", { types: ["sftp"], meaning: "The user's password" }),
  own("replica", "password-file", "text", { types: ["sftp"], meaning: "File that holds `password`" }),
  key("replica", "key-path", "text", { types: ["sftp"], meaning: "File with the user's private key" }),
  key("replica", "age", "section", { meaning: "Encryption before anything leaves the machine" }),
];

const AGE: readonly KeyFact[] = [
  key("age", "identities", "texts", {
    meaning: "`AGE-SECRET-KEY-1…`, to read; several lines in one text are several keys",
  }),
  key("age", "recipients", "texts", { meaning: "`age1…`, to write: each of them can read" }),
  own("age", "identities-file", "text", {
    meaning: "File with identities, beside or instead of `identities`",
  }),
  own("age", "recipients-file", "text", {
    meaning: "File with recipients, beside or instead of `recipients`",
  }),
];

/** All keys, in the order of the documentation. */
export const KEYS: readonly KeyFact[] = [...TOP, ...LOGGING, ...DATABASE, ...REPLICA, ...AGE];

const BY_SECTION = new Map<string, KeyFact>(KEYS.map((fact) => [`${fact.section} ${fact.key}`, fact]));

/** The key `name` of `section`. */
export function keyFact(section: Section, name: string): KeyFact | undefined {
  return BY_SECTION.get(`${section} ${name}`);
}

type Rest = Omit<KeyFact, "section" | "key" | "kind" | "since">;

function key(section: Section, name: string, kind: KeyKind, rest: Rest): KeyFact {
  return { section, key: name, kind, since: "0.3", ...rest };
}

function own(section: Section, name: string, kind: KeyKind, rest: Rest): KeyFact {
  return { section, key: name, kind, since: "walbrook", ...rest };
}
