import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import process from "node:process";
import {
  BusyTimes,
  codeRanges,
  releaseMemoryRegularly,
  releaseProgramCode,
} from "../../src/runtime/memory.ts";
import { StoppedClock } from "../doubles/moved_clock.ts";

test("codeRanges() takes what is executed of this program alone", () => {
  const maps = `00200000-01a39000 r--p 00000000 fe:00 131    /usr/bin/a walbrook
01a40000-06849000 r-xp 01838000 fe:00 131    /usr/bin/a walbrook
0684a000-0685e000 rw-p 06641000 fe:00 131    /usr/bin/a walbrook
0685f000-06867000 r--p 06656000 fe:00 131    /usr/bin/a walbrook
7f0000000000-7f0000001000 r-xp 00000000 fe:00 99 /usr/lib/libc.so.6
7f0000002000-7f0000003000 rwxp 00000000 00:00 0
7f0000004000-7f0000005000 r-xp 00000000 fe:00 131    /usr/bin/a walbrook (deleted)
`;
  assert.deepEqual(codeRanges(maps, "/usr/bin/a walbrook"), [{ start: 0x01a40000, end: 0x06849000 }]);
  assert.deepEqual(codeRanges(maps, "/usr/bin/a"), []);
  assert.deepEqual(codeRanges("", "/usr/bin/a"), []);
});

test("releaseProgramCode() makes Bun on Linux on x64 smaller, and does nothing elsewhere", () => {
  const isServed = process.versions["bun"] !== undefined && process.platform === "linux" &&
    process.arch === "x64";
  const before = residentFileKib();
  assert.equal(releaseProgramCode(), isServed);
  if (isServed) {
    // The code that reads the figure is back already.
    const after = residentFileKib();
    assert.ok(after < before - 5_000, `${before} KiB before, ${after} KiB after`);
  }
  // What was let go of comes back.
  assert.equal(JSON.stringify([..."abc"].map((letter) => letter.toUpperCase())), '["A","B","C"]');
});

function residentFileKib(): number {
  return Number(/^RssFile:\s*(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

test("BusyTimes finds the rest after the start, and after three seconds of work, each once", () => {
  const busyTimes = new BusyTimes(1000);
  let [nowMs, cpuMs] = [1000, 0];
  const after = (ms: number, share: number) => {
    nowMs += ms;
    cpuMs += ms * share;
    return busyTimes.hasEnded({ nowMs, cpuMs });
  };
  assert.equal(after(2000, 0.25), false, "the start is going on");
  assert.equal(after(2000, 0.003), true);
  assert.equal(after(2000, 0.003), false, "given back already");
  assert.equal(after(2000, 0.9), false);
  assert.equal(after(2000, 0.003), false, "too little to leave much behind");
  assert.equal(after(2000, 0.7), false);
  assert.equal(after(2000, 0.003), true, "3.2 s of work, in two parts");
  for (let count = 0; count < 1000; count++) assert.equal(after(2000, 0.009), false, "rest is no work");
});

test("BusyTimes leaves a process alone that only ever works a little", () => {
  const busyTimes = new BusyTimes(0);
  for (let at = 1; at < 1000; at++) {
    assert.equal(busyTimes.hasEnded({ nowMs: 2000 * at, cpuMs: 30 * at }), false);
  }
});

test("releaseMemoryRegularly() gives compiled code back once a busy time is over, on Bun", async () => {
  const { Bun } = globalThis as { Bun?: { shrink: () => void } };
  if (Bun === undefined) return;
  let count = 0;
  const { shrink } = Bun;
  Bun.shrink = () => (count++, shrink.call(Bun));
  try {
    const clock = new StoppedClock();
    let cpuMs = 300;
    using _releases = releaseMemoryRegularly(clock, () => cpuMs);
    await clock.advance(60_000);
    assert.equal(count, 0, "a start that leaves little behind");
    cpuMs += 200;
    await clock.advance(60_000);
    assert.equal(count, 1);
  } finally {
    Bun.shrink = shrink;
  }
});
