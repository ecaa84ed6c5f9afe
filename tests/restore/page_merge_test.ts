import { test } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { readFileSync } from "node:fs";
import { PageMerge } from "../../src/restore/page_merge.ts";
import { PageSet } from "../../src/restore/page_set.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { randomFrom } from "../../bench/random.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { recordFiles } from "../doubles/recording_files.ts";

const PAGE = 512;

function page(fill: number): Uint8Array {
  return new Uint8Array(PAGE).fill(fill);
}

/** Run `act` on a merge over `snapshotPages` pages of 0xee. */
async function withMerge(
  { snapshotPages = 3, arenaPages = 4 }: { snapshotPages?: number; arenaPages?: number },
  act: (merge: PageMerge, path: string, writes: { position?: number; size?: number }[]) => Promise<void>,
): Promise<void> {
  using folder = temporaryFolder();
  const path = join(folder.path, "db");
  const { files, calls } = recordFiles(systemFiles, { kinds: ["write"] });
  using file = files.openSync(path, { access: "create-new" });
  file.writeSync(new Uint8Array(snapshotPages * PAGE).fill(0xee), 0);
  calls.length = 0;
  const merge = new PageMerge(file, {
    pageSize: PAGE,
    pageCount: snapshotPages,
    arenaSize: arenaPages * PAGE,
  });
  await act(merge, path, calls);
}

async function put(merge: PageMerge, pageNumber: number, fill: number): Promise<void> {
  if (merge.isFull) await merge.makeRoom();
  merge.put(pageNumber, page(fill), 0);
}

function fills(path: string): number[] {
  const bytes = readFileSync(path);
  return Array.from({ length: bytes.length / PAGE }, (_, nth) => bytes[nth * PAGE]!);
}

test("PageMerge writes each page once, in page order, neighbours together", async () => {
  await withMerge({ arenaPages: 8 }, async (merge, path, writes) => {
    for (const [number, fill] of [[2, 1], [1, 2], [2, 3]] as const) {
      await put(merge, number, fill);
      merge.commit(3);
    }
    await put(merge, 5, 4);
    await put(merge, 4, 5);
    merge.commit(5);
    assert.equal(await merge.finish(), undefined);
    assert.deepEqual(writes.map(({ position, size }) => [position, size]), [[0, 2 * PAGE], [
      3 * PAGE,
      2 * PAGE,
    ]]);
    assert.deepEqual(fills(path), [2, 3, 0xee, 5, 4]);
  });
});

test("PageMerge drops an open transaction", async () => {
  await withMerge({}, async (merge, path) => {
    await put(merge, 1, 1);
    merge.commit(3);
    await put(merge, 1, 9);
    assert.equal(merge.isInTransaction, true);
    await merge.finish();
    assert.deepEqual([merge.isSpoiled, merge.pageCount, ...fills(path)], [false, 3, 1, 0xee, 0xee]);
  });
});

test("PageMerge writes a transaction larger than its arena and says when that never commits", async () => {
  await withMerge({ arenaPages: 2 }, async (merge, path) => {
    for (let number = 1; number <= 5; number++) await put(merge, number, number);
    await put(merge, 1, 7);
    assert.equal(merge.isSpoiled, true);
    merge.commit(5);
    assert.equal(merge.isSpoiled, false);
    assert.equal(await merge.finish(), undefined);
    assert.deepEqual(fills(path), [7, 2, 3, 4, 5]);
  });
});

test("PageMerge names a page that a growing database lacks", async () => {
  await withMerge({}, async (merge) => {
    await put(merge, 4, 1);
    await put(merge, 6, 1);
    merge.commit(6);
    assert.equal(await merge.finish(), 5);
  });
});

test("PageMerge does not take pages from before a shrink for those after it", async () => {
  for (const arenaPages of [1, 2, 8]) {
    await withMerge({ arenaPages }, async (merge) => {
      await put(merge, 4, 1);
      merge.commit(4);
      await put(merge, 1, 2);
      merge.commit(2);
      await put(merge, 4, 3);
      merge.commit(4);
      assert.equal(await merge.finish(), 3, `arena of ${arenaPages} pages`);
    });
  }
});

test("PageMerge ignores frames beyond the size of their own commit", async () => {
  for (const arenaPages of [1, 8]) {
    await withMerge({ arenaPages }, async (merge) => {
      await put(merge, 5, 1);
      await put(merge, 1, 1);
      merge.commit(4 - 1);
      await put(merge, 4, 2);
      merge.commit(5);
      assert.equal(await merge.finish(), 5, `arena of ${arenaPages} pages`);
    });
  }
});

test("PageMerge agrees with applying each transaction at once", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = randomFrom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  for (let run = 0; run < 200; run++) {
    const snapshotPages = 1 + below(6);
    await withMerge({ snapshotPages, arenaPages: 1 + below(6) }, async (merge, path) => {
      let expected = new Array<number>(snapshotPages).fill(0xee);
      for (let transaction = 0; transaction < 12; transaction++) {
        const size = 1 + below(10);
        const next = expected.slice(0, size);
        const numbers = new Set(Array.from({ length: below(5) }, () => 1 + below(10)));
        for (let number = expected.length + 1; number <= size; number++) numbers.add(number);
        for (const number of [...numbers, ...numbers]) {
          const fill = 1 + below(200);
          await put(merge, number, fill);
          if (number <= size) next[number - 1] = fill;
        }
        if (numbers.size === 0) continue;
        merge.commit(size);
        expected = next;
      }
      assert.equal(await merge.finish(), undefined, `seed ${seed}`);
      assert.deepEqual(fills(path).slice(0, expected.length), expected, `seed ${seed}`);
    });
  }
});

test("PageSet keeps and takes out page numbers across its stretches", () => {
  const set = new PageSet();
  for (const number of [1, 31, 32, 32767, 32768, 100_000, 4_000_000_000]) set.add(number);
  const kept = () => [1, 2, 31, 32, 32767, 32768, 100_000, 4_000_000_000].filter((number) => set.has(number));
  assert.deepEqual(kept(), [1, 31, 32, 32767, 32768, 100_000, 4_000_000_000]);
  set.deleteAfter(32768);
  assert.deepEqual(kept(), [1, 31, 32, 32767, 32768]);
  set.deleteAfter(32767);
  assert.deepEqual(kept(), [1, 31, 32, 32767]);
  set.deleteAfter(31);
  assert.deepEqual(kept(), [1, 31]);
});
