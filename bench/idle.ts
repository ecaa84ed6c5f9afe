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

/** Replicate a database that nobody writes to; a write before shows that the counter moves. */
export async function measureIdle(
  program: Program,
  { folder, seconds }: { folder: string; seconds: number },
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
  // Long enough for what that commit entails: upload and, after four seconds of quiet, checkpoint.
  await pause(8000);
  const before = usageOf(child.pid!);
  if (before.writtenBytes === control) {
    throw new Error("write_bytes does not move here when something is written");
  }
  await pause(seconds * 1000);
  const after = usageOf(child.pid!);
  process.kill(child.pid!, "SIGTERM");
  await new Promise((resolve) => child.on("close", resolve));
  application.close();
  console.log(
    `idle for ${seconds} s, one database: ${program.name}: ` +
      `${((after.cpuMs - before.cpuMs) / (seconds * 10)).toFixed(2)} % of a core, ` +
      `${(after.residentBytes / 1e6).toFixed(1)} MB RSS, ${
        after.writtenBytes - before.writtenBytes
      } bytes written`,
  );
}
