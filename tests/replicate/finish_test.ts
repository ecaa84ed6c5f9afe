/** What `finish` says of commits that it can't bring into the replica. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Bench } from "./bench_of_one.ts";
import { ContinuityLostError } from "../../src/database/continuity.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles, type FailRule } from "../doubles/failing_files.ts";

/** A bench whose next segment is lost before it is uploaded, and then finds the disk full, lastingly or once. */
async function losingBench(rules: FailRule[], { isLastingly }: { isLastingly: boolean }) {
  const bench = new Bench({ files: failFiles(systemFiles, rules).files });
  await bench.run();
  bench.insert();
  await bench.current();
  const { database } = bench;
  const { generation } = database.position!;
  const segmentAfter = database.segmentAfter.bind(database);
  database.segmentAfter = (position, limit) => {
    const segment = segmentAfter(position, limit);
    if (segment === undefined || position.generation !== generation) return segment;
    if (rules.length === 0) {
      rules.push({
        kind: "write",
        path: /generations/,
        code: "ENOSPC",
        times: isLastingly ? Infinity : 1,
      });
    }
    throw new ContinuityLostError("lost for the test");
  };
  bench.insert();
  return bench;
}

test("finish() fails where the last upload calls for a new generation that can't be written", async () => {
  await using bench = await losingBench([], { isLastingly: true });
  await assert.rejects(bench.stop(1500), /the last commits are not in replica-0: the disk of .* is full/);
});

test("finish() begins the new generation that its last upload calls for, at the next try where the first fails", async () => {
  await using bench = await losingBench([], { isLastingly: false });
  await bench.assertRestores();
  assert.equal(bench.logged("sync: new generation"), 2);
});
