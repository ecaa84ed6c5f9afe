/** The decisions as tables of cases. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CHECKPOINT_DEFAULTS,
  type CheckpointFacts,
  chooseCheckpoint,
  nextWalStep,
  reasonForNewGeneration,
  shouldMove,
  shouldStay,
  type StartFacts,
  type StepFacts,
} from "../../src/database/decide.ts";
import { isFrozen, isOutOfTheWay, isPinned, type Standing } from "../../src/database/standing.ts";
import type { Salts } from "../../src/wal/header.ts";
import type { WalIndex } from "../../src/wal/wal_index.ts";

const A: Salts = [1, 11];
const B: Salts = [2, 22];
const C: Salts = [3, 33];

function at(salts: Salts, mxFrame: number, backfilledCount = 0): WalIndex {
  return {
    mxFrame,
    pageCount: 9,
    pageSize: 4096,
    frameChecksum: [0, 0],
    salts,
    change: mxFrame,
    backfilledCount,
    readMarks: [],
  };
}

function standing(after: WalIndex, before: WalIndex | undefined = after, wasFrozen = false): Standing {
  return { before, after, wasFrozen };
}

test("nextWalStep() knows each way in which a WAL goes on", () => {
  const cases: readonly (readonly [string, StepFacts, string])[] = [
    ["nothing new", facts(at(A, 5), { salts: A, copied: 5, on: at(A, 5) }), "nothing"],
    ["grown", facts(at(A, 7), { salts: A, copied: 5, on: at(A, 5) }), "grown"],
    ["grown while on mark 0", facts(at(A, 7, 5), { salts: A, copied: 5, on: at(A, 5, 5) }), "grown"],
    ["restarted, published", facts(at(B, 1), { salts: A, copied: 5, on: at(A, 5, 5), file: B }), "restarted"],
    [
      "restarted, nothing published",
      facts(at(B, 0), { salts: A, copied: 5, on: at(A, 5, 5), file: B }),
      "nothing",
    ],
    ["truncated", facts(at(B, 0), { salts: A, copied: 5, on: at(A, 5, 5), file: undefined }), "nothing"],
    [
      "only the file's header is new",
      facts(at(A, 5, 5), { salts: A, copied: 5, on: at(A, 5, 5), file: B }),
      "nothing",
    ],
    [
      "published, the file not yet",
      facts(at(B, 1), { salts: A, copied: 5, on: at(A, 5, 5), file: A }),
      "look again",
    ],
    [
      "published, no file header",
      facts(at(B, 1), { salts: A, copied: 5, on: at(A, 5, 5), file: undefined }),
      "look again",
    ],
    ["the old header is back", facts(at(A, 5), { salts: A, copied: 5, on: at(B, 0) }), "nothing"],
    [
      "a fresh generation",
      facts(at(A, 5), { salts: undefined, copied: 0, on: at(A, 5), file: A }),
      "restarted",
    ],
    ["a fresh one, empty WAL", facts(at(A, 0), { salts: undefined, copied: 0, on: at(A, 0) }), "nothing"],
    [
      "a long restart on the way",
      facts(at(B, 60), { salts: B, copied: 15, on: at(A, 5, 5), file: B }),
      "grown",
    ],
    ["pinned, yet restarted", facts(at(B, 1), { salts: A, copied: 5, on: at(A, 5, 2), file: B }), "lost"],
    ["pinned, yet truncated", facts(at(B, 0), { salts: A, copied: 5, on: at(A, 5, 2) }), "lost"],
    [
      "restarted before it was copied",
      facts(at(B, 1), { salts: A, copied: 4, on: at(A, 5, 5), file: B }),
      "lost",
    ],
    ["truncated before it was copied", facts(at(B, 0), { salts: A, copied: 4, on: at(A, 5, 5) }), "lost"],
    ["a whole WAL skipped", facts(at(C, 1), { salts: A, copied: 5, on: at(B, 3, 3), file: C }), "lost"],
    ["fewer frames than copied", facts(at(A, 3), { salts: A, copied: 5, on: at(A, 3) }), "lost"],
  ];
  for (const [what, given, expected] of cases) assert.equal(nextWalStep(given).kind, expected, what);
});

function facts(
  index: WalIndex,
  { salts, copied, on, file }: {
    salts: Salts | undefined;
    copied: number;
    on: WalIndex;
    file?: Salts | undefined;
  },
): StepFacts {
  return { index, salts, copiedFrameCount: copied, fileSalts: file, standing: standing(on) };
}

test("isPinned() claims only what is sure", () => {
  const cases: readonly (readonly [string, Standing, boolean])[] = [
    ["something left to backfill", standing(at(A, 5, 4)), true],
    ["all backfilled", standing(at(A, 5, 5)), false],
    ["all backfilled before, grown since", standing(at(A, 6, 5), at(A, 5, 5)), false],
    ["nothing known of before", { before: undefined, after: at(A, 5), wasFrozen: false }, false],
    ["restarted in between", standing(at(B, 5), at(A, 5)), false],
    ["an empty WAL", standing(at(A, 0)), false],
  ];
  for (const [what, given, expected] of cases) assert.equal(isPinned(given), expected, what);
});

test("isFrozen() claims only what is sure", () => {
  const cases: readonly (readonly [string, Standing, boolean])[] = [
    ["all backfilled", standing(at(A, 5, 5)), true],
    ["an empty WAL", standing(at(A, 0)), true],
    ["something left to backfill", standing(at(A, 5, 4)), false],
    ["backfilled while the reader began", standing(at(A, 5, 5), at(A, 5, 4)), false],
    ["grown while the reader began", standing(at(A, 6, 6), at(A, 5, 5)), false],
    ["restarted while the reader began", standing(at(B, 5, 5), at(A, 5, 5)), false],
    ["nothing known of before", { before: undefined, after: at(A, 5, 5), wasFrozen: true }, false],
  ];
  for (const [what, given, expected] of cases) assert.equal(isFrozen(given), expected, what);
  assert.ok(!isOutOfTheWay(standing(at(A, 5, 5))), "the first time may be on a mark above 0");
  assert.ok(isOutOfTheWay(standing(at(A, 5, 5), at(A, 5, 5), true)));
  assert.ok(!isOutOfTheWay(standing(at(A, 5, 4), at(A, 5, 4), true)));
});

test("shouldMove() rests neither below the newest frame nor in the way", () => {
  const cases: readonly (readonly [string, WalIndex, Standing, boolean])[] = [
    ["at the newest frame", at(A, 5, 3), standing(at(A, 5, 3)), false],
    ["below it", at(A, 6, 3), standing(at(A, 5, 3)), true],
    ["on another WAL", at(B, 5), standing(at(A, 5)), true],
    ["all backfilled since", at(A, 5, 5), standing(at(A, 5, 3)), true],
    ["frozen once", at(A, 5, 5), standing(at(A, 5, 5)), true],
    ["frozen twice", at(A, 5, 5), standing(at(A, 5, 5), at(A, 5, 5), true), false],
    ["grown on mark 0", at(A, 6, 5), standing(at(A, 5, 5), at(A, 5, 5), true), true],
  ];
  for (const [what, index, given, expected] of cases) assert.equal(shouldMove(index, given), expected, what);
});

test("shouldStay() stays only on a mark that pins a long WAL", () => {
  const cases: readonly (readonly [string, WalIndex, Standing, boolean])[] = [
    ["a long WAL", at(A, 20, 5), standing(at(A, 10, 5)), true],
    ["a short WAL", at(A, 19, 5), standing(at(A, 10, 5)), false],
    ["another WAL", at(B, 20), standing(at(A, 30, 5)), false],
    ["on mark 0", at(A, 20, 10), standing(at(A, 10, 10)), false],
    ["maybe on mark 0", at(A, 20, 10), standing(at(A, 10, 10), at(A, 10, 5)), false],
  ];
  for (const [what, index, given, expected] of cases) {
    assert.equal(shouldStay(index, given, { fromPages: 20 }), expected, what);
  }
});

test("reasonForNewGeneration() goes on only where nothing can have been lost", () => {
  const fine: StartFacts = {
    liveHeader: "aa",
    shadowHeader: "aa",
    liveFrameCount: 5,
    shadowFrameCount: 5,
    isIndexOfLiveWal: true,
    endsLikeShadow: true,
  };
  const cases: readonly (readonly [Partial<StartFacts>, RegExp | undefined])[] = [
    [{}, undefined],
    [{ liveFrameCount: 9 }, undefined],
    [{ shadowProblem: "no shadow wal" }, /^no shadow wal$/],
    [{ liveHeader: undefined }, /no primary wal/],
    [{ liveHeader: "bb" }, /wal header mismatch aa <> bb/],
    [{ liveFrameCount: 4 }, /wal truncated by another process/],
    [{ isIndexOfLiveWal: false }, /wal truncated by another process/],
    [{ endsLikeShadow: false }, /wal overwritten by another process/],
  ];
  for (const [change, expected] of cases) {
    const reason = reasonForNewGeneration({ ...fine, ...change });
    if (expected === undefined) assert.equal(reason, undefined, JSON.stringify(change));
    else assert.match(reason ?? "", expected);
  }
});

test("chooseCheckpoint() is polite first, then firm, and never busy for nothing (case 31)", () => {
  const base: CheckpointFacts = {
    frameCount: 0,
    backfilledCount: 0,
    triedFrameCount: 0,
    triedBackfilledCount: 0,
    areOthersSeen: false,
    isPause: false,
    sinceLastTryMs: 0,
    quietMs: 0,
    limits: CHECKPOINT_DEFAULTS,
  };
  const never = { minPages: 1000, maxPages: 0, truncatePages: 0, intervalMs: 0 };
  const cases: readonly (readonly [string, Partial<CheckpointFacts>, string])[] = [
    ["an empty WAL", { sinceLastTryMs: 1e9 }, "none"],
    ["all backfilled", { frameCount: 50_000, backfilledCount: 50_000, sinceLastTryMs: 1e9 }, "none"],
    ["few frames", { frameCount: 749 }, "none"],
    ["few frames, in a pause", { frameCount: 749, isPause: true }, "none"],
    ["before the application's own checkpoint", { frameCount: 750 }, "polite"],
    ["tried just now", { frameCount: 1499, triedFrameCount: 750 }, "none"],
    ["as many again since", { frameCount: 1500, triedFrameCount: 750 }, "polite"],
    [
      "tried since, but the interval is over",
      { frameCount: 1499, triedFrameCount: 750, sinceLastTryMs: 60_000 },
      "polite",
    ],
    ["grown a little, in a pause", { frameCount: 751, triedFrameCount: 750, isPause: true }, "polite"],
    ["tried in vain in this pause", {
      frameCount: 800,
      backfilledCount: 750,
      triedFrameCount: 800,
      triedBackfilledCount: 750,
      isPause: true,
    }, "none"],
    ["others checkpoint", { frameCount: 3999, triedFrameCount: 3000, areOthersSeen: true }, "polite"],
    ["others checkpoint, for long", {
      frameCount: 4000,
      triedFrameCount: 3000,
      areOthersSeen: true,
    }, "barrier"],
    ["others checkpoint, for long, tried just now", {
      frameCount: 4500,
      triedFrameCount: 4000,
      areOthersSeen: true,
    }, "none"],
    ["others checkpoint, for long, never a barrier", {
      frameCount: 4000,
      triedFrameCount: 3000,
      areOthersSeen: true,
      limits: { ...never, maxPages: 0 },
    }, "polite"],
    ["nobody else checkpoints", { frameCount: 4000, triedFrameCount: 3000 }, "polite"],
    ["others checkpoint, as fast as they can", {
      frameCount: 750,
      sinceLastTryMs: 199,
      areOthersSeen: true,
    }, "barrier"],
    ["others checkpoint, not so fast", {
      frameCount: 750,
      sinceLastTryMs: 200,
      areOthersSeen: true,
    }, "polite"],
    ["one frame, before the interval", { frameCount: 1, sinceLastTryMs: 59_999 }, "none"],
    ["one frame, after the interval", { frameCount: 1, sinceLastTryMs: 60_000 }, "polite"],
    ["without an interval", { frameCount: 1, sinceLastTryMs: 1e9, limits: never }, "none"],
    ["one frame, quiet for a while", { frameCount: 1, quietMs: 4000 }, "polite"],
    ["one frame, quiet for less", { frameCount: 1, quietMs: 3999 }, "none"],
    ["quiet, tried in vain already", { frameCount: 1, triedFrameCount: 1, quietMs: 1e9 }, "none"],
    ["quiet, tried in vain, after the interval", {
      frameCount: 1,
      triedFrameCount: 1,
      quietMs: 1e9,
      sinceLastTryMs: 60_000,
    }, "polite"],
    ["quiet, as many frames in the next WAL", {
      frameCount: 1,
      triedFrameCount: 1,
      triedBackfilledCount: 1,
      quietMs: 4000,
    }, "polite"],
    ["quiet, all backfilled", { frameCount: 1, backfilledCount: 1, quietMs: 1e9 }, "none"],
    ["quiet, without an interval", { frameCount: 1, quietMs: 1e9, limits: never }, "none"],
    ["too many frames", { frameCount: 10_000, triedFrameCount: 9500 }, "barrier"],
    ["just tried with a barrier", { frameCount: 10_100, triedFrameCount: 10_000 }, "none"],
    ["grown since the barrier", { frameCount: 11_000, triedFrameCount: 10_000 }, "barrier"],
    [
      "a second since the barrier",
      { frameCount: 10_001, triedFrameCount: 10_000, sinceLastTryMs: 1000 },
      "barrier",
    ],
    ["never a barrier", { frameCount: 99_999, triedFrameCount: 99_000, limits: never }, "polite"],
  ];
  for (const [what, change, expected] of cases) {
    assert.equal(chooseCheckpoint({ ...base, ...change }), expected, what);
  }
});
