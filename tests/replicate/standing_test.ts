/** What is known of where a replica stands. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { Standing } from "../../src/replicate/standing.ts";

const segmentAt = (index: number, ms: number) =>
  ({ generation: "0123456789abcdef", index, offset: 0, length: 32, newestCommitAt: new Date(ms) }) as never;

test("Standing.timeOf() gives a segment that is sent again the time of before, whatever was prepared meanwhile", () => {
  const standing = new Standing({ client: { name: "file" }, database: {} } as never);
  const [first, next] = [segmentAt(1, 1000), segmentAt(2, 2000)];
  assert.equal(standing.timeOf(first).getTime(), 1000);
  standing.trying(first);
  assert.equal(standing.timeOf(next).getTime(), 2000);
  assert.equal(standing.timeOf(first).getTime(), 1000);
  standing.trying(next);
  assert.equal(standing.timeOf(first).getTime(), 2000);
});
