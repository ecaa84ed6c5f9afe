import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { recordFigure } from "../figures.ts";
import { Walbrook } from "../walbrook.ts";

/** Databases that take turns, so that each has a quiet time longer than the sync interval between its commits. */
const DATABASE_COUNT = 5;
const ROUNDS = 7;
const TURN_MS = 280;

/** Longest wait for one object: far beyond what is measured, so that only a broken notice fails. */
const LIMIT_MS = 900;

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Milliseconds from the commit until a new object has its name in the folder. */
function measureOnce({ database, folder }: { database: DatabaseSync; folder: string }): number {
  const before = readdirSync(folder).filter((name) => name.endsWith(".lz4")).length;
  const statement = database.prepare("INSERT INTO t VALUES ('a commit after a quiet time')");
  const committedAt = performance.now();
  statement.run();
  for (;;) {
    const elapsedMs = performance.now() - committedAt;
    if (readdirSync(folder).filter((name) => name.endsWith(".lz4")).length > before) return elapsedMs;
    assert.ok(elapsedMs < LIMIT_MS, `nothing new in the folder ${elapsedMs} ms after the commit`);
    Atomics.wait(pause, 0, 0, 0.2);
  }
}

test("walbrook replicate shows a commit after a quiet time to another process, without waiting for a clock", async () => {
  using folder = temporaryFolder();
  await using stack = new AsyncDisposableStack();
  const places: { database: DatabaseSync; folder: string }[] = [];
  for (let number = 0; number < DATABASE_COUNT; number++) {
    const path = join(folder.path, `app-${number}.db`);
    const replica = join(folder.path, `replica-${number}`);
    const database = stack.adopt(new DatabaseSync(path), (opened) => opened.close());
    database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (body TEXT)");
    const walbrook = stack.use(Walbrook.start("replicate", path, replica));
    await walbrook.says("snapshot written");
    // Once sent, so that the folder of segments is there.
    database.exec("INSERT INTO t VALUES ('the first')");
    const [generation] = readdirSync(join(replica, "generations"));
    places.push({ database, folder: join(replica, "generations", generation!, "wal") });
  }
  await delay(1300);
  const samples: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const place of places) {
      samples.push(measureOnce(place));
      await delay(TURN_MS);
    }
  }
  samples.sort((left, right) => left - right);
  const at = (share: number) => samples[Math.floor(share * (samples.length - 1))]!.toFixed(1);
  recordFigure(
    `lag of a commit after a quiet time, ${samples.length} samples`,
    `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms`,
  );
});
