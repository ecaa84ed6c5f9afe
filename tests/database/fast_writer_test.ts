import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { recordFigure } from "../figures.ts";
import { assertNothingLost, keepSnapshot, Stage } from "./stage.ts";

const mb = (bytes: number) => Math.round(bytes / 1e6);

test("LiveDatabase keeps up with a fast writer and its WAL stays bounded (case 44)", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow({ limits: { minPages: 100, maxPages: 1000 } });
  const snapshot = await keepSnapshot(database);
  const neighbour = stage.neighbour();
  await neighbour.sql("PRAGMA wal_autocheckpoint = 0");
  await neighbour.sql("PRAGMA synchronous = OFF");
  let largest = 0;
  // A count and not a time: a slow machine writes as much as a fast one.
  for (let round = 0; round < 30; round++) {
    await neighbour.repeat("INSERT INTO t (x) VALUES (randomblob(3000))", { count: 1000 });
    largest = Math.max(largest, statSync(`${stage.path}-wal`).size);
  }
  const rebuilt = await assertNothingLost(database, { snapshot, neighbour });
  const written = rebuilt.frameCount * 4120;
  recordFigure("fast writer, largest WAL of all that was written, MB", `${mb(largest)} of ${mb(written)}`);
  // Most often a seventh; where others keep us off the processor while it writes, a quarter was seen.
  assert.ok(largest < written / 3, `the WAL grew to ${largest} of ${written} bytes`);
  assert.ok(rebuilt.indexCount > 2);
});
