import { test } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { restore } from "../../src/restore/restore.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { fileHash } from "../builders/replica_builder.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const root = fileURLToPath(new URL("../golden/seed_512", import.meta.url));

test("restore() brings the golden replica back to the given bytes (case 63)", async () => {
  using folder = temporaryFolder();
  const outputPath = join(folder.path, "out.db");
  const client = new ReplicaClient(new FileStore({ root }));
  const summary = await restore({ clients: [client], outputPath });
  assert.equal(fileHash(outputPath), "d5d4455532507ead5c3f81591b5a26184d773626d91905a4ca56b9fee7a1b80c");
  assert.deepEqual(
    [summary.generation, summary.snapshotIndex, summary.segmentCount, summary.pageCount, summary.pageSize],
    ["d3fec2d6d6dfa285", 1, 2, 4, 512],
  );
  assert.deepEqual(summary.lastPosition, { generation: "d3fec2d6d6dfa285", index: 1, offset: 1104 });
});
