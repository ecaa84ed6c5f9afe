import assert from "node:assert/strict";
import { test } from "node:test";
import { releaseMemoryWhileQuiet } from "../../src/cli/quiet_memory.ts";
import { acquireBuffer, releaseBuffer } from "../../src/codec/buffer_pool.ts";
import { shrinkMemory } from "../../src/runtime/memory.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";

test("releaseMemoryWhileQuiet() shrinks once an hour at most, and only while all are quiet", async () => {
  const clock = new StoppedClock();
  const databases = [{ isQuiet: true }, { isQuiet: false }];
  let count = 0;
  const shrink = () => {
    count++;
    shrinkMemory();
  };
  const releasing = releaseMemoryWhileQuiet({ databases, clock, shrink });
  await clock.advance(60_000);
  assert.equal(count, 0);
  databases[1]!.isQuiet = true;
  await clock.advance(60_000);
  assert.equal(count, 1);
  await clock.advance(3_600_000);
  assert.equal(count, 2);
  releasing[Symbol.dispose]();
  await clock.advance(3_600_000);
  assert.equal(count, 2);
});

test("releaseMemoryWhileQuiet() lets go of buffers each time, but not of those in use", async () => {
  const clock = new StoppedClock();
  const databases = [{ isQuiet: false }];
  using _ = releaseMemoryWhileQuiet({ databases, clock, shrink: () => {} });
  const [inUse, first] = [acquireBuffer(), acquireBuffer()];
  inUse.fill(7);
  releaseBuffer(first);
  await clock.advance(20_000);
  const again = acquireBuffer();
  assert.equal(again, first, "while it is busy it is used again");
  databases[0]!.isQuiet = true;
  for (let round = 0; round < 2; round++) {
    const buffer = acquireBuffer();
    releaseBuffer(buffer);
    await clock.advance(20_000);
    const next = acquireBuffer();
    assert.notEqual(next, buffer);
    releaseBuffer(next);
  }
  assert.ok(inUse.every((byte) => byte === 7));
});
