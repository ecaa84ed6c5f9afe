/** What one idle database costs: CPU, memory, bytes written. */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { objectsBelow } from "./files.ts";
import type { Program } from "./process.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** CPU milliseconds, bytes written and resident bytes of a process and its children. */
function usageOf(pid: number): { cpuMs: number; writtenBytes: number; residentBytes: number } {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(
    Boolean,
  );
  const own = { cpuMs: 0, writtenBytes: 0, residentBytes: 0 };
  for (const child of children) {
    const usage = usageOf(Number(child));
    own.cpuMs += usage.cpuMs;
    own.writtenBytes += usage.writtenBytes;
    own.residentBytes += usage.residentBytes;
  }
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  own.cpuMs += (Number(stat[11]) + Number(stat[12])) * 10;
  own.writtenBytes += Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))![1]);
  own.residentBytes += Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
  return own;
}

/** Litestream's interval and ours: the last commit is in the database file after this time. */
const CHECKPOINT_INTERVAL_MS = 60_000;

/**
 * Replicate a database that nobody writes to; a write before shows that the counter moves.
 *
 * Measured twice: from 5 s after that write on, when its page is still to be moved into the database file, and at
 * rest, when nothing is left to be done.
 */
export async function measureIdle(
  program: Program,
  { folder, seconds, isQuick }: { folder: string; seconds: number; isQuick: boolean },
): Promise<void> {
  const place = join(folder, "idle");
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
  const path = join(place, "app.db");
  const replica = join(place, "replica");
  const application = new DatabaseSync(path);
  application.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  const [command, ...words] = program.words;
  const child = spawn(command!, [...words, "replicate", path, `file://${replica}`], { stdio: "ignore" });
  while (objectsBelow(replica).length < 2) await pause(50);
  const control = usageOf(child.pid!).writtenBytes;
  application.exec("INSERT INTO t VALUES (2)");
  await pause(5000);
  if (usageOf(child.pid!).writtenBytes === control) {
    throw new Error("write_bytes does not move here when something is written");
  }
  const early = await over(child.pid!, isQuick ? seconds : CHECKPOINT_INTERVAL_MS / 1000 - 10);
  if (!isQuick) await pause(15_000);
  const rest = await over(child.pid!, seconds);
  process.kill(child.pid!, "SIGTERM");
  await new Promise((resolve) => child.on("close", resolve));
  application.close();
  console.log(
    `idle, one database: ${program.name}: ${early.cpuShare} % of a core from 5 s after a commit on; ` +
      `at rest for ${seconds} s ${rest.cpuShare} %, ${rest.residentMb} MB RSS, ` +
      `${rest.writtenBytes} bytes written`,
  );
}

/** What a process costs over some seconds. */
async function over(pid: number, seconds: number) {
  const before = usageOf(pid);
  await pause(seconds * 1000);
  const after = usageOf(pid);
  return {
    cpuShare: ((after.cpuMs - before.cpuMs) / (seconds * 10)).toFixed(2),
    residentMb: (after.residentBytes / 1e6).toFixed(1),
    writtenBytes: after.writtenBytes - before.writtenBytes,
  };
}
