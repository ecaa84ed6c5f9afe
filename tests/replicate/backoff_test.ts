import { test } from "node:test";
import assert from "node:assert/strict";
import { StoreError } from "../../src/errors.ts";
import { Backoff, UPLOAD_BACKOFF } from "../../src/replicate/backoff.ts";
import { recordLogs } from "../doubles/recording_logger.ts";

test("Backoff doubles its pauses up to the longest, and begins again after a success", () => {
  const backoff = new Backoff(recordLogs().logger, { firstMs: 100, longestMs: 1000, random: () => 0 });
  const pauses = Array.from({ length: 6 }, () => backoff.fail("broken", new Error("x")));
  assert.deepEqual(pauses, [100, 200, 400, 800, 1000, 1000]);
  for (let count = 0; count < 2000; count++) assert.equal(backoff.fail("broken", new Error("x")), 1000);
  backoff.succeed("works");
  assert.equal(backoff.fail("broken", new Error("x")), 100);
});

test("Backoff doesn't pause long while nothing is there to answer, whatever wraps the error", () => {
  const backoff = new Backoff(recordLogs().logger, {
    firstMs: 100,
    longestMs: 30_000,
    awayMs: 500,
    random: () => 0,
  });
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

test("Backoff shortens each pause by up to a half at random, never to nothing", () => {
  for (const [random, pauses] of [[0, [100, 200]], [0.5, [75, 150]], [0.999, [50, 100]]] as const) {
    const backoff = new Backoff(recordLogs().logger, { firstMs: 100, random: () => random });
    assert.deepEqual(pauses.map(() => Math.round(backoff.fail("broken", new Error("x")))), pauses);
  }
});

test("UPLOAD_BACKOFF notices within seconds that a store works again, and at once when it was away", () => {
  const busy = new Backoff(recordLogs().logger, UPLOAD_BACKOFF);
  const away = new Backoff(recordLogs().logger, UPLOAD_BACKOFF);
  for (let count = 0; count < 500; count++) {
    const pauseMs = busy.fail("broken", new StoreError("busy", { isTransient: true }));
    assert.ok(pauseMs >= 500 && pauseMs <= 5000);
    const shortMs = away.fail("broken", new StoreError("nothing listens", { isAway: true }));
    assert.ok(shortMs >= 250 && shortMs <= 500);
  }
});
