import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Inventory, MomentOf, ObjectMoment } from "../../src/restore/inventory.ts";
import { sortInventory } from "../../src/restore/inventory.ts";
import { countSegmentsUntil, countUntil, planRestore, type RestoreTarget } from "../../src/restore/plan.ts";
import { segmentKey, snapshotKey } from "../../src/storage/keys.ts";
import type { SegmentInfo, SnapshotInfo } from "../../src/storage/replica_client.ts";

const generation = "00112233aabbccdd";

/** An object with its time (seconds) and, for a snapshot, the offset from which on it is right. */
interface Timed<T> {
  readonly info: T;
  readonly moment: ObjectMoment;
}

function moment(seconds: number, { isNoted = true, offset = 0 } = {}): ObjectMoment {
  return { at: new Date(seconds * 1000), isNoted, offset };
}

function snapshotOf(index: number, seconds: number, options: { isNoted?: boolean; offset?: number } = {}) {
  const key = snapshotKey({ generation, index });
  const info: SnapshotInfo = { key, size: 1, createdAt: new Date(seconds * 1000), generation, index };
  return { info, moment: moment(seconds, options) };
}

function segmentOf(index: number, offset: number, seconds: number, options: { isNoted?: boolean } = {}) {
  const key = segmentKey({ generation, index, offset });
  const info: SegmentInfo = {
    key,
    size: 1,
    createdAt: new Date(seconds * 1000),
    generation,
    index,
    offset,
  };
  return { info, moment: moment(seconds, options) };
}

function inventoryOf(
  snapshots: readonly Timed<SnapshotInfo>[],
  segments: readonly Timed<SegmentInfo>[],
): { inventory: Inventory; momentOf: MomentOf } {
  const known = new Map<string, ObjectMoment>();
  for (const { info, moment } of [...snapshots, ...segments]) known.set(info.key, moment);
  const inventory = sortInventory({
    generation,
    snapshots: snapshots.map(({ info }) => info),
    segments: segments.map(({ info }) => info),
  });
  return { inventory, momentOf: (object) => Promise.resolve(known.get(object.key)!) };
}

async function outcome(
  snapshots: readonly Timed<SnapshotInfo>[],
  segments: readonly Timed<SegmentInfo>[],
  target: RestoreTarget,
): Promise<string> {
  const { inventory, momentOf } = inventoryOf(snapshots, segments);
  try {
    const plan = await planRestore(inventory, target, momentOf);
    const positions = plan.segments.map((segment) => `${segment.index}:${segment.offset}`);
    return [`snapshot ${plan.snapshot.index}`, ...positions].join(" ");
  } catch (error) {
    return (error as Error).message;
  }
}

const latest = { kind: "latest" } as const;
const index = (value: number) => ({ kind: "index", index: value }) as const;
const until = (seconds: number) => ({ kind: "moment", at: new Date(seconds * 1000) }) as const;

const SNAPSHOTS = [snapshotOf(1, 10), snapshotOf(3, 30)];
const SEGMENTS = [
  segmentOf(1, 0, 12),
  segmentOf(1, 100, 14),
  segmentOf(2, 0, 20),
  segmentOf(3, 0, 31),
  segmentOf(3, 50, 32),
  segmentOf(4, 0, 40),
];

/** Without notes, in a copy of the replica: the store has got them later than any note is of. */
const COPIED = [
  segmentOf(1, 0, 90, { isNoted: false }),
  segmentOf(1, 100, 90, { isNoted: false }),
  segmentOf(2, 0, 90, { isNoted: false }),
  segmentOf(2, 50, 90, { isNoted: false }),
  segmentOf(2, 90, 90, { isNoted: false }),
];

const CASES: readonly {
  what: string;
  snapshots?: readonly Timed<SnapshotInfo>[];
  segments?: readonly Timed<SegmentInfo>[];
  target: RestoreTarget;
  expected: string;
}[] = [
  { what: "the newest snapshot and all after it", target: latest, expected: "snapshot 3 3:0 3:50 4:0" },
  { what: "a snapshot alone", segments: [], target: latest, expected: "snapshot 3" },
  {
    what: "a snapshot newer than all segments",
    segments: SEGMENTS.slice(0, 3),
    target: latest,
    expected: "snapshot 3",
  },
  { what: "an index from the snapshot before it", target: index(2), expected: "snapshot 1 1:0 1:100 2:0" },
  { what: "an index from the snapshot at it", target: index(3), expected: "snapshot 3 3:0 3:50" },
  {
    what: "an index beyond the end",
    target: index(9),
    expected:
      `unable to locate index 9 in generation "${generation}", highest index was 4: the last one is -index 00000004`,
  },
  {
    what: "an index of a snapshot without segments",
    segments: SEGMENTS.slice(0, 3),
    target: index(3),
    expected:
      `unable to locate index 3 in generation "${generation}", highest index was -1: leave -index out`,
  },
  {
    what: "an index below the first snapshot",
    target: index(0),
    expected:
      "cannot find snapshot index: no snapshots available up to index 00000000: the first one is of -index " +
      "00000001",
  },
  {
    what: "a generation with nothing",
    snapshots: [],
    segments: [],
    target: latest,
    expected: "cannot find snapshot index: no snapshots available",
  },
  {
    what: "wal without a snapshot",
    snapshots: [],
    target: latest,
    expected:
      `cannot find snapshot index: no snapshots available: generation ${generation} has WAL from index ` +
      `00000001 on, but neither generations/${generation}/snapshots/00000001.snapshot.lz4 nor a later one`,
  },
  {
    what: "a moment before the first snapshot",
    target: until(9),
    expected: "cannot find snapshot index by timestamp: no snapshots available",
  },
  { what: "the moment of a snapshot", target: until(10), expected: "snapshot 1" },
  { what: "a moment between two segments", target: until(13), expected: "snapshot 1 1:0" },
  { what: "the moment of a segment", target: until(14), expected: "snapshot 1 1:0 1:100" },
  { what: "a moment after a later snapshot", target: until(31), expected: "snapshot 3 3:0" },
  { what: "a moment after the end", target: until(99), expected: "snapshot 3 3:0 3:50 4:0" },
  {
    what: "a missing index",
    segments: SEGMENTS.filter(({ info }) => info.index !== 2),
    target: index(3),
    snapshots: [snapshotOf(1, 10)],
    expected:
      `missing WAL index: ${generation}/00000002: generations/${generation}/wal/00000002_00000000.wal.lz4`,
  },
  {
    what: "a missing index right at the snapshot",
    segments: SEGMENTS.filter(({ info }) => info.index !== 3),
    target: latest,
    expected:
      `missing WAL index: ${generation}/00000003: generations/${generation}/wal/00000003_00000000.wal.lz4`,
  },
  {
    what: "a missing first segment",
    segments: SEGMENTS.slice(1),
    target: index(2),
    expected: `missing initial wal segment: generation=${generation} index=00000001 offset=100: ` +
      `generations/${generation}/wal/00000001_00000000.wal.lz4`,
  },
  {
    what: "a missing index right behind a moment",
    segments: SEGMENTS.filter(({ info }) => info.index !== 2),
    snapshots: [snapshotOf(1, 10)],
    target: until(14),
    expected:
      `missing WAL index: ${generation}/00000002: generations/${generation}/wal/00000002_00000000.wal.lz4`,
  },
  {
    what: "a missing index between a moment and a later snapshot",
    segments: SEGMENTS.filter(({ info }) => info.index === 1),
    target: until(14),
    expected:
      `missing WAL index: ${generation}/00000002: generations/${generation}/wal/00000002_00000000.wal.lz4`,
  },
  {
    what: "a missing first segment right behind a snapshot",
    segments: SEGMENTS.slice(1),
    target: until(10),
    expected: `missing initial wal segment: generation=${generation} index=00000001 offset=100: ` +
      `generations/${generation}/wal/00000001_00000000.wal.lz4`,
  },
  {
    what: "a position that is there twice",
    segments: [...SEGMENTS, {
      ...segmentOf(4, 0, 41),
      info: { ...segmentOf(4, 0, 41).info, key: "generations/x/wal/00000004_000000000.wal.lz4" },
    }],
    target: latest,
    expected: `wal segments out of order: generation=${generation} index=00000004 offsets=(0,0): ` +
      "generations/x/wal/00000004_000000000.wal.lz4",
  },
  {
    what: "a snapshot of the middle of an index once that is reached",
    snapshots: [snapshotOf(1, 10), snapshotOf(3, 30, { offset: 50 })],
    target: until(31),
    expected: "snapshot 3 3:0",
  },
  {
    what: "a moment before the offset of a snapshot from the one before",
    snapshots: [snapshotOf(1, 10), snapshotOf(3, 30, { offset: 60 })],
    target: until(31),
    expected: "snapshot 1 1:0 1:100 2:0 3:0",
  },
  {
    what: "a position in the middle of an index",
    target: { kind: "position", index: 1, offset: 60 },
    expected: "snapshot 1 1:0",
  },
  {
    what: "a position just past the start of a segment",
    target: { kind: "position", index: 1, offset: 101 },
    expected: "snapshot 1 1:0 1:100",
  },
  {
    what: "a position before the offset of a snapshot from the one before",
    snapshots: [snapshotOf(1, 10), snapshotOf(3, 30, { offset: 60 })],
    target: { kind: "position", index: 3, offset: 59 },
    expected: "snapshot 1 1:0 1:100 2:0 3:0 3:50",
  },
  {
    what: "a position at the offset of a snapshot from that",
    snapshots: [snapshotOf(1, 10), snapshotOf(3, 30, { offset: 60 })],
    target: { kind: "position", index: 3, offset: 60 },
    expected: "snapshot 3 3:0 3:50",
  },
  {
    what: "no position before the first snapshot",
    snapshots: [snapshotOf(3, 30)],
    target: { kind: "position", index: 2, offset: 60 },
    expected: "cannot find snapshot index: no snapshots available",
  },
  {
    what: "a moment before the offset of the only snapshot",
    snapshots: [snapshotOf(3, 30, { offset: 60 })],
    target: until(31),
    expected: `cannot restore to 1970-01-01T00:00:31.000Z: generations/${generation}/snapshots/` +
      `00000003.snapshot.lz4 is right only from ${generation}/00000003:60 on, which ` +
      `generations/${generation}/wal/00000003_00000032.wal.lz4 reaches: ask for 1970-01-01T00:00:32.000Z or later`,
  },
  {
    what: "no older moment when the index of a snapshot that counts is missing",
    snapshots: [snapshotOf(1, 10), snapshotOf(3, 30, { offset: 50 })],
    segments: SEGMENTS.slice(0, 3),
    target: until(31),
    expected: `missing WAL: generations/${generation}/snapshots/00000003.snapshot.lz4 is right only from ` +
      `${generation}/00000003:50 on: generations/${generation}/wal/00000003_00000000.wal.lz4`,
  },
  {
    what: "no older moment when the start of the index of a snapshot that counts is missing",
    snapshots: [snapshotOf(1, 10), snapshotOf(3, 30, { offset: 50 })],
    segments: SEGMENTS.filter(({ info }) => info.index !== 3 || info.offset !== 0),
    target: until(31),
    expected: `missing WAL: generations/${generation}/snapshots/00000003.snapshot.lz4 is right only from ` +
      `${generation}/00000003:50 on: generations/${generation}/wal/00000003_00000000.wal.lz4`,
  },
  {
    what: "an older moment when the index of a snapshot has begun and reaches it later",
    snapshots: [snapshotOf(1, 10), snapshotOf(3, 30, { offset: 60 })],
    segments: SEGMENTS,
    target: until(30),
    expected: "snapshot 1 1:0 1:100 2:0",
  },
  {
    what: "all up to a moment behind what was left over and copied later",
    snapshots: [snapshotOf(3, 30)],
    segments: [...COPIED, ...SEGMENTS.slice(3)],
    target: until(50),
    expected: "snapshot 3 3:0 3:50 4:0",
  },
  {
    what: "the one snapshot behind what was left over and copied later",
    snapshots: [snapshotOf(3, 30)],
    segments: [...COPIED, ...SEGMENTS.slice(3)],
    target: until(30),
    expected: "snapshot 3",
  },
  {
    what: "where a snapshot is right behind what was left over and copied later",
    snapshots: [snapshotOf(3, 30, { offset: 60 })],
    segments: [...COPIED, ...SEGMENTS.slice(3)],
    target: until(30),
    expected: `cannot restore to 1970-01-01T00:00:30.000Z: generations/${generation}/snapshots/` +
      `00000003.snapshot.lz4 is right only from ${generation}/00000003:60 on, which ` +
      `generations/${generation}/wal/00000003_00000000.wal.lz4 reaches: ask for 1970-01-01T00:00:31.000Z or later`,
  },
  {
    what: "all up to a moment where another program wrote the first part and it was copied later",
    snapshots: [snapshotOf(1, 10)],
    segments: [...COPIED, ...SEGMENTS.slice(3)],
    target: until(50),
    expected: "snapshot 1 1:0 1:100 2:0 2:50 2:90 3:0 3:50 4:0",
  },
  {
    what: "a snapshot of another program, copied later, by the note of a segment that we added to its index",
    snapshots: [snapshotOf(1, 90, { isNoted: false })],
    segments: [COPIED[0]!, ...SEGMENTS.slice(1)],
    target: until(14),
    expected: "snapshot 1 1:0 1:100",
  },
  {
    what: "the newest snapshot of another program, copied later, that a note follows",
    snapshots: [1, 2, 3].map((index) => snapshotOf(index, 90, { isNoted: false })),
    segments: [...COPIED, ...SEGMENTS.slice(3)],
    target: until(32),
    expected: "snapshot 2 2:0 2:50 2:90 3:0 3:50",
  },
  {
    what: "no snapshot of another program, copied later, before the first note",
    snapshots: [snapshotOf(1, 90, { isNoted: false })],
    segments: [COPIED[0]!, ...SEGMENTS.slice(1)],
    target: until(13),
    expected: "cannot find snapshot index by timestamp: no snapshots available",
  },
  {
    what: "no snapshot of another program, copied later, in an index that it took over from us",
    snapshots: [snapshotOf(1, 90, { isNoted: false })],
    segments: [SEGMENTS[0]!, COPIED[1]!],
    target: until(13),
    expected: "cannot find snapshot index by timestamp: no snapshots available",
  },
];

for (const { what, snapshots = SNAPSHOTS, segments = SEGMENTS, target, expected } of CASES) {
  test(`planRestore() finds ${what}`, async () => {
    assert.equal(await outcome(snapshots, segments, target), expected);
    // The order of a listing means nothing.
    assert.equal(await outcome(snapshots.toReversed(), segments.toReversed(), target), expected);
  });
}

test("planRestore() says what follows the restored segments", async () => {
  const { inventory, momentOf } = inventoryOf(SNAPSHOTS, SEGMENTS);
  const next = async (target: RestoreTarget) => (await planRestore(inventory, target, momentOf)).next?.key;
  assert.equal(await next(index(2)), segmentKey({ generation, index: 3, offset: 0 }));
  assert.equal(await next(until(31)), segmentKey({ generation, index: 3, offset: 50 }));
  assert.equal(await next(latest), undefined);
});

test("planRestore() to an index names what is missing behind it, since the index may have gone on", async () => {
  const missing = async (target: RestoreTarget, ...left: number[]) => {
    const { inventory, momentOf } = inventoryOf([snapshotOf(1, 10)], left.map((nth) => SEGMENTS[nth]!));
    return (await planRestore(inventory, target, momentOf)).missingBehindKey;
  };
  assert.equal(await missing(index(1), 0, 1, 2), undefined);
  assert.equal(await missing(index(1), 0, 1), undefined);
  assert.equal(await missing(index(1), 0, 3), segmentKey({ generation, index: 2, offset: 0 }));
  assert.equal(await missing(index(2), 0, 2, 4), segmentKey({ generation, index: 3, offset: 0 }));
});

test("countUntil() lets a note vouch for all before it, and goes by the store's times behind the last one", async () => {
  /** By the store at these seconds; the notes of some say other ones. */
  const count = (seconds: readonly number[], notes: Readonly<Record<number, number>> = {}) => {
    const objects = seconds.map((second, nth) => segmentOf(nth, 0, second).info);
    const momentOf: MomentOf = ({ index, createdAt }) => {
      const noted = notes[index];
      return Promise.resolve(
        noted === undefined ? { at: createdAt, isNoted: false, offset: 0 } : moment(noted),
      );
    };
    return countUntil(objects, new Date(20_000), momentOf);
  };
  assert.equal(await count([]), 0);
  assert.equal(await count([10, 12, 30, 40]), 2);
  // The second is too late although later ones are not.
  assert.equal(await count([10, 50, 12, 13, 14]), 1);
  assert.equal(await count([10, 50, 12, 13, 14], { 2: 12 }), 5);
  assert.equal(await count([10, 50, 12, 13, 14], { 4: 14 }), 5);
  // Late by the store, and by its note not.
  assert.equal(await count([10, 50, 12, 13, 14], { 1: 11 }), 5);
  assert.equal(await count([90, 91, 92, 93], { 0: 10, 1: 11, 2: 21, 3: 22 }), 2);
  // A copy, of which the first, the middle or the last ones have no notes.
  assert.equal(await count([90, 91, 92, 93, 94, 95], { 4: 10, 5: 11 }), 6);
  assert.equal(await count([90, 91, 92, 93, 94, 95], { 4: 10, 5: 21 }), 5);
  assert.equal(await count([90, 91, 92, 93, 94, 95], { 0: 9, 5: 10 }), 6);
  assert.equal(await count([90, 91, 92, 93, 94, 95], { 0: 9, 1: 10, 2: 11 }), 3);
  assert.equal(await count([90, 91, 92, 93, 94, 95]), 0);
});

test("countSegmentsUntil() takes what lies before the first snapshot for earlier, and goes by times without one", async () => {
  const count = (snapshots: readonly Timed<SnapshotInfo>[]) => {
    const { inventory, momentOf } = inventoryOf(snapshots, [...COPIED, ...SEGMENTS.slice(3)]);
    return countSegmentsUntil(inventory, new Date(31_000), momentOf);
  };
  assert.equal(await count([snapshotOf(3, 30)]), 6);
  assert.equal(await count([]), 6);
  assert.equal(
    await countSegmentsUntil(
      inventoryOf([], COPIED).inventory,
      new Date(31_000),
      (object) => Promise.resolve({ at: object.createdAt, isNoted: false, offset: 0 }),
    ),
    0,
  );
});

/** What a plan has to be, found by trying every snapshot and every end. */
function oracle(
  snapshots: readonly Timed<SnapshotInfo>[],
  segments: readonly Timed<SegmentInfo>[],
  target: Exclude<RestoreTarget, { kind: "position" }>,
): string | undefined {
  const isWithin = (timed: Timed<SegmentInfo | SnapshotInfo>) =>
    target.kind === "latest" ||
    (target.kind === "index" ? timed.info.index <= target.index : timed.moment.at <= target.at);
  let best: string | undefined;
  for (const snapshot of snapshots.toSorted((left, right) => left.info.index - right.info.index)) {
    if (!isWithin(snapshot)) continue;
    const after = segments.filter(({ info }) => info.index >= snapshot.info.index);
    const chosen = after.filter(isWithin);
    const rest = after.filter((segment) => !isWithin(segment));
    const { index: at } = snapshot.info;
    const { offset } = snapshot.moment;
    // Right from (at, offset) on: some chosen segment reaches it, so nothing left out begins before it.
    const isReached = offset === 0 ||
      chosen.some(({ info }) => info.index > at) ||
      (chosen.some(({ info }) => info.index === at) &&
        !rest.some(({ info }) => info.index === at && info.offset < offset));
    if (!isReached && target.kind === "moment") continue;
    best = [`snapshot ${at}`, ...chosen.map(({ info }) => `${info.index}:${info.offset}`)].join(" ");
  }
  return best;
}

/** A legal generation: indexes without holes, times that never go back, snapshots anywhere. */
const histories = fc.record({
  first: fc.nat(3),
  counts: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 5 }),
  steps: fc.array(fc.nat(2), { minLength: 30, maxLength: 30 }),
  snapshots: fc.array(fc.record({ at: fc.nat(5), offset: fc.constantFrom(0, 0, 10, 15) }), { maxLength: 3 }),
  isNoted: fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
  target: fc.oneof(
    fc.constant(latest),
    fc.nat(8).map(index),
    fc.nat(45).map(until),
  ),
});

test("planRestore() agrees with trying every snapshot and every end", async () => {
  let restorable = 0;
  const property = fc.asyncProperty(histories, async (history) => {
    let seconds = 5;
    let drawn = 0;
    const segments: Timed<SegmentInfo>[] = [];
    const snapshots: Timed<SnapshotInfo>[] = [snapshotOf(history.first, seconds)];
    for (const [nth, count] of history.counts.entries()) {
      const at = history.first + nth;
      for (let part = 0; part < count; part++) {
        seconds += history.steps[drawn]!;
        const isNoted = history.isNoted[drawn++]!;
        segments.push(segmentOf(at, part * 10, seconds, { isNoted }));
      }
      const snapshot = history.snapshots.find(({ at }) => at === nth);
      // Taken at an offset that the segments of its index reach.
      if (snapshot !== undefined && nth > 0) {
        const offset = Math.min(snapshot.offset, count * 10 - 5);
        const covering = segments.findLast(({ info }) =>
          info.index === at && info.offset < Math.max(1, offset)
        );
        const taken = offset === 0 ? segments.filter(({ info }) => info.index < at).at(-1)! : covering!;
        snapshots.push(snapshotOf(at, taken.moment.at.getTime() / 1000, { offset }));
      }
    }
    const expected = oracle(snapshots, segments, history.target);
    const found = await outcome(snapshots, segments, history.target);
    const isPlan = found.startsWith("snapshot ");
    const highest = segments.at(-1)?.info.index ?? -1;
    if (history.target.kind === "index" && expected !== undefined && history.target.index > highest) {
      assert.match(found, /^unable to locate index/);
    } else assert.equal(isPlan ? found : undefined, expected);
    if (isPlan) restorable++;
  });
  await fc.assert(property, { numRuns: 2000 });
  assert.ok(restorable > 500, `${restorable} of 2000 could be restored`);
});
