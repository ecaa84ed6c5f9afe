import { test } from "node:test";
import assert from "node:assert/strict";
import {
  type DatabaseFacts,
  judgeDatabase,
  judgeReplica,
  type ReplicaFacts,
} from "../../src/replicate/health.ts";

const LIMITS = { maxStallMs: 300_000, maxLagMs: 0 };

const FOLLOWED: DatabaseFacts = {
  state: "live",
  isNew: false,
  error: "",
  sinceStateMs: 9_000_000,
  sinceGoodMs: 20,
  lookIntervalMs: 6_000,
  uncopiedBytes: 0,
};

test("judgeDatabase() knows each condition and its limit", () => {
  const cases: [
    string,
    Partial<DatabaseFacts>,
    { condition: string; isHealthy: boolean; blindMs: number },
  ][] = [
    ["followed", {}, { condition: "ok", isHealthy: true, blindMs: 0 }],
    ["just committed", { uncopiedBytes: 4120 }, { condition: "ok", isHealthy: true, blindMs: 0 }],
    [
      "not looked at for longer than an interval, with something to copy",
      { uncopiedBytes: 4120, sinceGoodMs: 6_001 },
      { condition: "stalled", isHealthy: true, blindMs: 6_001 },
    ],
    [
      "the same for too long",
      { uncopiedBytes: 4120, sinceGoodMs: 306_001 },
      { condition: "stalled", isHealthy: false, blindMs: 306_001 },
    ],
    ["nothing to copy", { sinceGoodMs: 306_001 }, { condition: "ok", isHealthy: true, blindMs: 0 }],
    ["one error", { error: "x", sinceGoodMs: 2_000 }, { condition: "failing", isHealthy: true, blindMs: 0 }],
    [
      "errors up to the limit",
      { error: "x", sinceGoodMs: 306_000 },
      { condition: "failing", isHealthy: true, blindMs: 0 },
    ],
    [
      "errors beyond the limit, though all is copied",
      { error: "x", sinceGoodMs: 306_001 },
      { condition: "failing", isHealthy: false, blindMs: 0 },
    ],
    [
      "not there yet, for ever",
      { state: "waiting", isNew: true, sinceGoodMs: 9e9 },
      { condition: "new", isHealthy: true, blindMs: 0 },
    ],
    [
      "locked",
      { state: "waiting", error: "x", sinceGoodMs: 1_000 },
      { condition: "waiting", isHealthy: true, blindMs: 1_000 },
    ],
    [
      "locked for too long",
      { state: "waiting", error: "x", sinceGoodMs: 306_001 },
      { condition: "waiting", isHealthy: false, blindMs: 306_001 },
    ],
    [
      "stopped just now",
      { state: "stopped", error: "x", sinceGoodMs: 5 },
      { condition: "stopped", isHealthy: false, blindMs: 5 },
    ],
    ["closed", { state: "closed", sinceGoodMs: 9e9 }, { condition: "closed", isHealthy: true, blindMs: 0 }],
  ];
  for (const [what, facts, expected] of cases) {
    const { condition, isHealthy, blindMs } = judgeDatabase({ ...FOLLOWED, ...facts }, LIMITS);
    assert.deepEqual({ condition, isHealthy, blindMs }, expected, what);
  }
});

const CURRENT: ReplicaFacts = {
  unsentForMs: undefined,
  unsentBytes: 0,
  sinceWalMs: 9_000_000,
  syncIntervalMs: 1_000,
  missingSnapshotForMs: undefined,
  sinceSnapshotMs: 9_000_000,
  error: "",
  unprovenForMs: undefined,
};

test("judgeReplica() knows each condition and its limit", () => {
  const cases: [
    string,
    Partial<ReplicaFacts>,
    { condition: string; isHealthy: boolean; behindMs: number },
  ][] = [
    ["quiet for hours", {}, { condition: "ok", isHealthy: true, behindMs: 0 }],
    ["a commit after a quiet time", { unsentForMs: 40 }, {
      condition: "behind",
      isHealthy: true,
      behindMs: 40,
    }],
    [
      "a commit that is not sent, up to the limit",
      { unsentForMs: 301_000 },
      { condition: "behind", isHealthy: true, behindMs: 301_000 },
    ],
    [
      "beyond it",
      { unsentForMs: 301_001 },
      { condition: "stalled", isHealthy: false, behindMs: 301_001 },
    ],
    [
      "far behind, but getting further",
      { unsentForMs: 8_000_000, sinceWalMs: 30_000 },
      { condition: "behind", isHealthy: true, behindMs: 8_000_000 },
    ],
    [
      "current, but its last drill failed",
      { unprovenForMs: 20 },
      { condition: "unproven", isHealthy: false, behindMs: 0 },
    ],
    [
      "failing, and so did its last drill",
      { unsentForMs: 5_000, error: "x", unprovenForMs: 20 },
      { condition: "unproven", isHealthy: false, behindMs: 5_000 },
    ],
    [
      "beyond the limit, and its last drill failed",
      { unsentForMs: 301_001, unprovenForMs: 20 },
      { condition: "stalled", isHealthy: false, behindMs: 301_001 },
    ],
    [
      "uploads that began to fail",
      { unsentForMs: 5_000, error: "x" },
      { condition: "failing", isHealthy: true, behindMs: 5_000 },
    ],
    [
      "a long first snapshot that gets further",
      { missingSnapshotForMs: 8_000_000, sinceSnapshotMs: 100 },
      { condition: "behind", isHealthy: true, behindMs: 8_000_000 },
    ],
    [
      "a first snapshot that gets no further, while the WAL does",
      { missingSnapshotForMs: 8_000_000, sinceSnapshotMs: 301_001, unsentForMs: 5, sinceWalMs: 5 },
      { condition: "stalled", isHealthy: false, behindMs: 8_000_000 },
    ],
  ];
  for (const [what, facts, expected] of cases) {
    const { condition, isHealthy, behindMs } = judgeReplica({ ...CURRENT, ...facts }, {
      limits: LIMITS,
      database: { blindMs: 0 },
    });
    assert.deepEqual({ condition, isHealthy, behindMs }, expected, what);
  }
});

test("judgeReplica() counts what nobody copies as behind, and knows a limit for that", () => {
  const judge = (maxLagMs: number, facts: Partial<ReplicaFacts>, blindMs = 0) =>
    judgeReplica({ ...CURRENT, ...facts }, { limits: { ...LIMITS, maxLagMs }, database: { blindMs } });
  assert.deepEqual(judge(0, {}, 700), { condition: "behind", isHealthy: true, forMs: 700, behindMs: 700 });
  assert.equal(judge(60_000, { unsentForMs: 60_000, sinceWalMs: 5 }).condition, "behind");
  const late = judge(60_000, { unsentForMs: 60_001, sinceWalMs: 5 });
  assert.deepEqual(late, { condition: "late", isHealthy: false, forMs: 60_001, behindMs: 60_001 });
});

test("judgeReplica() lets a replica rest for its own interval", () => {
  const hourly = { ...CURRENT, syncIntervalMs: 3_600_000, unsentForMs: 3_599_000 };
  const { condition } = judgeReplica(hourly, { limits: LIMITS, database: { blindMs: 0 } });
  assert.equal(condition, "behind");
});
