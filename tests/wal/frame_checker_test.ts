import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { frameSize, WAL_HEADER_SIZE } from "../../src/position.ts";
import { BrokenWalError, FrameChecker } from "../../src/wal/frame_checker.ts";
import { chainOf, frameChecksumAt } from "../../src/wal/frames.ts";
import { parseWalHeader } from "../../src/wal/header.ts";
import { viewOf } from "../../src/bytes.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** The WAL of a few transactions, as SQLite writes it. */
function sampleWal(pageSize: number): Uint8Array {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.db");
  using database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = wal; CREATE TABLE t (x)`);
  for (let row = 0; row < 5; row++) database.exec("INSERT INTO t VALUES (hex(randomblob(3000)))");
  return new Uint8Array(readFileSync(`${path}-wal`));
}

function check(checker: FrameChecker, bytes: Uint8Array, chunkSize: number): void {
  for (let at = 0; at < bytes.length; at += chunkSize) checker.accept(bytes.subarray(at, at + chunkSize));
  checker.end();
}

for (const pageSize of [512, 4096, 65536]) {
  test(`FrameChecker accepts a WAL in chunks of any size: page size ${pageSize}`, () => {
    const wal = sampleWal(pageSize);
    const size = frameSize(pageSize);
    for (const chunkSize of [8, 24, 32, 1000, size - 8, size, size + 8, 100_000, wal.length]) {
      const checker = new FrameChecker();
      check(checker, wal, chunkSize);
      assert.equal(checker.pageSize, pageSize);
    }
  });
}

test("FrameChecker goes on in the middle of a WAL", () => {
  const wal = sampleWal(512);
  const chain = chainOf(parseWalHeader(wal));
  check(new FrameChecker(chain), wal.subarray(WAL_HEADER_SIZE), 1000);
  const second = WAL_HEADER_SIZE + frameSize(512);
  const checksum = frameChecksumAt(viewOf(wal), WAL_HEADER_SIZE);
  check(new FrameChecker({ ...chain, checksum }), wal.subarray(second), 1000);
  assert.throws(() => check(new FrameChecker(chain), wal.subarray(second), 1000), /checksum mismatch/);
});

test("FrameChecker names the first frame that does not belong, whatever byte of it is wrong", () => {
  const wal = sampleWal(512);
  const size = frameSize(512);
  for (let at = 0; at < WAL_HEADER_SIZE + 3 * size; at++) {
    const broken = wal.slice();
    broken[at]! ^= 0x10;
    const nth = Math.floor((at - WAL_HEADER_SIZE) / size);
    const expected = at < WAL_HEADER_SIZE ? 0 : WAL_HEADER_SIZE + nth * size;
    assert.throws(() => check(new FrameChecker(), broken, 1000), (error: unknown) => {
      assert.ok(error instanceof BrokenWalError, `byte ${at}: ${error}`);
      assert.equal(error.length, expected, `byte ${at}`);
      return true;
    });
  }
});

test("FrameChecker.end() refuses a header or a frame that is cut short", () => {
  const wal = sampleWal(512);
  for (const length of [0, 8, 31, 40, WAL_HEADER_SIZE + frameSize(512) - 8]) {
    assert.throws(() => check(new FrameChecker(), wal.subarray(0, length), 1000), /end within/);
  }
  check(new FrameChecker(), wal.subarray(0, WAL_HEADER_SIZE), 1000);
});
