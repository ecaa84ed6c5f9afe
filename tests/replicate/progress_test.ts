import { test } from "node:test";
import assert from "node:assert/strict";
import { ReplicaProgress } from "../../src/replicate/progress.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";

test("ReplicaProgress: a snapshot gets further only where it never was before", async () => {
  const clock = new StoppedClock();
  const progress = new ReplicaProgress(clock);
  await clock.advance(50);
  progress.snapshotBegun();
  await clock.advance(1_000);
  progress.snapshotAdvanced(0.5);
  assert.equal(progress.sinceSnapshotMs, 0);
  await clock.advance(1_000);
  // The next try, from its start.
  progress.snapshotAdvanced(0.1);
  progress.snapshotAdvanced(0.5);
  assert.equal(progress.sinceSnapshotMs, 1_000);
  progress.snapshotAdvanced(0.51);
  assert.equal(progress.sinceSnapshotMs, 0);
  assert.equal(progress.missingSnapshotForMs, 2_000);
});

test("ReplicaProgress: the time that a snapshot waits for its turn doesn't count, and forgives nothing", async () => {
  const clock = new StoppedClock();
  const progress = new ReplicaProgress(clock);
  progress.snapshotBegun();
  await clock.advance(10);
  {
    using _ = progress.snapshotWaits();
    await clock.advance(1_000_000);
    assert.equal(progress.sinceSnapshotMs, 10);
  }
  await clock.advance(10);
  assert.equal(progress.sinceSnapshotMs, 20);
});

test("ReplicaProgress: what a snapshot waits before it gets further is not forgiven twice", async () => {
  const clock = new StoppedClock();
  const progress = new ReplicaProgress(clock);
  progress.snapshotBegun();
  {
    using _ = progress.snapshotWaits();
    await clock.advance(1_000_000);
    // Staged: it is compressed while the WAL that it needs is waited for.
    progress.snapshotAdvanced(0.5);
    await clock.advance(10);
    assert.equal(progress.sinceSnapshotMs, 0);
  }
  await clock.advance(20);
  assert.equal(progress.sinceSnapshotMs, 20);
});

test("ReplicaProgress keeps the newest times, of what was found and what was stored", () => {
  const clock = new StoppedClock(5_000);
  const progress = new ReplicaProgress(clock);
  assert.deepEqual([progress.lastUploadAt, progress.newestSnapshotAt], [undefined, undefined]);
  progress.found({ snapshotAt: new Date(1_000), newestAt: new Date(2_000) });
  progress.found({ snapshotAt: new Date(900), newestAt: undefined });
  assert.deepEqual([progress.lastUploadAt, progress.newestSnapshotAt], [2_000, 1_000]);
  progress.snapshotStored(new Date(4_000));
  assert.deepEqual([progress.lastUploadAt, progress.newestSnapshotAt], [5_000, 4_000]);
});
