import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  type AgedGeneration,
  type Deletion,
  orderDeletion,
  planRetention,
} from "../../src/replicate/retention.ts";

/** A model of a stored object: time by its note, and by the store. */
interface Thing {
  readonly kind: "snapshot" | "segment";
  readonly index: number;
  /** Segments of a generation count from 0. */
  readonly ordinal: number;
  readonly noted: number;
  readonly stored: number;
}

interface Model {
  readonly generation: string;
  readonly things: readonly Thing[];
}

type View = "noted" | "stored";
const VIEWS: readonly View[] = ["noted", "stored"];

const snapshotsOf = ({ things }: Model) => things.filter(({ kind }) => kind === "snapshot");

function boundsIn(model: Model, view: View): { startAt: Date; endAt: Date } | undefined {
  const first = snapshotsOf(model)[0];
  if (first === undefined) return undefined;
  const counted = model.things.filter(({ index }) => index >= first.index).map((thing) => thing[view]);
  return { startAt: new Date(first[view]), endAt: new Date(Math.max(...counted)) };
}

function aged(model: Model): AgedGeneration {
  return {
    generation: model.generation,
    snapshots: snapshotsOf(model).map(({ index, noted, stored }) => ({
      index,
      at: new Date(Math.max(noted, stored)),
    })),
    bounds: VIEWS.map((view) => boundsIn(model, view)).filter((bounds) => bounds !== undefined),
  };
}

/** What a restore to `moment` gives, by looking at everything: `undefined` nothing, else generation and last segment. */
function restoreModel(models: readonly Model[], moment: number, view: View): string | undefined {
  const begun = models
    .map((model) => ({ model, bounds: boundsIn(model, view) }))
    .filter(({ bounds }) => bounds !== undefined && bounds.startAt.getTime() <= moment);
  begun.sort((left, right) =>
    Math.min(right.bounds!.endAt.getTime(), moment) - Math.min(left.bounds!.endAt.getTime(), moment) ||
    right.bounds!.startAt.getTime() - left.bounds!.startAt.getTime()
  );
  const model = begun[0]?.model;
  if (model === undefined) return undefined;
  const snapshot = snapshotsOf(model).findLast((other) => other[view] <= moment)!;
  const segments = model.things.filter((thing) =>
    thing.kind === "segment" && thing.index >= snapshot.index && thing[view] <= moment
  );
  const ordinals = segments.map(({ ordinal }) => ordinal);
  const last = ordinals.at(-1);
  if (last !== undefined && last - ordinals[0]! !== ordinals.length - 1) return "broken";
  return `${model.generation} ${last ?? `snapshot ${snapshot.index}`}`;
}

/** Every state that a crash in the middle of `deletions` can leave. */
function* crashes(models: readonly Model[], deletions: readonly Deletion[]): Generator<Model[]> {
  let left = [...models];
  const take = (generation: string, gone: (thing: Thing) => boolean) => {
    left = left.map((model) =>
      model.generation === generation
        ? { generation, things: model.things.filter((thing) => !gone(thing)) }
        : model
    );
  };
  for (const deletion of deletions) {
    const { generation } = deletion;
    const { things } = models.find((model) => model.generation === generation)!;
    const info = (thing: Thing) => ({
      ...thing,
      generation,
      offset: thing.ordinal,
      key: "",
      size: 0,
      createdAt: new Date(0),
    });
    const order = orderDeletion(deletion, {
      snapshots: things.filter(({ kind }) => kind === "snapshot").map(info),
      segments: things.filter(({ kind }) => kind === "segment").map(info),
    });
    for (const { index } of order.snapshots) {
      take(generation, (thing) => thing.kind === "snapshot" && thing.index === index);
      yield left;
    }
    // In any order among themselves: from both ends stands for it.
    for (const [nth] of order.segments.entries()) {
      const all = order.segments;
      const { offset } = nth % 2 === 0 ? all[nth / 2]! : all[all.length - 1 - (nth - 1) / 2]!;
      take(generation, (thing) => thing.kind === "segment" && thing.ordinal === offset);
      yield left;
    }
  }
  yield left;
}

const steps = fc.array(
  fc.record({
    wait: fc.integer({ min: 0, max: 4 }),
    delay: fc.integer({ min: 0, max: 2 }),
    what: fc.constantFrom("segment", "segment", "index", "snapshot"),
  }),
  { minLength: 1, maxLength: 14 },
);

type Steps = { wait: number; delay: number; what: string }[];

/** A generation that begins at `from` as ours do: WAL of index 0, then a snapshot, then whatever happens. */
function grow(generation: string, from: number, history: Steps): { model: Model; until: number } {
  const things: Thing[] = [];
  let now = from;
  let index = 0;
  let ordinal = 0;
  let stored = from;
  const add = (kind: Thing["kind"], delay: number) => {
    // What is stored later is never of an earlier time, by either clock.
    stored = Math.max(stored, now + delay);
    things.push({ kind, index, ordinal: kind === "segment" ? ordinal++ : -1, noted: now, stored });
  };
  add("segment", 0);
  for (const { wait, delay, what } of history) {
    now += wait;
    if (what === "index") index++;
    if (what !== "snapshot") add("segment", delay);
    else if (!things.some((thing) => thing.kind === "snapshot" && thing.index === index)) {
      add("snapshot", delay);
    }
  }
  return { model: { generation, things }, until: Math.max(now, stored) };
}

const histories = fc.array(fc.record({ gap: fc.integer({ min: 1, max: 12 }), history: steps }), {
  minLength: 1,
  maxLength: 4,
});

test("planRetention() keeps every moment within retention restorable to the same state, at any crash (11.13, 11.14)", () => {
  let deletedCount = 0;
  fc.assert(
    fc.property(
      histories,
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 30 }),
      (all, retentionMs, idle) => {
        let now = 1000;
        const models = all.map(({ gap, history }, nth) => {
          const { model, until } = grow(`g${nth}`, now + gap, history);
          now = until + 1;
          return model;
        });
        now += idle;
        const current = models.at(-1)!.generation;
        const state = { generations: models.map(aged), current, now: new Date(now), retentionMs };
        const { deletions } = planRetention(state);
        deletedCount += deletions.length;
        const isCurrentDeleted = deletions.some((deletion) =>
          deletion.generation === current && deletion.beforeIndex === undefined
        );
        assert.ok(!isCurrentDeleted, "the current generation is never deleted");
        for (const left of crashes(models, deletions)) {
          for (const view of VIEWS) {
            for (let moment = now - retentionMs; moment <= now + 2; moment++) {
              const was = restoreModel(models, moment, view);
              const is = restoreModel(left, moment, view);
              assert.equal(is, was, `at ${moment} (${view}) of ${now}`);
            }
          }
        }
      },
    ),
    { numRuns: 1000 },
  );
  assert.ok(deletedCount > 300, `the histories were too tame: ${deletedCount} deletions`);
});

test("planRetention() leaves overlapping generations restorable, and those of other writers alone (11.14)", () => {
  let foreignCount = 0;
  const begun = fc.array(fc.record({ from: fc.integer({ min: 0, max: 40 }), history: steps }), {
    minLength: 2,
    maxLength: 4,
  });
  fc.assert(
    fc.property(
      begun,
      fc.integer({ min: 1, max: 40 }),
      fc.nat({ max: 30 }),
      fc.nat(),
      (all, retentionMs, idle, pick) => {
        const grown = all.map(({ from, history }, nth) => grow(`g${nth}`, 1000 + from, history));
        const models = grown.map(({ model }) => model);
        const now = Math.max(...grown.map(({ until }) => until)) + idle;
        const current = models[pick % models.length]!;
        const plan = planRetention({
          generations: models.map(aged),
          current: current.generation,
          now: new Date(now),
          retentionMs,
        });
        foreignCount += plan.foreign.length;
        for (const { generation, beforeIndex } of plan.deletions) {
          assert.ok(!plan.foreign.includes(generation));
          if (beforeIndex !== undefined) continue;
          assert.notEqual(generation, current.generation);
          const newest = (model: Model) =>
            Math.max(...snapshotsOf(model).map(({ noted, stored }) => Math.max(noted, stored)));
          const model = models.find((other) => other.generation === generation)!;
          assert.ok(!(newest(model) > newest(current)), "newer than the current one's");
        }
        for (const left of crashes(models, plan.deletions)) {
          for (const view of VIEWS) {
            for (let moment = now - retentionMs; moment <= now; moment++) {
              const was = restoreModel(models, moment, view);
              const is = restoreModel(left, moment, view);
              assert.equal(is === undefined, was === undefined, `at ${moment} (${view}) of ${now}`);
              assert.ok(was === "broken" || is !== "broken", `at ${moment} (${view}) of ${now}`);
            }
          }
        }
      },
    ),
    { numRuns: 1000 },
  );
  assert.ok(foreignCount > 100, `the histories were too tame: ${foreignCount} foreign generations`);
});

const HOUR_MS = 3_600_000;
const NOW = Date.UTC(2026, 0, 10);

/** A generation with snapshots that many hours old, of index 1, 2…, the oldest first. */
function generationOf(generation: string, ...hours: number[]): AgedGeneration {
  const snapshots = hours.map((age, nth) => ({ index: nth + 1, at: new Date(NOW - age * HOUR_MS) }));
  const bounds = snapshots.length === 0 ? [] : [{ startAt: snapshots[0]!.at, endAt: snapshots.at(-1)!.at }];
  return { generation, snapshots, bounds };
}

const decide = (current: string, ...generations: AgedGeneration[]) =>
  planRetention({ generations, current, now: new Date(NOW), retentionMs: 24 * HOUR_MS });

test("planRetention() keeps the newest snapshot past the cut-off with its WAL (case 88 with 11.13)", () => {
  const plan = decide("a", generationOf("a", 30, 1));
  assert.deepEqual(plan.deletions, [{ generation: "a", beforeIndex: 1 }]);
  assert.equal(plan.isSnapshotDue, false);
  assert.deepEqual(decide("a", generationOf("a", 50, 30, 1)).deletions, [{
    generation: "a",
    beforeIndex: 2,
  }]);
  assert.deepEqual(decide("a", generationOf("a", 30, 24, 1)).deletions, [{
    generation: "a",
    beforeIndex: 2,
  }]);
});

test("planRetention() asks for a snapshot when all are past the cut-off, and keeps the old one until then (case 89)", () => {
  const plan = decide("a", generationOf("a", 30));
  assert.deepEqual(plan.deletions, [{ generation: "a", beforeIndex: 1 }]);
  assert.equal(plan.isSnapshotDue, true);
  assert.equal(plan.nextAt, undefined);
});

test("planRetention() deletes an old generation once no moment needs it, the current one never (case 90)", () => {
  const before = (plan: { deletions: readonly Deletion[] }, generation: string) =>
    plan.deletions.find((deletion) => deletion.generation === generation)?.beforeIndex;
  const gone = decide("b", generationOf("a", 90, 60), generationOf("b", 50));
  assert.ok(gone.deletions.some(({ generation }) => generation === "a"));
  assert.equal(before(gone, "a"), undefined);
  assert.equal(before(gone, "b"), 1);
  // 20 hours ago there was only what the old one holds.
  const needed = decide("b", generationOf("a", 90, 60), generationOf("b", 10));
  assert.equal(before(needed, "a"), 2);
  assert.deepEqual(needed.nextAt, new Date(NOW + 14 * HOUR_MS));
});

test("planRetention() touches nothing while the current generation can't be restored (11.14)", () => {
  assert.deepEqual(decide("b", generationOf("a", 90, 60), generationOf("b")).deletions, []);
  assert.deepEqual(decide("b", generationOf("a", 90, 60)).deletions, []);
  assert.equal(decide("b", generationOf("a", 90)).isSnapshotDue, false);
});

test("planRetention() names a generation that is written beside the current one (11.14)", () => {
  const plan = decide("a", generationOf("a", 50, 10), generationOf("b", 40, 5));
  assert.deepEqual(plan.foreign, ["b"]);
  assert.deepEqual(plan.deletions, [{ generation: "a", beforeIndex: 1 }]);
});

test("planRetention() keeps what a restore takes where a copy of the replica has lost the times of files", () => {
  const hours = (age: number) => new Date(NOW - age * HOUR_MS);
  const copiedAt = hours(40);
  const stored = { storedStartAt: copiedAt, storedEndAt: copiedAt };
  const snapshots = [{ index: 0, at: copiedAt }];
  const plain = { startAt: copiedAt, endAt: copiedAt, isNoted: false, ...stored };
  const noted = { startAt: hours(90), endAt: hours(60), notedEndAt: hours(60), isNoted: true, ...stored };
  const plan = decide(
    "current",
    { generation: "noted", snapshots, bounds: [noted, plain] },
    { generation: "unnoted", snapshots, bounds: [plain, { ...plain, startAt: hours(39) }] },
    generationOf("current", 10),
  );
  assert.ok(plan.deletions.every(({ beforeIndex }) => beforeIndex !== undefined));
});

test("planRetention() deletes nothing that could be needed beside what can't be read", () => {
  const at = (hour: number) => new Date(hour * 3_600_000);
  const aged = (generation: string, start: number, end: number, isUnreadable = false): AgedGeneration => ({
    generation,
    snapshots: [{ index: 0, at: at(start) }],
    bounds: [{ startAt: at(start), endAt: at(end) }],
    isUnreadable,
  });
  const gone = (...generations: AgedGeneration[]) =>
    planRetention({ generations, current: "current", now: at(100), retentionMs: 24 * 3_600_000 }).deletions
      .filter(({ beforeIndex }) => beforeIndex === undefined).map(({ generation }) => generation);
  const first = aged("first", 10, 20);
  const second = aged("second", 30, 40);
  const current = aged("current", 90, 99);
  assert.deepEqual(gone(first, second, current), ["first"]);
  // Of what can't be read nobody knows whether it reaches the cut-off.
  assert.deepEqual(gone(first, aged("second", 30, 40, true), current), []);
  assert.deepEqual(gone(aged("first", 10, 20, true), second, current), []);
  assert.deepEqual(gone(first, second, aged("third", 50, 60, true), current), ["first"]);
  assert.deepEqual(gone(first, second, aged("current", 90, 99, true)), ["first"]);
  const [snapshot] = first.snapshots;
  assert.deepEqual(
    gone({ ...first, snapshots: [{ ...snapshot!, isUnreadable: true }] }, second, current),
    [],
  );
});

test("planRetention() keeps what lies before a snapshot whose age can't be read", () => {
  const at = (hour: number) => new Date(hour * 3_600_000);
  const plan = (unreadable: number) =>
    planRetention({
      generations: [{
        generation: "current",
        snapshots: [10, 20, 30, 90].map((hour, index) => ({
          index,
          at: at(hour),
          isUnreadable: index >= unreadable,
        })),
        bounds: [],
      }],
      current: "current",
      now: at(100),
      retentionMs: 24 * 3_600_000,
    });
  const kept = (unreadable: number) => plan(unreadable).deletions[0]!.beforeIndex;
  assert.deepEqual([4, 3, 2, 1, 0].map(kept), [2, 2, 1, 0, 0]);
});
