import { test } from "node:test";
import assert from "node:assert/strict";
import type { IndexOffset } from "../../src/position.ts";
import { segmentKey, snapshotKey } from "../../src/storage/keys.ts";
import { describeCost, type ItemFacts, positionOf, RestorePoints } from "../../src/verify/costs.ts";

const generation = "00000000000000aa";

function at(seconds: number): Date {
  return new Date(Date.UTC(2026, 0, 1, 14, 0, seconds));
}

function snapshot(index: number, seconds: number, rightFrom = 0): ItemFacts {
  const item = { key: snapshotKey({ generation, index }), size: 1, createdAt: at(0), generation, index };
  return { item, at: at(seconds), rightFrom };
}

function segment(index: number, offset: number, seconds: number): ItemFacts {
  const key = segmentKey({ generation, index, offset });
  return {
    item: { key, size: 1, createdAt: at(0), generation, index, offset },
    at: at(seconds),
    rightFrom: 0,
  };
}

const FACTS = [
  snapshot(0, 0),
  segment(0, 0, 1),
  segment(0, 100, 2),
  segment(1, 0, 3),
  segment(1, 100, 4),
  snapshot(2, 4),
  segment(2, 0, 5),
  segment(2, 100, 6),
];

/** What is said of faults at these positions, each told of before any is asked for. */
function costs(facts: readonly ItemFacts[], ...positions: readonly IndexOffset[]): string[] {
  const points = new RestorePoints(facts);
  for (const position of positions) points.lose(position);
  return positions.map((position) => describeCost(points.costOf(position)));
}

test("RestorePoints tells which restores a fault makes impossible", () => {
  const moment = (seconds: number) => at(seconds).toISOString();
  const snapshotAt = (place: number) => positionOf(FACTS[place]!.item);
  const cases: [string, IndexOffset, string][] = [
    [
      "the first snapshot",
      snapshotAt(0),
      `restores from ${moment(0)} to before ${moment(4)} are not possible; later ones are`,
    ],
    [
      "the last snapshot",
      snapshotAt(5),
      `restores to ${moment(4)} and later are not possible; earlier ones are`,
    ],
    [
      "a segment in the middle",
      { index: 0, offset: 100 },
      `restores from ${moment(2)} to before ${moment(4)} are not possible; earlier and later ones are`,
    ],
    [
      "the newest segment",
      { index: 2, offset: 100 },
      `restores to ${moment(6)} and later are not possible; earlier ones are`,
    ],
    [
      "a hole, which leaves open where the one before it ended",
      { index: 1, offset: 50 },
      `restores from ${moment(3)} to before ${moment(4)} are not possible; earlier and later ones are`,
    ],
    [
      "a hole right behind a snapshot",
      { index: 0, offset: -0.5 },
      `restores from ${moment(0)} to before ${moment(4)} are not possible; later ones are`,
    ],
    ["what is before everything", { index: -1, offset: 0 }, "costs nothing: no restore needs it"],
  ];
  for (const [what, position, expected] of cases) assert.deepEqual(costs(FACTS, position), [expected], what);
});

test("RestorePoints counts what other faults make impossible as well", () => {
  const moment = (seconds: number) => at(seconds).toISOString();
  assert.deepEqual(
    costs(FACTS, { index: 0, offset: 0 }, positionOf(FACTS[0]!.item), { index: 2, offset: 0 }),
    [
      `restores from ${moment(1)} to before ${moment(4)} are not possible; later ones are`,
      `restores from ${moment(0)} to before ${moment(4)} are not possible; later ones are`,
      `restores to ${moment(5)} and later are not possible; earlier ones are`,
    ],
  );
  assert.deepEqual(costs([snapshot(0, 0)], positionOf(snapshot(0, 0).item)), [
    `restores to ${moment(0)} and later are not possible; there is none that is`,
  ]);
});

test("RestorePoints has a snapshot of the middle of an index serve only what is behind its offset", () => {
  const facts = [
    snapshot(0, 0),
    segment(0, 0, 1),
    snapshot(1, 3, 100),
    segment(1, 0, 2),
    segment(1, 100, 3),
    segment(1, 200, 4),
  ];
  const points = new RestorePoints(facts);
  assert.equal(points.count, 5);
  // The first segment of index 1 ends at 100, where that snapshot begins to be right.
  points.lose(positionOf(facts[2]!.item));
  assert.deepEqual(points.reachable.map(({ at }) => at), [at(0), at(1)]);
  const other = new RestorePoints([snapshot(0, 0), segment(0, 0, 1), snapshot(1, 3, 150), ...facts.slice(3)]);
  other.lose(positionOf(facts[2]!.item));
  assert.deepEqual(other.reachable.map(({ at }) => at), [at(0), at(1), at(2)]);
});
