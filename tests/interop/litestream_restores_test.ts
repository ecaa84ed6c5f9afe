import { test } from "node:test";
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { listGeneration } from "../../src/restore/inventory.ts";
import { restore } from "../../src/restore/restore.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { RandomWorkload, type WorkloadOptions } from "../builders/random_workload.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { recordFigure } from "../figures.ts";
import { litestreamRestore } from "../litestream.ts";
import { pageDifference } from "../restore/database_pages.ts";
import { Walbrook } from "../walbrook.ts";

const ROUNDS = 8;
const STEPS = 25;

const CASES: readonly Pick<WorkloadOptions, "pageSize" | "autoVacuum">[] = [
  { pageSize: 512, autoVacuum: 1 },
  { pageSize: 1024, autoVacuum: 2 },
  { pageSize: 4096 },
  { pageSize: 65536 },
];

/** Replicate a random workload with our program; returns the closed live database and its replica. */
async function replicated(folder: string, options: Omit<WorkloadOptions, "path">) {
  const databasePath = join(folder, "live.db");
  const replicaPath = join(folder, "replica");
  const client = new ReplicaClient(new FileStore({ root: replicaPath }));
  using workload = new RandomWorkload({ ...options, path: databasePath });
  await using walbrook = Walbrook.start("replicate", databasePath, replicaPath);
  await walbrook.says("snapshot written");
  for (let round = 0; round < ROUNDS; round++) {
    for (let step = 0; step < STEPS; step++) {
      workload.step();
      await delay(workload.below(8));
    }
    // An application that checkpoints by itself makes indexes.
    workload.database.exec(`PRAGMA wal_checkpoint(${round % 2 === 0 ? "PASSIVE" : "FULL"})`);
    await delay(40);
  }
  workload.database.exec("INSERT OR REPLACE INTO item (id, name) VALUES (1000, 'the last one')");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  workload.finish();
  const generations = await client.generations();
  assert.equal(generations.length, 1, stderr);
  return { databasePath, replicaPath, client, generation: generations[0]! };
}

for (const options of CASES) {
  const { pageSize } = options;
  test(`Litestream restores what walbrook wrote: page size ${pageSize} (case 87)`, async () => {
    const seed = randomInt(2 ** 31);
    using folder = temporaryFolder();
    try {
      const replica = await replicated(folder.path, { ...options, seed });
      const { databasePath, replicaPath, client, generation } = replica;
      const [ours, theirs] = [join(folder.path, "ours.db"), join(folder.path, "theirs.db")];
      await litestreamRestore({ replicaPath, outputPath: theirs });
      assert.equal(pageDifference(theirs, databasePath, { pageSize }), undefined);
      await restore({ clients: [client], outputPath: ours });
      assert.equal(pageDifference(ours, databasePath, { pageSize }), undefined);
      const { segments } = await listGeneration(client, generation);
      const indexes = [...new Set(segments.map(({ index }) => index))];
      const picked = indexes.slice(0, -1).filter((_, nth) => nth % Math.ceil(indexes.length / 3) === 0);
      for (const index of picked) {
        const [left, right] = [
          join(folder.path, `ours-${index}.db`),
          join(folder.path, `theirs-${index}.db`),
        ];
        await restore({ clients: [client], outputPath: left, target: { kind: "index", index } });
        const args = ["-generation", generation, "-index", index.toString(16).padStart(8, "0")];
        await litestreamRestore({ replicaPath, outputPath: right, args });
        assert.equal(pageDifference(left, right, { pageSize }), undefined, `index ${index}`);
      }
      recordFigure(
        `cross-restores with Litestream of what walbrook wrote, page size ${pageSize}`,
        1 + picked.length,
      );
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  });
}
