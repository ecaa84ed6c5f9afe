/**
 * What following costs, and what the application feels of it: `deno run -A bench/beside.ts`, `bun bench/beside.ts`.
 *
 * A writer in another process makes `rate` transactions a second (0: as many as it can) for 8 seconds. Printed: our CPU
 * time as a share of one core, the largest WAL, the writer's commit times, and how long our event loop stood still.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { LiveDatabase } from "../src/database/database.ts";

const SECONDS = 8;

const WRITER = `
import sqlite3, sys, time
path, rate, seconds, auto = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
c = sqlite3.connect(path, timeout=10, isolation_level=None)
c.execute("PRAGMA synchronous = NORMAL"); c.execute("PRAGMA wal_autocheckpoint = %d" % auto)
times = []; end = time.perf_counter() + seconds; due = time.perf_counter()
while time.perf_counter() < end:
    start = time.perf_counter()
    c.execute("INSERT INTO t (x) VALUES (randomblob(300))")
    times.append(time.perf_counter() - start)
    if rate > 0:
        due += 1 / rate
        rest = due - time.perf_counter()
        if rest > 0: time.sleep(rest)
times.sort()
print(len(times), *("%.2f" % (times[min(len(times) - 1, int(len(times) * q))] * 1000) for q in (0.5, 0.99, 1)))
`;

async function measure(rate: number, { auto, follow }: { auto: number; follow: boolean }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "walbrook-bench-"));
  const path = join(folder, "app.db");
  const application = new DatabaseSync(path);
  application.exec(
    "PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, x); INSERT INTO t (x) VALUES (1)",
  );
  application.close();
  const database = new LiveDatabase({ path });
  if (follow) await database.start();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const args = ["-c", WRITER, path, String(rate), String(SECONDS), String(auto)];
  let output = "";
  const isIdle = rate < 0;
  const child = isIdle ? undefined : spawn("python3", args, { stdio: ["ignore", "pipe", "inherit"] });
  child?.stdout.on("data", (data) => output += data);
  const ended = child === undefined
    ? new Promise((resolve) => setTimeout(resolve, SECONDS * 1000))
    : new Promise((resolve) => child.on("close", resolve));
  let largest = 0;
  let blockedMs = 0;
  let last = performance.now();
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const timer = isIdle ? undefined : setInterval(() => {
    const now = performance.now();
    blockedMs = Math.max(blockedMs, now - last - 10);
    last = now;
    largest = Math.max(largest, statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0);
  }, 10);
  await ended;
  clearInterval(timer);
  const used = process.cpuUsage(cpu);
  const share = (used.user + used.system) / 10 / (performance.now() - startMs);
  const [count, median, p99, most] = output.trim().split(" ");
  const what = isIdle ? "idle" : rate === 0 ? "unthrottled" : `${rate} tx/s`;
  console.log(
    `${what}, autocheckpoint ${auto}, ${follow ? "followed" : "alone"}: cpu ${share.toFixed(2)} %, ` +
      (isIdle ? "" : `${count} commits, median ${median} ms, p99 ${p99} ms, worst ${most} ms, `) +
      `wal ${(largest / 1e6).toFixed(1)} MB, loop blocked ${blockedMs.toFixed(0)} ms, index ${
        database.position?.index ?? "-"
      }`,
  );
  await database.close();
  rmSync(folder, { recursive: true });
}

await measure(-1, { auto: 1000, follow: true });
for (const rate of [200, 2000, 0]) {
  for (const auto of [1000, 0]) {
    await measure(rate, { auto, follow: true });
    if (auto !== 0) await measure(rate, { auto, follow: false });
  }
}
