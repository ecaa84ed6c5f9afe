import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isGeneration, MAX_INDEX } from "../../src/position.ts";
import {
  generationPrefix,
  parseSegmentName,
  parseSnapshotName,
  segmentKey,
  segmentsPrefix,
  snapshotKey,
  snapshotsPrefix,
} from "../../src/storage/keys.ts";

const GENERATION = "0123456701234567";

test("snapshotKey() and segmentKey() write index and offset in eight hex digits (case 1)", () => {
  const prefix = `generations/${GENERATION}`;
  assert.equal(
    snapshotKey({ generation: GENERATION, index: 1000 }),
    `${prefix}/snapshots/000003e8.snapshot.lz4`,
  );
  assert.equal(
    segmentKey({ generation: GENERATION, index: 1000, offset: 1001 }),
    `${prefix}/wal/000003e8_000003e9.wal.lz4`,
  );
  assert.equal(
    segmentKey({ generation: GENERATION, index: 255, offset: 0x123456789 }),
    `${prefix}/wal/000000ff_123456789.wal.lz4`,
  );
});

test("generationPrefix(), snapshotsPrefix() and segmentsPrefix() end in a slash (case 2)", () => {
  assert.equal(generationPrefix(GENERATION), `generations/${GENERATION}/`);
  assert.equal(snapshotsPrefix(GENERATION), `generations/${GENERATION}/snapshots/`);
  assert.equal(segmentsPrefix(GENERATION), `generations/${GENERATION}/wal/`);
});

test("every key function asks for a generation in the words that scripts know (case 3)", () => {
  const cases: [() => string, string][] = [
    [() => generationPrefix(""), "cannot determine generation path: generation required"],
    [() => snapshotsPrefix(""), "cannot determine snapshots path: generation required"],
    [() => segmentsPrefix(""), "cannot determine wal path: generation required"],
    [() => snapshotKey({ generation: "", index: 0 }), "cannot determine snapshot path: generation required"],
    [
      () => segmentKey({ generation: "", index: 0, offset: 0 }),
      "cannot determine wal segment path: generation required",
    ],
    [() => segmentsPrefix("../../etc"), 'cannot determine wal path: "../../etc" is not a generation'],
  ];
  for (const [make, message] of cases) assert.throws(make, { message });
});

test("snapshotKey() and segmentKey() never write a name that no reader takes back", () => {
  for (const index of [-1, 0.5, MAX_INDEX + 1, Number.NaN]) {
    assert.throws(() => snapshotKey({ generation: GENERATION, index }), /index/);
    assert.throws(() => segmentKey({ generation: GENERATION, index, offset: 0 }), /index/);
  }
  for (const offset of [-1, 0.5, 2 ** 53, Number.NaN]) {
    assert.throws(() => segmentKey({ generation: GENERATION, index: 0, offset }), /offset/);
  }
});

test("parseSnapshotName() takes its own pattern and nothing else (case 5)", () => {
  const cases: [string, number | undefined][] = [
    ["000003e8.snapshot.lz4", 1000],
    ["7fffffff.snapshot.lz4", MAX_INDEX],
    ["80000000.snapshot.lz4", undefined],
    ["0000000A.snapshot.lz4", undefined],
    ["0000001.snapshot.lz4", undefined],
    ["000000001.snapshot.lz4", undefined],
    ["00000001.snapshot", undefined],
    ["00000001.snapshot.lz4.tmp", undefined],
    ["00000001.snapshot.lz4\n", undefined],
    ["x00000001.snapshot.lz4", undefined],
    ["00000001-snapshot-lz4", undefined],
    ["", undefined],
  ];
  for (const [name, index] of cases) assert.equal(parseSnapshotName(name), index, name);
});

test("parseSegmentName() takes its own pattern and nothing else (cases 5, 6)", () => {
  const cases: [string, { index: number; offset: number } | undefined][] = [
    ["000003e8_000003e9.wal.lz4", { index: 1000, offset: 1001 }],
    ["000000ff_123456789.wal.lz4", { index: 255, offset: 0x123456789 }],
    ["00000000_001fffffffffffff.wal.lz4", { index: 0, offset: 2 ** 53 - 1 }],
    ["00000000_0020000000000000.wal.lz4", undefined],
    ["00000000_8000000000000000.wal.lz4", undefined],
    ["00000000_00000000000000001.wal.lz4", undefined],
    ["f2345678_00000000.wal.lz4", undefined],
    ["00000001.wal.lz4", undefined],
    ["00000001_00001000.wal", undefined],
    ["0000001_00001000.wal.lz4", undefined],
    ["00000001_0001000.wal.lz4", undefined],
    ["0000000A_00001000.wal.lz4", undefined],
    ["00000001_0000100A.wal.lz4", undefined],
    ["00000001_00001000.wal.lz4.tmp", undefined],
    ["x00000001.wal", undefined],
  ];
  for (const [name, at] of cases) assert.deepEqual(parseSegmentName(name), at, name);
});

test("parseSegmentName() takes back what segmentKey() writes", () => {
  fc.assert(fc.property(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.nat(MAX_INDEX),
    fc.maxSafeNat(),
    (random, index, offset) => {
      const generation = random.toString(16).padStart(16, "0");
      assert.ok(isGeneration(generation));
      const segment = segmentKey({ generation, index, offset });
      assert.deepEqual(parseSegmentName(segment.slice(segmentsPrefix(generation).length)), { index, offset });
      const snapshot = snapshotKey({ generation, index });
      assert.equal(parseSnapshotName(snapshot.slice(snapshotsPrefix(generation).length)), index);
    },
  ));
});
