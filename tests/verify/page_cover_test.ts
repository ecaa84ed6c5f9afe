import { test } from "node:test";
import assert from "node:assert/strict";
import type { SnapshotNote } from "../../src/codec/note.ts";
import { snapshotKey } from "../../src/storage/keys.ts";
import { PageCover } from "../../src/verify/page_cover.ts";

const generation = "0123456789abcdef";
const pageSize = 512;

test("PageCover holds a snapshot against the WAL of its index, up to the offset that it states", () => {
  const cases = [
    { name: "all pages", snapshotPages: 3, walPages: [1], commitPages: 3, expected: undefined },
    {
      name: "newest pages in the WAL alone",
      snapshotPages: 1,
      walPages: [2, 3],
      commitPages: 3,
      expected: undefined,
    },
    {
      name: "a page in neither",
      snapshotPages: 1,
      walPages: [3],
      commitPages: 3,
      expected: /^page 2 of the database is neither in it nor/,
    },
    {
      name: "too many pages",
      snapshotPages: 4,
      walPages: [1],
      commitPages: 3,
      expected: /^it has 4 pages, and by the wal the database has 3 there$/,
    },
  ];
  for (const { name, snapshotPages, walPages, commitPages, expected } of cases) {
    const told: [string, string][] = [];
    const cover = new PageCover(generation, (key, reason) => told.push([key, reason]));
    const key = snapshotKey({ generation, index: 2 });
    const note: SnapshotNote = {
      kind: "snapshot",
      generation,
      index: 2,
      offset: 1000,
      newestCommitAt: new Date(0),
      pageSize,
      pageCount: snapshotPages,
      previousEnd: undefined,
    };
    const snapshot = { key, size: 1, createdAt: new Date(0), generation, index: 2 };
    cover.meet({ snapshot, note, pageCount: snapshotPages });
    cover.beginIndex(2);
    for (const page of walPages) cover.put(page);
    cover.commit(commitPages, { end: { index: 2, offset: 1000 }, pageSize });
    cover.finish();
    if (expected === undefined) assert.deepEqual(told, [], name);
    else {
      assert.equal(told.length, 1, name);
      assert.equal(told[0]![0], key, name);
      assert.match(told[0]![1], expected, name);
    }
  }
});
