/** A replica of many small segments over several indexes, made with walbrook's own parts. */
import { DatabaseSync } from "node:sqlite";
import { rmSync } from "node:fs";
import { randomFrom } from "./random.ts";
import { LiveDatabase } from "../src/database/database.ts";
import { encodeSnapshot } from "../src/replicate/encode_snapshot.ts";
import { SegmentUpload } from "../src/replicate/upload_segment.ts";
import type { Position } from "../src/position.ts";
import { snapshotKey } from "../src/storage/keys.ts";
import type { ObjectStore } from "../src/storage/object_store.ts";
import { ReplicaClient } from "../src/storage/replica_client.ts";

/** How many of each. */
export interface SegmentsOptions {
  readonly segmentCount: number;
  readonly indexCount: number;
}

/** Write rows at random places, one transaction and one segment each, with a checkpoint between indexes. */
export async function makeSegments(
  path: string,
  store: ObjectStore,
  options: SegmentsOptions,
): Promise<void> {
  const { segmentCount, indexCount } = options;
  for (const ending of ["", "-wal", "-shm"]) rmSync(path + ending, { force: true });
  const random = randomFrom(7);
  const application = new DatabaseSync(path);
  application.exec("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0");
  application.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)");
  const fill = application.prepare("INSERT INTO t (x) VALUES (?)");
  application.exec("BEGIN");
  for (let row = 0; row < 20_000; row++) fill.run(`row ${row} `.repeat(20));
  application.exec("COMMIT");
  await using database = new LiveDatabase({
    path,
    limits: { minPages: 1 << 30, maxPages: 0, intervalMs: 0 },
  });
  const client = new ReplicaClient(store);
  await database.start();
  let position: Position = { ...database.position!, offset: 0 };
  const upload = async () => {
    await database.settle();
    for (;;) {
      const segment = database.segmentAfter(position, { maxBytes: 64 << 20 });
      if (segment === undefined) return;
      const { newestCommitAt } = segment;
      await new SegmentUpload(client, segment, { pageSize: database.pageSize, newestCommitAt }).put();
      position = { ...position, index: segment.index, offset: segment.offset + segment.length };
    }
  };
  await upload();
  {
    using source = await database.openSnapshot();
    const { newestCommitAt } = source;
    await client.put(snapshotKey(source), encodeSnapshot(source, { newestCommitAt }));
  }
  const update = application.prepare("UPDATE t SET x = ? WHERE id = ?");
  for (let number = 0; number < segmentCount; number++) {
    if (number % Math.ceil(segmentCount / indexCount) === 0) {
      application.exec("PRAGMA wal_checkpoint(PASSIVE)");
      await database.settle();
    }
    update.run(`changed ${number} `.repeat(15), 1 + Math.floor(random() * 20_000));
    await upload();
  }
  application.close();
}
