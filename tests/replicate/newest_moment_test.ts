import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../src/logger.ts";
import { newestMomentOf } from "../../src/replicate/newest_moment.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { buildReplica } from "../builders/replica_builder.ts";
import { recordFiles } from "../doubles/recording_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const OPTIONS = { clock: systemClock, logger: silentLogger };

test("newestMomentOf() finds the newest note of a folder from its names, without a look at each object", async () => {
  using folder = temporaryFolder();
  const { root, objects } = await buildReplica({ folder: folder.path, indexCount: 10, snapshotIndexes: [5] });
  const { files, calls } = recordFiles(systemFiles, { kinds: ["stat"] });
  const client = new ReplicaClient(new FileStore({ root, files }));
  assert.equal(await newestMomentOf(client, OPTIONS), objects.at(-1)!.at.getTime());
  const looks = calls.filter(({ path }) => path.endsWith(".lz4"));
  assert.ok(
    looks.length > 0 && looks.length < 6,
    `${looks.length} of ${objects.length} objects were looked at`,
  );
});

test("newestMomentOf() goes by the newest object's time where there are no notes", async () => {
  using folder = temporaryFolder();
  const { client, generation } = await buildReplica({ folder: folder.path, withNotes: false });
  const objects = [...await client.snapshots(generation), ...await client.segments(generation)];
  const times = objects.map(({ createdAt }) => createdAt.getTime());
  assert.equal(await newestMomentOf(client, OPTIONS), Math.max(...times));
});

test("newestMomentOf() is 0 where nothing can be restored", async () => {
  using folder = temporaryFolder();
  const { client, generation } = await buildReplica({ folder: folder.path });
  assert.equal(await newestMomentOf(new ReplicaClient(new FileStore({ root: folder.path })), OPTIONS), 0);
  await client.store.delete((await client.snapshots(generation)).map(({ key }) => key));
  assert.equal(await newestMomentOf(client, OPTIONS), 0);
});
