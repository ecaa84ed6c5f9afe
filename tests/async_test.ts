import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Mutex, Notice, orAbort, Semaphore, sleep } from "../src/async.ts";

/** Let everything run that can run without waiting for a timer or the outside. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

test("Mutex.acquire() lets one in at a time, first come first served", async () => {
  const mutex = new Mutex();
  const order: string[] = [];
  async function worker(name: string): Promise<void> {
    using _ = await mutex.acquire();
    order.push(`${name} in`);
    await settle();
    order.push(`${name} out`);
  }
  await Promise.all(["a", "b", "c"].map(worker));
  assert.deepEqual(order, ["a in", "a out", "b in", "b out", "c in", "c out"]);
});

test("Mutex.acquire() goes on after a holder that threw", async () => {
  const mutex = new Mutex();
  await assert.rejects(async () => {
    using _ = await mutex.acquire();
    throw new Error("failed inside");
  });
  using _ = await mutex.acquire();
});

test("Semaphore.acquire() lets in as many as it has places", async () => {
  const semaphore = new Semaphore(3);
  let inside = 0;
  let most = 0;
  await Promise.all(Array.from({ length: 20 }, async () => {
    using _ = await semaphore.acquire();
    most = Math.max(most, ++inside);
    await settle();
    inside--;
  }));
  assert.equal(most, 3);
  assert.equal(inside, 0);
});

test("Semaphore.tryAcquire() takes a place or doesn't wait, and gives it back once", async () => {
  const semaphore = new Semaphore(1);
  const place = semaphore.tryAcquire();
  assert.notEqual(place, undefined);
  assert.equal(semaphore.tryAcquire(), undefined);
  place![Symbol.dispose]();
  place![Symbol.dispose]();
  using _ = await semaphore.acquire();
  assert.equal(semaphore.tryAcquire(), undefined);
});

test("Semaphore.acquire() gives up at its signal and loses no place", async () => {
  const semaphore = new Semaphore(1);
  const held = await semaphore.acquire();
  const abort = new AbortController();
  const reason = new Error("stopped");
  const waiting = semaphore.acquire({ signal: abort.signal });
  const patient = semaphore.acquire();
  abort.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  await assert.rejects(semaphore.acquire({ signal: abort.signal }), (error) => error === reason);
  held[Symbol.dispose]();
  const next = await patient;
  held[Symbol.dispose](); // Twice is once.
  let entered = false;
  const third = semaphore.acquire().then((turn) => {
    entered = true;
    return turn;
  });
  await settle();
  assert.equal(entered, false);
  next[Symbol.dispose]();
  (await third)[Symbol.dispose]();
});

test("Semaphore.acquire() that was given its place keeps it when the signal fires then", async () => {
  const semaphore = new Semaphore(1);
  const held = await semaphore.acquire();
  const abort = new AbortController();
  const waiting = semaphore.acquire({ signal: abort.signal });
  held[Symbol.dispose]();
  abort.abort();
  const turn = await waiting;
  let entered = false;
  const other = semaphore.acquire().then((turn) => {
    entered = true;
    return turn;
  });
  await settle();
  assert.equal(entered, false);
  turn[Symbol.dispose]();
  (await other)[Symbol.dispose]();
});

test("Notice.token resolves at the next notify() only", async () => {
  const notice = new Notice();
  notice.notify();
  const token = notice.token;
  let woken = 0;
  void token.then(() => woken++);
  void notice.token.then(() => woken++);
  await settle();
  assert.equal(woken, 0);
  notice.notify();
  await settle();
  assert.equal(woken, 2);
  assert.notEqual(notice.token, token);
});

test("sleep() waits its time", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let awake = false;
    const sleeping = sleep(1000).then(() => awake = true);
    mock.timers.tick(999);
    await settle();
    assert.equal(awake, false);
    mock.timers.tick(1);
    await sleeping;
  } finally {
    mock.timers.reset();
  }
});

test("sleep() longer than a timer can wait doesn't end at once", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const month = 30 * 24 * 3_600_000;
    assert.ok(month > 2 ** 31);
    let awake = false;
    const sleeping = sleep(month).then(() => awake = true);
    mock.timers.tick(2 ** 31 - 1);
    await settle();
    assert.equal(awake, false);
    mock.timers.tick(month - 2 ** 31);
    await settle();
    assert.equal(awake, false);
    mock.timers.tick(1);
    await sleeping;
  } finally {
    mock.timers.reset();
  }
});

test("sleep() for a month is still asleep after real timers had a turn", async () => {
  const abort = new AbortController();
  let awake = false;
  const sleeping = sleep(30 * 24 * 3_600_000, { signal: abort.signal }).then(() => awake = true);
  await sleep(20);
  assert.equal(awake, false);
  abort.abort(new Error("enough"));
  await assert.rejects(sleeping, /enough/);
});

test("sleep() rejects with the signal's reason, before and while it waits", async () => {
  const reason = new Error("woken");
  await assert.rejects(sleep(60_000, { signal: AbortSignal.abort(reason) }), (error) => error === reason);
  const abort = new AbortController();
  const sleeping = sleep(60_000, { signal: abort.signal });
  abort.abort(reason);
  await assert.rejects(sleeping, (error) => error === reason);
});

test("orAbort() gives what comes first", async () => {
  const reason = new Error("aborted");
  const abort = new AbortController();
  assert.equal(await orAbort(Promise.resolve(5), abort.signal), 5);
  await assert.rejects(orAbort(Promise.reject(new Error("own")), abort.signal), /own/);
  const hanging = orAbort(new Promise(() => {}), abort.signal);
  abort.abort(reason);
  await assert.rejects(hanging, (error) => error === reason);
});

test("orAbort() with a signal that fired takes care of the promise that nobody waits for", async () => {
  const reason = new Error("aborted before");
  const unhandled: unknown[] = [];
  const listen = (error: unknown) => void unhandled.push(error);
  process.on("unhandledRejection", listen);
  try {
    const { promise, reject } = Promise.withResolvers<never>();
    await assert.rejects(orAbort(promise, AbortSignal.abort(reason)), (error) => error === reason);
    await assert.rejects(orAbort(Promise.resolve(1), AbortSignal.abort(reason)), (error) => error === reason);
    reject(new Error("too late"));
    // Unhandled rejections are told after the microtasks of a turn.
    for (let turn = 0; turn < 3; turn++) await sleep(1);
    assert.deepEqual(unhandled, []);
  } finally {
    process.off("unhandledRejection", listen);
  }
});
