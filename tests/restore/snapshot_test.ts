import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { readFileSync } from "node:fs";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { restore } from "../../src/restore/restore.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { snapshotKey } from "../../src/storage/keys.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { recordFiles } from "../doubles/recording_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const MIB = 1024 * 1024;

test("restore() begins to bring a snapshot to the disk while it writes it, and syncs the rest before the rename", async () => {
  using folder = temporaryFolder();
  const databasePath = join(folder.path, "database");
  {
    using database = new DatabaseSync(databasePath);
    database.exec(`CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(${20 * MIB}))`);
  }
  const client = new ReplicaClient(new FileStore({ root: join(folder.path, "replica") }));
  const key = snapshotKey({ generation: "0123456789abcdef", index: 0 });
  await client.store.put(key, encodeObjectBytes(readFileSync(databasePath)));
  const { files, calls } = recordFiles(systemFiles);
  await restore({ clients: [client], outputPath: join(folder.path, "restored"), files });
  const writes = calls.filter(({ kind }) => kind === "write");
  const syncs = calls.filter(({ kind }) => kind === "sync");
  const written = writes.filter(({ begun }) => begun < syncs[0]!.begun)
    .reduce((sum, { size = 0 }) => sum + size, 0);
  assert.ok(written >= 8 * MIB && written <= 12 * MIB, `${written} bytes before the first sync`);
  const rename = calls.find(({ kind }) => kind === "rename")!;
  assert.ok(syncs.some(({ begun, ended }) => begun > writes.at(-1)!.ended! && ended! < rename.begun));
});
