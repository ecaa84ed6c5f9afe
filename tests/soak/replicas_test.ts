import assert from "node:assert/strict";
import { test } from "node:test";
import { SoakReplica } from "./replicas.ts";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { snapshotKey } from "../../src/storage/keys.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

test("SoakReplica.isAheadOfItsWal() suspects a snapshot without a note, until WAL of the next index is there", async () => {
  using folder = temporaryFolder();
  await using replica = new SoakReplica({ type: "file", path: folder.path }, {
    age: undefined,
    syncIntervalMs: 100,
  });
  const generation = "0123456789abcdef";
  const key = snapshotKey({ generation, index: 7 });
  const store = new FileStore({ root: folder.path });
  const after = (index: number) => ({
    generation,
    snapshotIndex: 7,
    lastPosition: { generation, index, offset: 4152 },
  });
  await store.put(key, encodeObjectBytes(new Uint8Array(4096)));
  assert.equal(await replica.isAheadOfItsWal(after(7)), true);
  assert.equal(await replica.isAheadOfItsWal(after(8)), false);
  const note = {
    kind: "snapshot",
    generation,
    index: 7,
    pageSize: 4096,
    pageCount: 1,
    offset: 4152,
    newestCommitAt: new Date(1e12),
  } as const;
  await store.put(key, encodeObjectBytes(new Uint8Array(4096), { note }));
  assert.equal(await replica.isAheadOfItsWal(after(7)), false);
});
