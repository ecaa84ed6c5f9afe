import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { restore, type RestoreSummary } from "../../src/restore/restore.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { listGeneration } from "../../src/restore/inventory.ts";
import { RandomWorkload, type WorkloadOptions } from "../builders/random_workload.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { recordFigure } from "../figures.ts";
import { Litestream, litestreamRestore } from "../litestream.ts";
import { pageDifference } from "./database_pages.ts";

const ROUNDS = 12;
const STEPS = 12;

function clientOf(replicaPath: string): ReplicaClient {
  return new ReplicaClient(new FileStore({ root: replicaPath }));
}

async function objectCount(client: ReplicaClient): Promise<number> {
  let count = 0;
  for (const generation of await client.generations()) {
    const { snapshots, segments } = await listGeneration(client, generation);
    count += snapshots.length + segments.length;
  }
  return count;
}

/** Wait until Litestream has stored something more. */
async function untilMore(
  client: ReplicaClient,
  { than, litestream }: { than: number; litestream: Litestream },
) {
  for (let tries = 0; tries < 2000; tries++) {
    if (await objectCount(client) > than) return;
    await delay(5);
  }
  throw new Error(`Litestream stored nothing for 10 s: ${litestream.log}`);
}

/** Have Litestream replicate a random workload; returns what it wrote and the live database, closed. */
async function replicated(folder: string, workloadOptions: Omit<WorkloadOptions, "path">) {
  mkdirSync(folder, { recursive: true });
  const databasePath = join(folder, "live.db");
  const replicaPath = join(folder, "replica");
  using workload = new RandomWorkload({ ...workloadOptions, path: databasePath });
  const client = clientOf(replicaPath);
  await using litestream = Litestream.start({
    configPath: join(folder, "litestream.yml"),
    databases: [{ databasePath, replicaPath }],
    checkpointPages: 30,
    replicaLines: ["snapshot-interval: 300ms"],
  });
  await untilMore(client, { than: 0, litestream });
  for (let round = 0; round < ROUNDS; round++) {
    const before = await objectCount(client);
    for (let step = 0; step < STEPS; step++) workload.step();
    workload.database.exec(`INSERT OR REPLACE INTO item (id, name) VALUES (1000, 'round ${round}')`);
    await untilMore(client, { than: before, litestream });
  }
  await litestream.stop();
  workload.finish();
  return { databasePath, replicaPath, client };
}

/** Restore with both programs and compare with each other and with `databasePath`. */
async function crossRestore(
  { folder, replicaPath, client, databasePath, pageSize }: {
    folder: string;
    replicaPath: string;
    client: ReplicaClient;
    databasePath: string;
    pageSize: number;
  },
): Promise<RestoreSummary> {
  const ours = join(folder, "ours.db");
  const theirs = join(folder, "theirs.db");
  const summary = await restore({ clients: [client], outputPath: ours });
  // An arena of a few pages: every window and every large transaction is written in pieces.
  const narrow = join(folder, "narrow.db");
  await restore({ clients: [client], outputPath: narrow, arenaSize: 7 * pageSize, parallelism: 1 });
  assert.equal(pageDifference(ours, narrow, { pageSize }), undefined);
  const difference = pageDifference(ours, databasePath, { pageSize });
  if (difference !== undefined) {
    await litestreamRestore({ replicaPath, outputPath: theirs });
    const ourDifference = pageDifference(ours, theirs, { pageSize }) ?? "equal";
    assert.fail(`${difference}, and Litestream's restore differs from ours: ${ourDifference}`);
  }
  if (summary.overlapCount > 0) {
    // Seen in 1 of some 70 runs. Litestream replays such segments as they are, and SQLite stops at what is repeated.
    recordFigure("replicas of Litestream with overlapping segments, not cross-restored", 1);
    return summary;
  }
  await litestreamRestore({ replicaPath, outputPath: theirs });
  assert.equal(pageDifference(ours, theirs, { pageSize }), undefined);
  return summary;
}

const CASES: readonly Pick<WorkloadOptions, "pageSize" | "autoVacuum">[] = [
  { pageSize: 512, autoVacuum: 1 },
  { pageSize: 1024, autoVacuum: 2 },
  { pageSize: 4096 },
  { pageSize: 65536 },
];

for (const options of CASES) {
  const { pageSize } = options;
  test(`restore() equals Litestream's own and the live database: page size ${pageSize} (cases 70, 87)`, async () => {
    const seed = randomInt(2 ** 31);
    using folder = temporaryFolder();
    try {
      const replica = await replicated(join(folder.path, "db"), { ...options, seed });
      const summary = await crossRestore({ ...replica, folder: folder.path, pageSize });
      assert.ok(summary.segmentCount > 0, "no segment was replayed");
      if (summary.overlapCount > 0) return;
      const indexes = await everyIndex(replica, { folder: folder.path, pageSize });
      assert.ok(indexes > 1, "only one index");
      recordFigure(`cross-restores of what Litestream wrote, page size ${pageSize}`, 1 + indexes);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  });
}

/** Restore to each index that a snapshot and segments reach, with both programs; returns how many. */
async function everyIndex(
  { replicaPath, client }: { replicaPath: string; client: ReplicaClient },
  { folder, pageSize }: { folder: string; pageSize: number },
): Promise<number> {
  const [generation] = await client.generations();
  const { snapshots, segments } = await listGeneration(client, generation!);
  const indexes = [...new Set(segments.map((segment) => segment.index))]
    .filter((index) => index >= snapshots[0]!.index);
  const picked = indexes.filter((_, nth) => nth % Math.ceil(indexes.length / 4) === 0);
  for (const index of picked) {
    const ours = join(folder, `ours-${index}.db`);
    const theirs = join(folder, `theirs-${index}.db`);
    await restore({ clients: [client], outputPath: ours, target: { kind: "index", index } });
    const hex = index.toString(16).padStart(8, "0");
    const args = ["-generation", generation!, "-index", hex];
    await litestreamRestore({ replicaPath, outputPath: theirs, args });
    assert.equal(pageDifference(ours, theirs, { pageSize }), undefined, `index ${index}`);
  }
  return picked.length;
}
