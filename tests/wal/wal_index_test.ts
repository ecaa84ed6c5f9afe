import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { viewOf } from "../../src/bytes.ts";
import { frameSize } from "../../src/position.ts";
import { frameChecksumAt } from "../../src/wal/frames.ts";
import { parseWalHeader } from "../../src/wal/header.ts";
import { parseWalIndex, WAL_INDEX_SIZE } from "../../src/wal/wal_index.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** `-shm` and `-wal` of a real database after three commits, taken while it is open. */
function realFiles(pageSize: number): { index: Uint8Array; wal: Uint8Array } {
  using folder = temporaryFolder();
  const path = `${folder.path}/app.db`;
  const application = new DatabaseSync(path);
  application.exec(`PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = wal; CREATE TABLE t (x)`);
  application.exec("INSERT INTO t VALUES (1)");
  application.exec("INSERT INTO t VALUES (2)");
  const index = new Uint8Array(readFileSync(`${path}-shm`)).slice(0, WAL_INDEX_SIZE);
  const wal = new Uint8Array(readFileSync(`${path}-wal`));
  application.close();
  return { index, wal };
}

test("parseWalIndex() reads what SQLite publishes, at every page size", () => {
  for (let pageSize = 512; pageSize <= 65536; pageSize *= 2) {
    const files = realFiles(pageSize);
    const index = parseWalIndex(files.index)!;
    const header = parseWalHeader(files.wal);
    const size = frameSize(pageSize);
    assert.equal(index.pageSize, pageSize);
    assert.equal(index.pageCount, 2);
    assert.deepEqual(index.salts, header.salts);
    assert.equal(index.mxFrame, (files.wal.length - 32) / size);
    assert.equal(index.backfilledCount, 0);
    const last = 32 + (index.mxFrame - 1) * size;
    assert.deepEqual(index.frameChecksum, frameChecksumAt(viewOf(files.wal), last));
    assert.equal(index.readMarks.length, 4);
  }
});

test("parseWalIndex() knows backfilled frames and a reader's mark", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/app.db`;
  const application = new DatabaseSync(path);
  application.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  const reader = new DatabaseSync(path, { readOnly: true });
  reader.exec("BEGIN; SELECT * FROM t");
  const mark = parseWalIndex(new Uint8Array(readFileSync(`${path}-shm`)))!.mxFrame;
  application.exec("INSERT INTO t VALUES (2)");
  application.exec("PRAGMA wal_checkpoint(PASSIVE)");
  const index = parseWalIndex(new Uint8Array(readFileSync(`${path}-shm`)))!;
  assert.equal(index.backfilledCount, mark);
  assert.equal(index.mxFrame, mark + 1);
  assert.ok(index.readMarks.includes(mark));
  reader.close();
  application.close();
});

test("parseWalIndex() refuses every torn or broken copy", () => {
  const { index } = realFiles(4096);
  for (let byte = 0; byte < 96; byte++) {
    const broken = index.slice();
    broken[byte]! ^= 0x10;
    assert.equal(parseWalIndex(broken), undefined, `byte ${byte}`);
    // The same in both copies, as if a writer had published it: only the checksum tells.
    broken[byte < 48 ? byte + 48 : byte - 48]! ^= 0x10;
    assert.equal(parseWalIndex(broken), undefined, `byte ${byte} of both copies`);
  }
});

test("parseWalIndex() refuses what is empty, short or not initialised", () => {
  const { index } = realFiles(4096);
  assert.equal(parseWalIndex(new Uint8Array(0)), undefined);
  assert.equal(parseWalIndex(index.subarray(0, WAL_INDEX_SIZE - 1)), undefined);
  assert.equal(parseWalIndex(new Uint8Array(WAL_INDEX_SIZE)), undefined);
  const fresh = index.slice();
  fresh[12] = 0;
  fresh[60] = 0;
  assert.equal(parseWalIndex(fresh), undefined);
});
