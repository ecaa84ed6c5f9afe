import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { Stage, until } from "./stage.ts";
import type { Flow } from "../../src/database/activity.ts";
import { Attention, type CheapLooks } from "../../src/database/attention.ts";
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
  return { peek: () => false, isDue: () => false, flow: "usual", ...given };
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
  using attention = new Attention({
    walPath,
    clock,
    looks: looks(),
    isInTheWay: () => false,
  });
  const first = attention.next();
  assert.ok(clock.nextMs! <= 20, "what changed before the watch stood would wait for the slow poll");
  await clock.advance(clock.nextMs!);
  await first;
  void attention.next();
  assert.equal(clock.nextMs, undefined);
});

test("Attention tells each slow look whether a watch stands that misses nothing", async () => {
  using folder = temporaryFolder();
  const walPath = join(folder.path, "app.db-wal");
  for (const isThere of [false, true]) {
    if (isThere) writeFileSync(walPath, "");
    const clock = new StoppedClock();
    const told: boolean[] = [];
    const peek = (isWatchSure: boolean) => {
      told.push(isWatchSure);
      return false;
    };
    using attention = new Attention({ walPath, clock, looks: looks({ peek }), isInTheWay: () => false });
    const first = attention.next();
    if (isThere) {
      await clock.advance(clock.nextMs!);
      await first;
      void attention.next();
    }
    attention.tick();
    assert.deepEqual(told, [isThere && process.platform === "linux"]);
  }
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
  using attention = new Attention({
    walPath,
    clock,
    looks: looks({ peek }),
    isInTheWay: () => isInTheWay,
  });
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
  using attention = new Attention({ walPath, clock, looks: looks({ isDue }), isInTheWay: () => false });
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

test("Attention looks sooner where commits end, and only there", async () => {
  const clock = new StoppedClock();
  const found = { ...looks(), flow: "usual" as Flow };
  const atMs: number[] = [];
  found.isDue = () => {
    atMs.push(clock.monotonicMs());
    return false;
  };
  using attention = new Attention({
    walPath: "/nowhere/app.db-wal",
    clock,
    looks: found,
    isInTheWay: () => false,
  });
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
  assert.deepEqual(atMs.map((ms) => ms - startMs), [40, 80, 120, 130, 150, 170, 210]);
});
