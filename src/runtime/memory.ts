/** What the two runtimes need to keep their memory small. */
import { readFileSync, realpathSync } from "node:fs";
import process from "node:process";
import type { Clock } from "./clock.ts";

interface BunGlobal {
  gc(isSync: boolean): unknown;
  shrink(): void;
}

function bun(): BunGlobal | undefined {
  return (globalThis as { Bun?: BunGlobal }).Bun;
}

/**
 * Free what is no longer used. Bun lets buffers pile up to a multiple of what is alive before it collects; Deno
 * counts them and needs no help.
 */
export function releaseUnusedMemory(): void {
  bun()?.gc(true);
}

/** The same beside what goes on: twenty milliseconds of a restore of small segments are not spent waiting for it. */
export function releaseUnusedMemorySoon(): void {
  bun()?.gc(false);
}

/** Whether a connection takes memory worth mentioning, whatever comes over it: on Deno some 140 KiB. */
export const HAS_COSTLY_CONNECTIONS = "Deno" in globalThis;

/** Bytes of memory, from and to. */
export interface MemoryRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Where the code of `program` lies, by what Linux tells of a process's memory.
 *
 * Only what is mapped to be read and executed: nobody has written there, so the file holds all of it. Behind it
 * follow pages that look alike, read-only and from the same file, but have been written to before: without them
 * the process would end.
 *
 * @param maps the text of `/proc/self/maps`
 */
export function codeRanges(maps: string, program: string): MemoryRange[] {
  return maps.split("\n").flatMap((line) => {
    const [, start, end, path] = /^([0-9a-f]+)-([0-9a-f]+) r-xp [0-9a-f]+ \S+ \d+ +(\/.*)$/.exec(line) ?? [];
    if (start === undefined || end === undefined || path !== program) return [];
    return [{ start: parseInt(start, 16), end: parseInt(end, 16) }];
  });
}

const MADV_DONTNEED = 4;

interface ForeignFunctions {
  dlopen(library: string, functions: object): {
    readonly symbols: { madvise(start: bigint, length: bigint, advice: number): number };
    close(): void;
  };
}

/**
 * Let go of the runtime's own code; what goes on being used comes back from the page cache.
 *
 * The start of Bun touches 30 MB of its 80 MB of code, most of them never again. They count as memory of this
 * process until somebody needs the space, and the kernel picks whom it kills by that count. Only where it was
 * tried: Bun on Linux on x64.
 *
 * @returns whether it was done
 */
export function releaseProgramCode(): boolean {
  if (bun() === undefined || process.platform !== "linux" || process.arch !== "x64") return false;
  try {
    const { dlopen } = process.getBuiltinModule("bun:ffi") as unknown as ForeignFunctions;
    const ranges = codeRanges(readFileSync("/proc/self/maps", "utf8"), realpathSync(process.execPath));
    const library = dlopen("libc.so.6", {
      madvise: { args: ["u64", "u64", "i32"], returns: "i32" },
    });
    try {
      const advise = ({ start, end }: MemoryRange) =>
        library.symbols.madvise(BigInt(start), BigInt(end - start), MADV_DONTNEED);
      return ranges.length > 0 && ranges.map(advise).every((result) => result === 0);
    } finally {
      library.close();
    }
  } catch {
    // A comfort: a system without it loses nothing.
    return false;
  }
}

/** A process that takes less than this share of a core is at rest. */
const REST_SHARE = 0.01;
/** What a start has compiled is mostly never used again: worth giving back after so much CPU time. */
const START_MS = 400;
/** Later what is given back is paid for once more when it is used again. */
const BUSY_MS = 3_000;

/** Finds the ends of busy times by the CPU time of the process. */
export class BusyTimes {
  #busyMs = 0;
  #enoughMs = START_MS;
  #lastMs: number;
  #lastCpuMs = 0;

  /** @param startMs when the watching began; what the process used before counts as used since */
  constructor(startMs: number) {
    this.#lastMs = startMs;
  }

  /**
   * Whether the process is at rest now and has worked for long enough since this was last so, at one go or in
   * several. Milliseconds, both ever growing.
   */
  hasEnded({ nowMs, cpuMs }: { nowMs: number; cpuMs: number }): boolean {
    const usedMs = cpuMs - this.#lastCpuMs;
    const isAtRest = usedMs < (nowMs - this.#lastMs) * REST_SHARE;
    this.#lastMs = nowMs;
    this.#lastCpuMs = cpuMs;
    if (!isAtRest) this.#busyMs += usedMs;
    if (!isAtRest || this.#busyMs < this.#enoughMs) return false;
    this.#busyMs = 0;
    this.#enoughMs = BUSY_MS;
    return true;
  }
}

/**
 * Give back what a busy time has left: on Bun compiled code and unused heap, some 10 MB after the start with a hundred
 * databases. Code that goes on being used is compiled again, which takes some 50 ms of CPU in all.
 */
function releaseAfterBusyTime(): void {
  bun()?.shrink();
  releaseUnusedMemory();
}

/** As often as databases at rest are looked at, so that one timer does for all: each wakes the process. */
const TICK_MS = 5000;
/** Long enough for the start of a few databases to be over. */
const FIRST_RELEASE_MS = 2000;
/** Half a millisecond each time. */
const TICKS_PER_RELEASE = 2;

/** Milliseconds of CPU that this process has used, on all cores together. */
function processCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Release now and then what a process at rest doesn't need, until disposed of. Nothing where the runtime can't. */
export function releaseMemoryRegularly(clock: Clock, cpuMs = processCpuMs): Disposable {
  const timers = new DisposableStack();
  if (bun() === undefined) return timers;
  const busyTimes = new BusyTimes(clock.monotonicMs());
  let tick = 0;
  timers.use(clock.after(FIRST_RELEASE_MS, releaseProgramCode));
  timers.use(clock.every(TICK_MS, () => {
    tick++;
    if (busyTimes.hasEnded({ nowMs: clock.monotonicMs(), cpuMs: cpuMs() })) {
      releaseAfterBusyTime();
      releaseProgramCode();
    } else if (tick % TICKS_PER_RELEASE === 0) {
      releaseProgramCode();
    }
  }));
  return timers;
}
