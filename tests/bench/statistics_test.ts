import assert from "node:assert/strict";
import { test } from "node:test";
import { randomFrom } from "../../bench/random.ts";
import { median, quantile, summarize } from "../../bench/statistics.ts";

test("median() and quantile() take the values in order", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(quantile([5, 1, 4, 2, 3], 0.5), 3);
  assert.equal(quantile([5, 1, 4, 2, 3], 0.95), 5);
  assert.equal(quantile([5, 1, 4, 2, 3], 0), 1);
  assert.throws(() => median([]), /no values/);
});

test("summarize() bounds the median by the place that 90 % need", () => {
  const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1);
  // Sums of binomial coefficients over 2^count, by hand.
  const cases: [number, { upper: number; lower: number; confidence: number }][] = [
    [1, { upper: 1, lower: 1, confidence: 1 / 2 }],
    [2, { upper: 2, lower: 1, confidence: 3 / 4 }],
    [3, { upper: 3, lower: 1, confidence: 7 / 8 }],
    [4, { upper: 4, lower: 1, confidence: 15 / 16 }],
    [5, { upper: 5, lower: 1, confidence: 31 / 32 }],
    // Five of six reach 89 %, which is not enough.
    [6, { upper: 6, lower: 1, confidence: 63 / 64 }],
    [7, { upper: 6, lower: 2, confidence: 120 / 128 }],
    [9, { upper: 7, lower: 3, confidence: 466 / 512 }],
  ];
  for (const [count, { upper, lower, confidence }] of cases) {
    const summary = summarize(upTo(count).toReversed());
    assert.deepEqual([summary.upper, summary.lower], [upper, lower], `${count} values`);
    assert.ok(Math.abs(summary.confidence - confidence) < 1e-12, `${count} values: ${summary.confidence}`);
    assert.deepEqual([summary.least, summary.most, summary.count], [1, count, count]);
  }
});

test("summarize()'s bound holds in at least nine of ten runs, whatever the spread", () => {
  const random = randomFrom(3);
  let heldCount = 0;
  for (let run = 0; run < 2000; run++) {
    // Half of all values are below 1; the rest go up to 100.
    const values = Array.from({ length: 9 }, () => random() < 0.5 ? random() : 1 + 99 * random());
    if (summarize(values).upper >= 1) heldCount++;
  }
  assert.ok(heldCount >= 1800 && heldCount <= 1860, `${heldCount} of 2000`);
});
