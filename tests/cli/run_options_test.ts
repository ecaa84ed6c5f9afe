import { test } from "node:test";
import assert from "node:assert/strict";
import { databaseOptions, replicaPace, replicatorLimits } from "../../src/cli/run_options.ts";
import { KEYS } from "../../src/config/keys.ts";
import { parsed } from "../config/parsed.ts";

function database(text: string) {
  return parsed(`dbs: [{ path: /a, ${text}, replicas: [{ path: /b }] }]`).databases[0]!;
}

function replica(text: string) {
  return parsed(`dbs: [{ path: /a, replicas: [{ path: /b, ${text} }] }]`).databases[0]!.replicas[0]!;
}

/** Each with a value that is nobody's default. */
const DATABASE_KEYS: Readonly<Record<string, (text: string) => [unknown, unknown]>> = {
  "meta-path: /meta": (text) => [databaseOptions(database(text)).metaPath, "/meta"],
  "monitor-interval: 21ms": (text) => [databaseOptions(database(text)).monitorIntervalMs, 21],
  "checkpoint-interval: 22ms": (text) => [databaseOptions(database(text)).limits!.intervalMs, 22],
  "busy-timeout: 23ms": (text) => [databaseOptions(database(text)).busyTimeoutMs, 23],
  "min-checkpoint-page-count: 24": (text) => [databaseOptions(database(text)).limits!.minPages, 24],
  "max-checkpoint-page-count: 2500": (text) => [databaseOptions(database(text)).limits!.maxPages, 2500],
  "truncate-page-count: 26": (text) => [databaseOptions(database(text)).limits!.truncatePages, 26],
  "max-shadow-size: 27k": (text) => [replicatorLimits(database(text)).maxShadowBytes, 27_000],
};

const REPLICA_KEYS: Readonly<Record<string, (text: string) => [unknown, unknown]>> = {
  "retention: 31m": (text) => [replicaPace(replica(text)).duties!.retention!.retentionMs, 31 * 60_000],
  "retention-check-interval: 32ms": (text) => [
    replicaPace(replica(text)).duties!.retention!.checkIntervalMs,
    32,
  ],
  "sync-interval: 33ms": (text) => [replicaPace(replica(text)).syncIntervalMs, 33],
  "snapshot-interval: 34ms": (text) => [replicaPace(replica(text)).duties!.snapshotIntervalMs, 34],
  "drill-interval: 36ms": (text) => [replicaPace(replica(text)).duties!.drill!.intervalMs, 36],
  "validation-interval: 35ms": (text) => [replicaPace(replica(text)).duties!.validation!.intervalMs, 35],
};

for (const [text, look] of Object.entries({ ...DATABASE_KEYS, ...REPLICA_KEYS })) {
  test(`databaseOptions(), replicatorLimits() and replicaPace() pass on ${text.split(":")[0]}`, () => {
    const [found, expected] = look(text);
    assert.equal(found, expected);
  });
}

test("the keys of a database and the intervals of a replica are all passed on", () => {
  const names = (cases: object) => Object.keys(cases).map((text) => text.split(":")[0]!);
  const isOther = (key: string) => key === "path" || key === "replicas";
  const ofDatabase = KEYS.filter(({ section, key }) => section === "database" && !isOther(key));
  assert.deepEqual(ofDatabase.map(({ key }) => key).sort(), names(DATABASE_KEYS).sort());
  const ofReplica = KEYS.filter(({ section, kind }) => section === "replica" && kind === "duration");
  assert.deepEqual(ofReplica.map(({ key }) => key).sort(), names(REPLICA_KEYS).sort());
});
