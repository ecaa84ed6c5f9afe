/** Keys of other versions of Litestream, and what to write instead. None of them is a key of ours. */
import type { Section } from "./keys.ts";

interface ForeignKey {
  readonly sections: readonly Section[];
  readonly keys: readonly string[];
  readonly instead: string;
}

const NOT_NEEDED = "nothing has to be written instead";

const FOREIGN_KEYS: readonly ForeignKey[] = [
  { sections: ["database"], keys: ["replica"], instead: "write a list: replicas:" },
  {
    sections: ["top"],
    keys: ["snapshot"],
    instead: "write snapshot-interval and retention in each replica",
  },
  {
    sections: ["top", "database", "replica"],
    keys: ["levels", "verify-compaction", "l0-retention", "l0-retention-check-interval"],
    instead: `this format has no levels: ${NOT_NEEDED}`,
  },
  { sections: ["top"], keys: ["validation"], instead: "write validation-interval in each replica" },
  { sections: ["top"], keys: ["mcp-addr", "socket"], instead: "there is no such server here: remove it" },
  {
    sections: ["top"],
    keys: ["shutdown-sync-timeout", "shutdown-sync-interval"],
    instead: `what is missing is always sent before the end: ${NOT_NEEDED}`,
  },
  {
    sections: ["top", "database"],
    keys: ["heartbeat-url", "heartbeat-interval"],
    instead: "watch /health or /metrics of addr",
  },
  { sections: ["database"], keys: ["truncate-page-n"], instead: "write truncate-page-count" },
  {
    sections: ["database"],
    keys: ["dir", "pattern", "recursive", "watch"],
    instead: "write each database with its path",
  },
  {
    sections: ["database"],
    keys: ["restore-if-db-not-exists"],
    instead: "give the flag -restore-if-db-not-exists to replicate",
  },
  {
    sections: ["replica"],
    keys: ["sse-customer-algorithm", "sse-customer-key", "sse-customer-key-path", "sse-kms-key-id"],
    instead: "encrypt with age, or set the encryption of the bucket",
  },
  {
    sections: ["replica"],
    keys: ["sign-payload", "require-content-md5"],
    instead: `the store does what its server needs: ${NOT_NEEDED}`,
  },
  { sections: ["replica"], keys: ["auto-recover"], instead: `the program recovers by itself: ${NOT_NEEDED}` },
  {
    sections: ["replica"],
    keys: ["concurrent-writes", "host-key"],
    instead: "sftp has no such setting here: remove it",
  },
  {
    sections: ["replica"],
    keys: [
      "webdav-url",
      "webdav-username",
      "webdav-password",
      "jwt",
      "seed",
      "creds",
      "nkey",
      "username",
      "token",
      "tls",
      "root-cas",
      "client-cert",
      "client-key",
      "max-reconnects",
      "reconnect-wait",
    ],
    instead: "its type of replica isn't known here: write file, s3, gcs, abs or sftp",
  },
  { sections: ["top", "logging"], keys: ["trace", "verbose"], instead: "write logging: { level: debug }" },
  { sections: ["logging"], keys: ["source"], instead: "remove it" },
];

/** What to do about a key of another version; `undefined` for a key that no version has there. */
export function insteadOf(section: Section, key: string): string | undefined {
  return FOREIGN_KEYS.find(({ sections, keys }) => sections.includes(section) && keys.includes(key))?.instead;
}

/** Every such key with where it stands, for the documentation. */
export function foreignKeys(): readonly ForeignKey[] {
  return FOREIGN_KEYS;
}
