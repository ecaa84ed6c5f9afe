import assert from "node:assert/strict";
import { test } from "node:test";
import { runPool } from "./pool.ts";

/** Jobs that end when the test says so, and what was started so far. */
function stage() {
  const started: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const run = (job: string) => {
    started.push(job);
    return new Promise<string>((resolve, reject) => {
      ends.set(job, (error) => error === undefined ? resolve(`${job} ran`) : reject(error));
    });
  };
  const end = async (job: string, error?: Error) => {
    ends.get(job)!(error);
    await settled();
  };
  return { started, run, end };
}

/** All that follows from promises that are settled by now has happened. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
}

test("runPool() runs as many jobs at once as there are lanes, in their order, and gives every result", async () => {
  const { started, run, end } = stage();
  const whole = runPool(["a", "b", "c", "d"], { laneCount: 2, run });
  await settled();
  assert.deepEqual(started, ["a", "b"]);
  await end("b");
  assert.deepEqual(started, ["a", "b", "c"]);
  await end("c");
  await end("d");
  await end("a");
  assert.deepEqual(await whole, ["a ran", "b ran", "c ran", "d ran"]);
  assert.deepEqual(await runPool([], { laneCount: 2, run }), []);
});

test("runPool() goes on with other jobs while some are held, then takes those", async () => {
  const { started, run, end } = stage();
  let letGo = () => {};
  const held = {
    isHeld: (job: string) => job.startsWith("s3"),
    until: new Promise<void>((resolve) => letGo = resolve),
  };
  const whole = runPool(["s3 a", "b", "s3 c"], { laneCount: 1, run, held });
  await settled();
  await end("b");
  assert.deepEqual(started, ["b"]);
  letGo();
  await settled();
  assert.deepEqual(started, ["b", "s3 a"]);
  await end("s3 a");
  await end("s3 c");
  assert.deepEqual(await whole, ["b ran", "s3 a ran", "s3 c ran"]);
});

test("runPool() begins nothing after a failure or the signal, and waits for what runs", async () => {
  const failing = stage();
  const broken = runPool(["a", "b", "c"], { laneCount: 2, run: failing.run });
  await settled();
  let isOver = false;
  const seen = broken.catch((error) => {
    isOver = true;
    return error;
  });
  await failing.end("a", new Error("no disk"));
  assert.equal(isOver, false);
  await failing.end("b");
  assert.equal((await seen).message, "no disk");
  assert.deepEqual(failing.started, ["a", "b"]);

  const stopped = stage();
  const controller = new AbortController();
  const whole = runPool(["a", "b"], { laneCount: 1, run: stopped.run, signal: controller.signal });
  await settled();
  controller.abort();
  await stopped.end("a");
  assert.deepEqual(await whole, ["a ran"]);

  const until = Promise.reject(new Error("no go"));
  const held = { isHeld: () => true, until };
  await assert.rejects(runPool(["a"], { laneCount: 1, run: stopped.run, held }), /no go/);
});
