import assert from "node:assert/strict";
import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { Stage, until } from "./stage.ts";
import type { Flow } from "../../src/database/activity.ts";
import { Attention, type AttentionOptions, type CheapLooks } from "../../src/database/attention.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** Watches of this process on the file at `path`. */
function watchCount(path: string): number {
  const inode = ` ino:${statSync(path).ino.toString(16)} `;
  let count = 0;
  for (const name of readdirSync("/proc/self/fdinfo")) {
    try {
      count += readFileSync(`/proc/self/fdinfo/${name}`, "utf8").split("\n")
        .filter((line) => line.startsWith("inotify") && line.includes(inode)).length;
    } catch {
      // The descriptor of the listing itself.
    }
  }
  return count;
}

/** Cheap looks that find commits and nothing to do, but for what is given. */
function looks(given: Partial<CheapLooks> = {}): CheapLooks {
  return {
    peek: () => false,
    isAtRest: false,
    isHere: () => false,
    isDue: () => false,
    flow: "usual",
    ...given,
  };
}

/** An attention to nothing, ticking each second, but for what is given. */
function pay(given: Partial<AttentionOptions> & Pick<AttentionOptions, "clock">): Attention {
  return new Attention({
    walPath: "/nowhere/app.db-wal",
    tickMs: 1000,
    restTickMs: 5000,
    looks: looks(),
    isInTheWay: () => false,
    ...given,
  });
}

test("LiveDatabase is woken by a notice, with no clock at hand", async () => {
  await using stage = new Stage();
  stage.insert();
  const neighbour = stage.neighbour();
  await neighbour.sql("SELECT count(*) FROM t");
  const database = await stage.follow({ monitorIntervalMs: 600_000 });
  for (let round = 0; round < 3; round++) {
    // Only when it is quiet there is a watch.
    await until(() => watchCount(`${stage.path}-wal`) === 1, { what: "a watch" });
    const { offset } = database.position!;
    await neighbour.sql("INSERT INTO t (x) VALUES (1)");
    await until(() => database.position!.offset > offset, { what: "it is copied", limitMs: 3000 });
  }
});

test("LiveDatabase closes its watch at the first notice: a fast writer makes no flood of them", async () => {
  await using stage = new Stage();
  stage.insert();
  await stage.follow({ monitorIntervalMs: 600_000 });
  await until(() => watchCount(`${stage.path}-wal`) === 1, { what: "a watch" });
  const untilMs = performance.now() + 600;
  let mostCount = 0;
  let round = 0;
  while (performance.now() < untilMs) {
    stage.insert();
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (++round > 20) mostCount = Math.max(mostCount, watchCount(`${stage.path}-wal`));
  }
  assert.equal(mostCount, 0);
});

test("Attention looks once more after its watch stands, and then waits", async () => {
  using folder = temporaryFolder();
  const walPath = join(folder.path, "app.db-wal");
  writeFileSync(walPath, "");
  const clock = new StoppedClock();
  using attention = pay({ walPath, clock });
  const first = attention.next();
  assert.ok(clock.nextMs! <= 20, "what changed before the watch stood would wait for the slow poll");
  await clock.advance(clock.nextMs!);
  await first;
  void attention.next();
  assert.equal(clock.nextMs, undefined);
});

test("Attention ticks rarely while at rest, as long as a watch stands that misses nothing", async () => {
  using folder = temporaryFolder();
  const walPath = join(folder.path, "app.db-wal");
  const cases: [{ isThere: boolean; isAtRest: boolean; tickMs: number }, number, boolean[]][] = [
    [{ isThere: false, isAtRest: true, tickMs: 1000 }, 60, [false]],
    [{ isThere: true, isAtRest: false, tickMs: 1000 }, 60, [false]],
    [{ isThere: true, isAtRest: true, tickMs: 1000 }, process.platform === "linux" ? 12 : 60, [false, true]],
    [{ isThere: true, isAtRest: true, tickMs: 30_000 }, 2, [false]],
  ];
  for (const [{ isThere, isAtRest, tickMs }, expectedCount, expectedKinds] of cases) {
    if (isThere) writeFileSync(walPath, "");
    const clock = new StoppedClock();
    const rare: boolean[] = [];
    const peek = (isRare: boolean) => (rare.push(isRare), false);
    using attention = pay({ walPath, clock, tickMs, looks: looks({ peek, isAtRest }) });
    attention.start();
    const first = attention.next();
    if (isThere) {
      await clock.advance(20);
      await first;
      void attention.next();
    }
    await clock.advance(60_000 - 20);
    assert.ok(Math.abs(rare.length - expectedCount) <= 1, `${rare.length} looks, not ${expectedCount}`);
    if (expectedKinds.length === 1) assert.deepEqual([...new Set(rare)], expectedKinds);
    else assert.deepEqual(rare.slice(0, 2), expectedKinds.slice(0, process.platform === "linux" ? 2 : 1));
  }
});

test("Attention guards no longer than somebody would wait, and its guard's looks are none of a database at rest", async () => {
  const clock = new StoppedClock();
  let isInTheWay = true;
  const rare: boolean[] = [];
  const peek = (isRare: boolean) => (rare.push(isRare), false);
  using attention = pay({ clock, tickMs: 5000, looks: looks({ peek }), isInTheWay: () => isInTheWay });
  attention.start();
  void attention.next();
  await clock.advance(1000);
  assert.ok(rare.length > 20);
  isInTheWay = false;
  await clock.advance(1000);
  rare.length = 0;
  await clock.advance(20_000);
  assert.deepEqual(rare, [false, false, false, false]);
});

test("Attention ticks as usual again once something has called for a look", async () => {
  using folder = temporaryFolder();
  const walPath = join(folder.path, "app.db-wal");
  writeFileSync(walPath, "");
  const clock = new StoppedClock();
  const found = { ...looks(), isAtRest: true };
  let peekCount = 0;
  found.peek = () => (peekCount++, false);
  using attention = pay({ walPath, clock, looks: found });
  attention.start();
  void attention.next();
  await clock.advance(10_000);
  void attention.next();
  await clock.advance(60_000);
  attention.poke();
  found.isAtRest = false;
  void attention.next();
  peekCount = 0;
  await clock.advance(10_000);
  assert.ok(peekCount >= 9, `${peekCount} looks in ten seconds`);
  attention.close();
  peekCount = 0;
  await clock.advance(60_000);
  assert.equal(peekCount, 0);
});

test("Attention guards closely while others may come to wait, else not at all", async () => {
  using folder = temporaryFolder();
  const walPath = join(folder.path, "app.db-wal");
  const clock = new StoppedClock();
  let isInTheWay = true;
  let peekCount = 0;
  const peek = () => {
    peekCount++;
    return false;
  };
  using attention = pay({ walPath, clock, looks: looks({ peek }), isInTheWay: () => isInTheWay });
  const waiting = attention.next();
  await clock.advance(1000);
  assert.ok(peekCount >= 1000 / 60, `${peekCount} looks in a second`);
  attention.poke();
  await waiting;
  isInTheWay = false;
  void attention.next();
  peekCount = 0;
  await clock.advance(1000);
  assert.equal(peekCount, 0);
});

test("Attention only peeks while busy and not awaited, and looks soon for who waits", async () => {
  using folder = temporaryFolder();
  const clock = new StoppedClock();
  let peekCount = 0;
  let isOver = false;
  const isDue = () => {
    peekCount++;
    return isOver;
  };
  const walPath = join(folder.path, "app.db-wal");
  using attention = pay({ walPath, clock, looks: looks({ isDue, isHere: () => true }) });
  let lookCount = 0;
  const look = async () => {
    await attention.next();
    lookCount++;
    attention.noteChange();
  };
  attention.noteChange();
  let looking = look();
  await clock.advance(1000);
  assert.equal(lookCount, 0);
  assert.ok(peekCount >= 20 && peekCount <= 30, `${peekCount} cheap looks in a second`);
  isOver = true;
  await clock.advance(100);
  await looking;
  assert.equal(lookCount, 1);
  looking = look();
  {
    using _ = attention.beAwaited();
    // A rest is over at once.
    await looking;
    for (let count = 0; count < 3; count++) {
      looking = look();
      assert.ok(clock.nextMs! <= 1);
      await clock.advance(1);
      await looking;
    }
  }
  void attention.next();
  assert.ok(clock.nextMs! > 16);
});

test("Attention asks each millisecond for an awaited commit, and after sixteen of them only now and then", async () => {
  const clock = new StoppedClock();
  const startMs = clock.monotonicMs();
  const asked = new Set<number>();
  let isCommitted = false;
  const isHere = () => (asked.add(clock.monotonicMs() - startMs), isCommitted);
  using attention = pay({ clock, looks: looks({ isHere }) });
  using _ = attention.beAwaited();
  const lookAfter = async (ms: number) => {
    let hasLooked = false;
    const looking = attention.next().then(() => hasLooked = true);
    await clock.advance(ms - 1);
    assert.equal(hasLooked, false, `a look before ${ms} ms`);
    await clock.advance(1);
    await looking;
  };
  attention.noteChange();
  await lookAfter(16);
  assert.deepEqual([...asked], Array.from({ length: 15 }, (_, at) => at + 1));
  for (let round = 0; round < 3; round++) await lookAfter(16);
  assert.equal(Math.max(...asked), 15);
  attention.noteChange();
  const looking = attention.next();
  await clock.advance(3);
  isCommitted = true;
  await clock.advance(1);
  await looking;
  // A copy that fails again and again is tried no more often than that.
  for (let count = 0; count < 12; count++) await lookAfter(1);
  await lookAfter(16);
});

test("Attention finds a commit that is published a moment after its notice without a timer", async () => {
  using folder = temporaryFolder();
  const walPath = join(folder.path, "app.db-wal");
  writeFileSync(walPath, "");
  const clock = new StoppedClock();
  let leftCount = 20;
  const isHere = () => --leftCount < 0;
  using attention = pay({ walPath, clock, looks: looks({ isHere }) });
  using _ = attention.beAwaited();
  const armed = attention.next();
  await clock.advance(20);
  await armed;
  const noticed = attention.next();
  appendFileSync(walPath, "a commit");
  await noticed;
  await attention.next();
  assert.equal(leftCount, -1);
  // Once: where copying fails, time has to pass before the next try.
  const looking = attention.next();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(leftCount, -1);
  await clock.advance(1);
  await looking;
});

test("Attention looks sooner where commits end, and only there", async () => {
  const clock = new StoppedClock();
  const found = { ...looks(), flow: "usual" as Flow };
  const atMs: number[] = [];
  found.isDue = () => {
    atMs.push(clock.monotonicMs());
    return false;
  };
  using attention = pay({ clock, looks: found });
  attention.noteChange();
  void attention.next();
  const startMs = clock.monotonicMs();
  await clock.advance(80);
  found.flow = "fewer";
  await clock.advance(40);
  found.flow = "none";
  await clock.advance(10);
  await clock.advance(20);
  found.flow = "usual";
  await clock.advance(20);
  await clock.advance(40);
  found.flow = "gentle";
  await clock.advance(40);
  await clock.advance(200);
  assert.deepEqual(atMs.map((ms) => ms - startMs), [40, 80, 120, 130, 150, 170, 210, 250, 350, 450]);
});
