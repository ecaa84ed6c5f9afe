import assert from "node:assert/strict";
import { test } from "node:test";
import { type Crc64, crc64 } from "../../src/crc64.ts";
import { PageChecksums } from "../../src/replicate/page_checksums.ts";
import { lockPageOf } from "../../src/wal/lock_page.ts";

const pageSize = 65_536;
const lockPage = lockPageOf(pageSize);
const zeros = crc64(new Uint8Array(pageSize));

/** The pages of a database that goes beyond the lock page; those that nothing is said of are zeros. */
function checksums(pages: Readonly<Record<number, Crc64>>): PageChecksums {
  const sums = new PageChecksums(pageSize);
  for (let page = 1; page <= lockPage + 1; page++) sums.set(page, pages[page] ?? zeros);
  return sums;
}

test("PageChecksums takes databases for the same whatever their files hold in the lock page", () => {
  assert.equal((lockPage - 1) * pageSize, 2 ** 30);
  const database = checksums({ [lockPage]: [1, 2] });
  for (const copy of [checksums({}), checksums({ [lockPage]: [3, 4] })]) {
    assert.deepEqual(database.compare(copy), { count: 0, firstPage: undefined });
    assert.deepEqual(database.total(), copy.total());
  }
});

test("PageChecksums finds no difference where only the WAL goes beyond the lock page", () => {
  const database = new PageChecksums(pageSize);
  for (let page = 1; page < lockPage; page++) database.set(page, zeros);
  database.set(lockPage + 1, [5, 6]);
  const copy = checksums({ [lockPage + 1]: [5, 6] });
  assert.deepEqual(database.compare(copy), { count: 0, firstPage: undefined });
  assert.deepEqual(database.total(), copy.total());
});

test("PageChecksums finds the pages beside the lock page that differ", () => {
  const database = checksums({});
  const copy = checksums({ [lockPage - 1]: [1, 2], [lockPage]: [1, 2], [lockPage + 1]: [1, 2] });
  assert.deepEqual(database.compare(copy), { count: 2, firstPage: lockPage - 1 });
  assert.notDeepEqual(database.total(), copy.total());
});
