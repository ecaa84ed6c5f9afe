/** Replicas under credentials that may do less than everything, as MinIO enforces the policies of docs/S3.md. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { describeError } from "../../src/errors.ts";
import { restore } from "../../src/restore/restore.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { S3Store } from "../../src/storage/s3/s3_store.ts";
import { OffsetClock } from "../doubles/moved_clock.ts";
import { oncePerFile } from "../servers/once.ts";
import { fixedCredentials, startMinio } from "../servers/s3_servers.ts";
import { temporaryKeys } from "../servers/temporary_keys.ts";
import { KEY } from "../storage/s3/proxied_store.ts";
import { S3Bench } from "./s3_bench.ts";

const minio = oncePerFile(() => startMinio());
const NEVER = new AbortController().signal;

/** The policies that the documentation gives, in its order: read-write, append-only, restore-only. */
function documentedPolicies(): readonly string[] {
  const text = readFileSync(new URL("../../docs/S3.md", import.meta.url), "utf8");
  return [...text.matchAll(/```json\n([^]*?)```/g)].map(([, json]) =>
    json!.replaceAll("BUCKET", "backup").replaceAll("PATH", "proxied")
  );
}

async function credentialsFor(right: 0 | 1 | 2) {
  return fixedCredentials(await temporaryKeys(await minio(), documentedPolicies()[right]!));
}

/** A history with a snapshot that retention wants to remove a day later. */
async function aged(bench: S3Bench, clock: OffsetClock): Promise<void> {
  bench.insert();
  await bench.run({ clock });
  await bench.current();
  const { database, replicas: [loop] } = bench.replicator!;
  for (let round = 0; round < 2; round++) {
    const { index } = database.position!;
    while (database.position!.index === index) {
      bench.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
      await database.settle();
      bench.insert();
      await bench.current();
    }
    await loop!.snapshot({ signal: NEVER });
  }
  clock.offsetMs = 25 * 3_600_000;
}

async function assertRestores(bench: S3Bench): Promise<void> {
  const outputPath = join(bench.folder, `restored-${crypto.randomUUID()}.db`);
  await restore({ clients: [bench.client], outputPath });
}

test("the documented policies are three, each allows less than the one before", () => {
  const actions = documentedPolicies().map((text) => {
    const { Statement } = JSON.parse(text) as { Statement: { Action: string | string[] }[] };
    return new Set(Statement.flatMap(({ Action }) => Action));
  });
  assert.equal(actions.length, 3);
  assert.deepEqual([...actions[0]!.difference(actions[1]!)], ["s3:DeleteObject"]);
  assert.deepEqual([...actions[2]!].sort(), ["s3:GetObject", "s3:ListBucket"]);
});

test("retention works with the documented policy for reading and writing", async () => {
  const clock = new OffsetClock();
  await using bench = await S3Bench.open(await minio(), {
    clock,
    store: { credentials: await credentialsFor(0) },
  });
  await aged(bench, clock);
  await bench.replicator!.duties[0]!.retainer.check(NEVER);
  assert.ok(bench.records.some(({ message }) => message === "snapshot deleted"));
  assert.deepEqual(bench.records.filter(({ level }) => level === "warn" || level === "error"), []);
  await bench.stop();
  await assertRestores(bench);
});

test("retention says once that append-only credentials may not delete, and replication goes on", async () => {
  const clock = new OffsetClock();
  await using bench = await S3Bench.open(await minio(), {
    clock,
    store: { credentials: await credentialsFor(1) },
  });
  await aged(bench, clock);
  const { retainer } = bench.replicator!.duties[0]!;
  for (let round = 0; round < 3; round++) {
    bench.insert();
    await bench.current();
    await retainer.check(NEVER);
  }
  const bad = bench.records.filter(({ level }) => level === "warn" || level === "error");
  assert.equal(bad.length, 1, JSON.stringify(bad));
  assert.match(bad[0]!.message, /^retention removes nothing, since these credentials may not delete/);
  assert.match(String(bad[0]!.fields["error"]), /access denied; let these credentials do s3:DeleteObject/);
  assert.ok(!bench.records.some(({ message }) => message === "snapshot deleted"));
  await bench.stop();
  await assertRestores(bench);
});

test("restore-only credentials restore, and are refused everything else in one line", async () => {
  const server = await minio();
  await using bench = await S3Bench.open(server);
  bench.insert();
  await bench.run();
  await bench.current();
  await bench.stop();
  const { bucket, endpoint } = server;
  const credentials = await credentialsFor(2);
  await using store = new S3Store({ bucket, endpoint, credentials, path: bench.opened.path });
  const outputPath = join(bench.folder, "restored.db");
  await restore({ clients: [new ReplicaClient(store)], outputPath });
  for (const act of [() => store.put(KEY, new Uint8Array(1)), () => store.delete([KEY])]) {
    await assert.rejects(
      act,
      (error) => /access denied; let these credentials do/.test(describeError(error)),
    );
  }
});

test("the documented policies can be narrowed to the path, as the documentation says", async () => {
  const text = readFileSync(new URL("../../docs/S3.md", import.meta.url), "utf8");
  const [, condition] = /`"Condition": (\{.*?\}\})`/.exec(text)!;
  const policy = JSON.parse(documentedPolicies()[0]!) as { Statement: Record<string, unknown>[] };
  const [list, ...others] = policy.Statement;
  const Condition = JSON.parse(condition!.replaceAll("PATH", "proxied")) as unknown;
  policy.Statement = [{ ...list, Action: "s3:ListBucket", Condition }, ...others];
  const narrow = fixedCredentials(await temporaryKeys(await minio(), JSON.stringify(policy)));
  await using bench = await S3Bench.open(await minio(), { store: { credentials: narrow } });
  await bench.opened.store.check();
  bench.insert();
  await bench.run();
  await bench.current();
  await bench.stop();
  await assertRestores(bench);
  const { bucket, endpoint } = await minio();
  await using elsewhere = new S3Store({ bucket, endpoint, credentials: narrow, path: "others" });
  await assert.rejects(elsewhere.check(), (error) => /access denied/.test(describeError(error)));
});
