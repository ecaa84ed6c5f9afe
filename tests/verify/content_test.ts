import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { test } from "node:test";
import { viewOf } from "../../src/bytes.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { snapshotKey } from "../../src/storage/keys.ts";
import { ContentCheck } from "../../src/verify/content.ts";
import { lockPageOf } from "../../src/wal/lock_page.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const generation = "0123456789abcdef";
const pageSize = 65_536;
const lockPage = lockPageOf(pageSize);
const pageCount = lockPage + 1;

/**
 * The pages that aren't zeros of a database that goes beyond the lock page: all but the first three are free, so that
 * SQLite finds a file sound that is next to nothing but a hole.
 */
function sparseDatabase(folderPath: string): Map<number, Uint8Array> {
  const path = join(folderPath, "small.db");
  using database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = ${pageSize}; CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1)`);
  const bytes = Uint8Array.from(readFileSync(path));
  assert.equal(bytes.length, 2 * pageSize);
  const trunk = new Uint8Array(pageSize);
  const leaves = Array.from({ length: pageCount - 3 }, (_, nth) => nth + 4).filter((page) =>
    page !== lockPage
  );
  viewOf(trunk).setUint32(4, leaves.length);
  leaves.forEach((page, nth) => viewOf(trunk).setUint32(8 + 4 * nth, page));
  const header = viewOf(bytes);
  header.setUint32(28, pageCount);
  header.setUint32(32, 3);
  header.setUint32(36, 1 + leaves.length);
  return new Map([[1, bytes.subarray(0, pageSize)], [2, bytes.subarray(pageSize)], [3, trunk]]);
}

/** What is told of a snapshot of index 1 that differs from that of index 0 in these pages. */
async function toldOf(differing: readonly number[]): Promise<string[]> {
  using folder = temporaryFolder();
  const told: string[] = [];
  const tell = (_key: string, reason: string) => void told.push(reason);
  using content = await ContentCheck.open({
    files: systemFiles,
    folderPath: folder.path,
    tell,
    onUnchecked: tell,
    onUnknownExtension: tell,
  });
  const pages = sparseDatabase(folder.path);
  for (const index of [0, 1]) {
    const output = await content.openSnapshot();
    if (index === 1) { for (const page of differing) pages.set(page, new Uint8Array(pageSize).fill(7)); }
    if (!pages.has(pageCount)) pages.set(pageCount, new Uint8Array(pageSize));
    for (const page of [...pages.keys()].sort((left, right) => left - right)) {
      await output.write(pages.get(page)!, (page - 1) * pageSize);
    }
    const createdAt = new Date(0);
    const snapshot = { key: snapshotKey({ generation, index }), size: 1, createdAt, generation, index };
    const at = { generation, index, offset: 0, newestCommitAt: createdAt, pageSize, pageCount };
    content.meet({ snapshot, note: { kind: "snapshot", ...at }, pageCount, pageSize });
  }
  await content.finish();
  assert.equal(content.comparedCount, 1);
  assert.equal(content.integrityCheckCount, 2);
  return told;
}

test("ContentCheck takes snapshots for the same whatever they hold in the lock page", async () => {
  assert.equal((lockPage - 1) * pageSize, 2 ** 30);
  assert.deepEqual(await toldOf([lockPage]), []);
});

test("ContentCheck tells of the pages beside the lock page that differ", async () => {
  for (const page of [lockPage - 1, lockPage + 1]) {
    const [told, ...more] = await toldOf([page]);
    assert.match(told!, new RegExp(`^page ${page} is not what the snapshot of index 00000000 and the wal`));
    assert.deepEqual(more, []);
  }
});
