import { test } from "node:test";
import assert from "node:assert/strict";
import { StoreError } from "../../src/errors.ts";
import { Backoff } from "../../src/replicate/backoff.ts";
import { recordLogs } from "../doubles/recording_logger.ts";

test("Backoff doubles its pauses up to the longest, and begins again after a success", () => {
  const backoff = new Backoff(recordLogs().logger, { firstMs: 100, longestMs: 1000 });
  const pauses = Array.from({ length: 6 }, () => backoff.fail("broken", new Error("x")));
  assert.deepEqual(pauses, [100, 200, 400, 800, 1000, 1000]);
  for (let count = 0; count < 2000; count++) assert.equal(backoff.fail("broken", new Error("x")), 1000);
  backoff.succeed("works");
  assert.equal(backoff.fail("broken", new Error("x")), 100);
});

test("Backoff doesn't pause long while nothing is there to answer, whatever wraps the error", () => {
  const backoff = new Backoff(recordLogs().logger, { firstMs: 100, longestMs: 30_000 });
  const away = new Error("monitor", { cause: new StoreError("nothing listens", { isAway: true }) });
  const pauses = Array.from({ length: 6 }, () => backoff.fail("broken", away));
  assert.deepEqual(pauses, [100, 200, 400, 500, 500, 500]);
  assert.equal(backoff.fail("broken", new StoreError("busy", { isTransient: true })), 6400);
});

test("Backoff says each trouble once, another one too, and the end of it", () => {
  const { logger, records } = recordLogs();
  const backoff = new Backoff(logger);
  backoff.succeed("works");
  for (const text of ["full", "full", "full", "gone", "gone"]) backoff.fail("broken", new Error(text));
  assert.equal(backoff.lastMessage, "gone");
  backoff.succeed("works");
  backoff.succeed("works");
  assert.equal(backoff.lastMessage, "");
  assert.deepEqual(records.map(({ level, message, fields }) => [level, message, fields]), [
    ["error", "broken", { error: "full" }],
    ["error", "broken", { error: "gone" }],
    ["info", "works", { failures: 5 }],
  ]);
});
