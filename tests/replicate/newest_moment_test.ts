import assert from "node:assert/strict";
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { silentLogger } from "../../src/logger.ts";
import { newestMomentOf } from "../../src/replicate/newest_moment.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { buildReplica } from "../builders/replica_builder.ts";
import { failFiles } from "../doubles/failing_files.ts";
import { recordFiles } from "../doubles/recording_files.ts";
import { recordLogs } from "../doubles/recording_logger.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { AgedBench } from "./aged_bench.ts";

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

test("newestMomentOf() takes the listed time of an object that can't be read, where others can be", async () => {
  using folder = temporaryFolder();
  const { root, objects } = await buildReplica({ folder: folder.path, indexCount: 2 });
  const [first, last] = [objects[0]!, objects.at(-1)!];
  const listedAt = new Date("2026-02-02");
  utimesSync(join(root, last.key), listedAt, listedAt);
  utimesSync(join(root, first.key), first.at, first.at);
  const newestOf = async (path: RegExp) => {
    const { files } = failFiles(systemFiles, [{ kind: "read", code: "EIO", times: Infinity, path }]);
    const { logger, records } = recordLogs();
    const client = new ReplicaClient(new FileStore({ root, files }));
    const newest = await newestMomentOf(client, { ...OPTIONS, logger });
    return { newest, warned: records.map(({ fields }) => fields["key"]) };
  };
  const unread = await newestOf(new RegExp(last.key));
  assert.deepEqual(unread, { newest: listedAt.getTime(), warned: [last.key] });
  // Where a note tells the end, that is it.
  const noted = await newestOf(new RegExp(first.key));
  assert.deepEqual(noted, { newest: last.at.getTime(), warned: [first.key] });
  await assert.rejects(newestOf(/generations/), /its disk fails/);
});

test("newestMomentOf() is 0 where nothing can be restored", async () => {
  using folder = temporaryFolder();
  const { client, generation } = await buildReplica({ folder: folder.path });
  assert.equal(await newestMomentOf(new ReplicaClient(new FileStore({ root: folder.path })), OPTIONS), 0);
  await client.store.delete((await client.snapshots(generation)).map(({ key }) => key));
  assert.equal(await newestMomentOf(client, OPTIONS), 0);
});

test("Replicator begins a new generation where all of the old one is archived", async () => {
  await using bench = new AgedBench();
  await bench.history(30);
  const old = bench.generation;
  await bench.stop();
  bench.forgetGeneration();
  bench.store.rules.push({ method: "get", key: new RegExp(old), isOfObject: true, times: Infinity });
  await bench.begin();
  bench.insert("new");
  await bench.current();
  assert.notEqual(bench.generation, old);
  bench.store.mend();
  assert.deepEqual(await bench.rowsAgo(0), ["new"]);
});
