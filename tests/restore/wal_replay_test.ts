import { test } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { readFileSync, statSync } from "node:fs";
import { describeError } from "../../src/errors.ts";
import { decodeObjectBytes, encodeObjectBytes } from "../../src/codec/object.ts";
import type { LogFields, Logger } from "../../src/logger.ts";
import { restore } from "../../src/restore/restore.ts";
import { WalReplay } from "../../src/restore/wal_replay.ts";
import { frameSize, WAL_HEADER_SIZE } from "../../src/position.ts";
import { segmentKey, snapshotKey } from "../../src/storage/keys.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { encodeWalHeader, parseWalHeader } from "../../src/wal/header.ts";
import { endOfSegment } from "../../src/wal/segment_end.ts";
import { walChecksum } from "../../src/wal/checksum.ts";
import { chainOf, scanFrames } from "../../src/wal/frames.ts";
import { buildReplica } from "../builders/replica_builder.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const generation = "00000000000000aa";
const PAGE = 512;

interface Frame {
  readonly pageNumber: number;
  /** Pages after the commit; 0 in the middle of a transaction. */
  readonly commit: number;
  readonly fill: number;
}

/** The bytes of a WAL with these frames; in either byte order of the checksum. */
function walOf(
  frames: readonly Frame[],
  { salts = [10, 20], bigEndian = false, pageSize = PAGE }: {
    salts?: readonly [number, number];
    bigEndian?: boolean;
    pageSize?: number;
  } = {},
): Uint8Array {
  const header = encodeWalHeader({ bigEndian, pageSize, checkpointSequence: 0, salts });
  const bytes = new Uint8Array(WAL_HEADER_SIZE + frames.length * frameSize(pageSize));
  bytes.set(header);
  const view = new DataView(bytes.buffer);
  let seed = parseWalHeader(header).checksum;
  for (const [nth, { pageNumber, commit, fill }] of frames.entries()) {
    const at = WAL_HEADER_SIZE + nth * frameSize(pageSize);
    [pageNumber, commit, ...salts].forEach((word, field) => view.setUint32(at + 4 * field, word));
    bytes.fill(fill, at + 24, at + frameSize(pageSize));
    seed = walChecksum(bytes.subarray(at, at + 8), { bigEndian, seed });
    seed = walChecksum(bytes.subarray(at + 24, at + frameSize(pageSize)), { bigEndian, seed });
    seed.forEach((word, field) => view.setUint32(at + 16 + 4 * field, word));
  }
  return bytes;
}

/** A database of `pageCount` pages; each is filled with its number, but for the header. */
function databaseOf(pageCount: number): Uint8Array {
  const bytes = new Uint8Array(pageCount * PAGE);
  for (let page = 1; page <= pageCount; page++) bytes.fill(page, (page - 1) * PAGE, page * PAGE);
  bytes.set(new TextEncoder().encode("SQLite format 3\0"));
  bytes.set([2, 0], 16);
  bytes.fill(0, 24, 100);
  return bytes;
}

interface Result {
  /** First byte after the header of each page. */
  readonly pages: number[];
  readonly warnings: string[];
  readonly position: string;
}

/** Store a snapshot and segments (by index and offset) without notes, restore with an arena of 4 pages. */
async function restored(
  segments: readonly (readonly [number, number, Uint8Array])[],
  { snapshot = databaseOf(3), arenaPages = 4 }: { snapshot?: Uint8Array; arenaPages?: number } = {},
): Promise<Result> {
  using folder = temporaryFolder();
  const store = new FileStore({ root: join(folder.path, "replica") });
  await store.put(snapshotKey({ generation, index: 0 }), encodeObjectBytes(snapshot));
  for (const [index, offset, raw] of segments) {
    await store.put(segmentKey({ generation, index, offset }), encodeObjectBytes(raw));
  }
  const warnings: string[] = [];
  const logger: Logger = {
    debug() {},
    info() {},
    error() {},
    warn: (message: string, _fields?: LogFields) => void warnings.push(message),
    with: () => logger,
  };
  const outputPath = join(folder.path, "out.db");
  const clients = [new ReplicaClient(store)];
  const summary = await restore({ clients, outputPath, logger, arenaSize: arenaPages * PAGE });
  const bytes = readFileSync(outputPath);
  const pages = Array.from({ length: bytes.length / PAGE }, (_, nth) => bytes[nth * PAGE + 200]!);
  const { index, offset } = summary.lastPosition;
  return { pages, warnings, position: `${index}:${offset}` };
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return describeError(error).replace(`generations/${generation}/`, "");
  }
  return "it succeeded";
}

const change = (pageNumber: number, fill: number, commit = 3): Frame => ({ pageNumber, commit, fill });
const at = (frameCount: number) => WAL_HEADER_SIZE + frameCount * frameSize(PAGE);

test("WalReplay takes checksums of either byte order", async () => {
  for (const bigEndian of [false, true]) {
    const wal = walOf([change(2, 0xb2)], { bigEndian });
    assert.deepEqual(await restored([[0, 0, wal]]), { pages: [1, 0xb2, 3], warnings: [], position: "0:568" });
  }
});

test("WalReplay drops a last transaction that is not complete (case 85)", async () => {
  const wal = walOf([change(2, 0xb2), change(1, 0xb1, 0), change(3, 0xb3, 0)]);
  for (const arenaPages of [1, 2, 4]) {
    const { pages, position } = await restored([[0, 0, wal]], { arenaPages });
    assert.deepEqual([pages, position], [[1, 0xb2, 3], "0:568"], `arena of ${arenaPages} pages`);
  }
});

test("WalReplay drops a last transaction that is larger than the arena and not complete", async () => {
  const open = [1, 2, 3, 4, 5, 6, 7, 8].map((page) => change(page, 0xcc, 0));
  const wal = walOf([change(2, 0xb2), change(4, 0xb4, 4), ...open]);
  const { pages, position } = await restored([[0, 0, wal.subarray(0, at(5))], [
    0,
    at(5),
    wal.subarray(at(5)),
  ]]);
  assert.deepEqual([pages, position], [[1, 0xb2, 3, 0xb4], `0:${at(2)}`]);
  const nothing = await restored([[0, 0, walOf(open)]]);
  assert.deepEqual([nothing.pages, nothing.position], [[1, 2, 3], "0:0"]);
});

test("WalReplay takes a transaction across segments and a wal of only a header", async () => {
  const wal = walOf([change(1, 0xb1, 0), change(2, 0xb2, 0), change(3, 0xb3)]);
  const parts = [0, WAL_HEADER_SIZE, at(1), at(2)].map((from, nth, all) =>
    [0, from, wal.subarray(from, all[nth + 1])] as const
  );
  assert.deepEqual((await restored(parts)).pages, [0xb1, 0xb2, 0xb3]);
  assert.deepEqual((await restored(parts.slice(0, 1))).pages, [1, 2, 3]);
});

test("WalReplay says once where nothing proves that the wal continues", async () => {
  const wal = (salts: [number, number]) => walOf([change(2, salts[0])], { salts });
  const steps = async (...salts: [number, number][]) =>
    (await restored(salts.map((pair, index) => [index, 0, wal(pair)] as const))).warnings;
  assert.deepEqual(await steps([10, 1], [11, 2], [12, 9]), []);
  assert.deepEqual(await steps([0xffffffff, 1], [0, 2]), []);
  const warning = ["nothing in the replica proves that the wal continues here"];
  assert.deepEqual(await steps([10, 1], [12, 2], [20, 3]), warning);
  assert.match(
    await refusal(steps([10, 1], [10, 1])),
    /^wal\/00000001_00000000.*repeats the wal that begins with generations.*wal\/00000000_/,
  );
});

test("WalReplay refuses the wal of any earlier index", async () => {
  const wal = (salts: [number, number]) => walOf([change(2, salts[0])], { salts });
  const pairs: [number, number][] = [[10, 1], [11, 2], [12, 3], [10, 1]];
  assert.match(
    await refusal(restored(pairs.map((pair, index) => [index, 0, wal(pair)] as const))),
    /^wal\/00000003_00000000.*repeats the wal that begins with generations.*wal\/00000000_/,
  );
});

test("WalReplay refuses an index that ends before the offset of its snapshot, whatever follows", async () => {
  const replay = new WalReplay({
    pageSize: PAGE,
    sinkFor: () => ({ isFull: false, makeRoom: () => Promise.resolve(), put() {}, commit() {} }),
  });
  const infoOf = (index: number) => ({
    key: snapshotKey({ generation, index }),
    size: 1,
    createdAt: new Date(0),
    generation,
    index,
  });
  const note = {
    kind: "snapshot",
    generation,
    index: 0,
    newestCommitAt: new Date(0),
    pageSize: PAGE,
    pageCount: 3,
  } as const;
  replay.meet(infoOf(0), { ...note, offset: at(2) });
  const segment = (index: number) => ({
    ...infoOf(index),
    key: segmentKey({ generation, index, offset: 0 }),
    offset: 0,
  });
  replay.begin(segment(0), undefined);
  await replay.accept(walOf([change(1, 0xb1)]));
  replay.end();
  assert.throws(
    () => replay.begin(segment(1), undefined),
    /^DamagedObjectError: .*00000000_00000238.*missing or cut short/,
  );
});

test("WalReplay takes segments a byte at a time, and a later snapshot's word on how the index ended", async () => {
  const put: number[] = [];
  const sink = {
    isFull: false,
    makeRoom: () => Promise.resolve(),
    put: (page: number) => void put.push(page),
    commit() {},
  };
  const wal = walOf([change(1, 0xb1), change(2, 0xb2)]);
  const infoOf = (index: number) => ({ size: 1, createdAt: new Date(0), generation, index });
  const played = async () => {
    const replay = new WalReplay({ pageSize: PAGE, sinkFor: () => sink });
    replay.meet({ ...infoOf(0), key: snapshotKey({ generation, index: 0 }) }, undefined);
    const key = segmentKey({ generation, index: 0, offset: 0 });
    replay.begin({ ...infoOf(0), key, offset: 0 }, undefined);
    for (const byte of wal) await replay.accept(Uint8Array.of(byte));
    replay.end();
    return replay;
  };
  const later = { ...infoOf(1), key: snapshotKey({ generation, index: 1 }) };
  const { checksum } = scanFrames(wal.subarray(WAL_HEADER_SIZE), chainOf(parseWalHeader(wal)));
  const previousEnd = { index: 0, length: wal.length, checksum, salts: [10, 20] } as const;
  const note = {
    kind: "snapshot",
    generation,
    index: 1,
    offset: 0,
    newestCommitAt: new Date(0),
    pageSize: PAGE,
    pageCount: 3,
    previousEnd,
  } as const;
  (await played()).meet(later, note);
  assert.deepEqual(put, [1, 2]);
  const longer = { ...note, previousEnd: { ...previousEnd, length: wal.length + 24 + PAGE } };
  const replay = await played();
  assert.throws(() => replay.meet(later, longer), /missing: index 00000000 ended at offset/);
});

test("WalReplay passes over what a segment repeats, as long as the rest continues", async () => {
  const wal = walOf([change(1, 0xb1), change(2, 0xb2), change(3, 0xb3)]);
  const warnings = ["wal segments repeat a part of the one before, which is passed over"];
  const overlapping = await restored([[0, 0, wal.subarray(0, at(2))], [0, at(1), wal.subarray(at(1))]]);
  assert.deepEqual(overlapping, { pages: [0xb1, 0xb2, 0xb3], warnings, position: `0:${at(3)}` });
  const within = await restored([[0, 0, wal], [0, at(1), wal.subarray(at(1), at(2))]]);
  assert.deepEqual(within, { pages: [0xb1, 0xb2, 0xb3], warnings, position: `0:${at(3)}` });
  const other = walOf([change(1, 0xb1), change(2, 0xc2), change(3, 0xb3)]);
  assert.match(
    await refusal(restored([[0, 0, wal.subarray(0, at(2))], [0, at(1), other.subarray(at(1))]])),
    /^wal\/00000000_00000238.* does not continue the checksums/,
  );
});

test("WalReplay refuses what does not belong", async () => {
  const good = walOf([change(2, 0xb2)]);
  const next = walOf([change(2, 0xb3)], { salts: [11, 1] });
  const foreign = walOf([change(2, 1), change(2, 2)], { salts: [99, 1] });
  const flipped = good.slice();
  flipped[30]! ^= 1;
  const cases: [string, Parameters<typeof restored>, RegExp][] = [
    ["header", [[[0, 0, flipped]]], /wal\/00000000_00000000.*: it does not begin with a sound wal header/],
    [
      "page size",
      [[[0, 0, walOf([], { pageSize: 1024 })]]],
      /wal\/0.*: its page size is 1024, that of .* 512/,
    ],
    [
      "salts",
      [[[0, 0, good], [0, at(1), foreign.subarray(at(1))]]],
      /wal\/00000000_00000238.*salts of another wal/,
    ],
    [
      "page 0",
      [[[0, 0, walOf([change(0, 1)])]]],
      /wal\/00000000_00000000.*the frame at .* has page number 0/,
    ],
    ["partial", [[[0, 0, good.subarray(0, 100)]]], /wal\/00000000_00000000.*: it ends within a frame/],
    [
      "header cut",
      [[[0, 0, good.subarray(0, 31)]]],
      /wal\/00000000_00000000.*: it ends within the wal header/,
    ],
    [
      "no bytes",
      [[[0, 0, good], [0, at(1), new Uint8Array(0)]]],
      /wal\/00000000_00000238.*: it holds no bytes/,
    ],
    [
      "gap",
      [[[0, 0, good], [0, at(2), good.subarray(32)]]],
      /wal\/00000000_00000238.*: missing or cut short/,
    ],
    [
      "open end before another index",
      [[[0, 0, walOf([change(1, 1, 0)])], [1, 0, next]]],
      /^wal\/00000000_00000000.*within a transaction, yet index 00000001 follows/,
    ],
    [
      "page",
      [[[0, 0, walOf([change(9, 1, 9)])]]],
      /^snapshots\/00000000.*: page 4 of the database is neither/,
    ],
    [
      "not SQLite",
      [[], { snapshot: new Uint8Array(512) }],
      /^snapshots\/00000000.*: it is not a SQLite database/,
    ],
    [
      "half a page",
      [[], { snapshot: databaseOf(2).subarray(0, 700) }],
      /^snapshots\/00000000.*: its 700 bytes/,
    ],
  ];
  for (const [what, [segments, options], expected] of cases) {
    assert.match(await refusal(restored(segments, options)), expected, what);
  }
});

test("restore() takes an empty snapshot and one that is longer than the wal leaves it", async () => {
  const grown = walOf([change(1, 0xb1, 0), change(2, 0xb2, 2)]);
  const empty = new Uint8Array(0);
  assert.deepEqual((await restored([[0, 0, grown]], { snapshot: empty })).pages, [0xb1, 0xb2]);
  assert.deepEqual((await restored([], { snapshot: empty })).pages, []);
  assert.deepEqual((await restored([[0, 0, grown]], { snapshot: databaseOf(9) })).pages, [0xb1, 0xb2]);
});

test("restore() refuses to end before the offset of its snapshot", async () => {
  using folder = temporaryFolder();
  const replica = await buildReplica({ folder: folder.path, indexCount: 2, withStates: false });
  const key = snapshotKey({ generation: replica.generation, index: 0 });
  const stored = new Uint8Array(readFileSync(join(replica.root, key)));
  const { raw, note } = decodeObjectBytes(stored);
  assert.ok(note?.kind === "snapshot");
  const lengthOf = (index: number) => {
    const last = replica.objects.findLast((object) => object.index === index && object.offset !== undefined)!;
    const segment = decodeObjectBytes(new Uint8Array(readFileSync(join(replica.root, last.key))));
    return last.offset! + segment.raw.length;
  };
  const outputPath = join(folder.path, "out.db");
  const attempt = async (offset: number) => {
    await replica.client.store.put(key, encodeObjectBytes(raw, { note: { ...note, offset } }));
    const target = { kind: "index", index: 0 } as const;
    return await refusal(restore({ clients: [replica.client], outputPath, target }));
  };
  assert.match(
    await attempt(lengthOf(0) + 1),
    /wal\/00000000_.*: missing or cut short: .* is right only from offset/,
  );
  assert.equal(await attempt(lengthOf(0)), "it succeeded");
});

test("endOfSegment() agrees with a scan of all frames", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "db");
  using database = new DatabaseSync(path);
  database.exec(
    "PRAGMA page_size = 1024; PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)",
  );
  const bytes = new Uint8Array(readFileSync(`${path}-wal`));
  assert.equal(bytes.length, statSync(`${path}-wal`).size);
  const header = parseWalHeader(bytes);
  const { checksum } = scanFrames(bytes.subarray(WAL_HEADER_SIZE), chainOf(header));
  const pageSize = 1024;
  const expected = { index: 4, length: bytes.length, checksum, salts: header.salts };
  assert.deepEqual(endOfSegment(bytes, { at: { index: 4, offset: 0 }, pageSize }), expected);
  const later = { index: 4, offset: WAL_HEADER_SIZE };
  assert.deepEqual(endOfSegment(bytes.subarray(WAL_HEADER_SIZE), { at: later, pageSize }), expected);
  const headerOnly = { index: 4, length: 32, checksum: header.checksum, salts: header.salts };
  assert.deepEqual(
    endOfSegment(bytes.subarray(0, 32), { at: { index: 4, offset: 0 }, pageSize }),
    headerOnly,
  );
  assert.throws(
    () => endOfSegment(bytes.subarray(0, 99), { at: { index: 4, offset: 0 }, pageSize }),
    /within a frame/,
  );
  assert.throws(
    () => endOfSegment(bytes, { at: { index: 4, offset: 0 }, pageSize: 512 }),
    /page size is 1024/,
  );
});
