/** How long a replica takes to have everything after its server was away, while the application wrote on. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { restore } from "../src/restore/restore.ts";
import { ReplicaClient } from "../src/storage/replica_client.ts";
import { objectsBelow } from "./files.ts";
import type { Program } from "./process.ts";
import type { S3Ground } from "./s3_ground.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Commits a second meanwhile, of some 4 KB each. */
const RATE = 100;

let runCount = 0;

function residentBytes({ pid }: ChildProcess): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1024;
}

/** Take the server away for a while, give it back and wait until a restore has the last row of that while. */
export async function measureOutage(
  program: Program,
  { ground, outageSeconds }: { ground: S3Ground; outageSeconds: number },
): Promise<void> {
  const replica = `outage/${++runCount}`;
  const folder = join(ground.folder, `outage-${runCount}`);
  mkdirSync(folder);
  const path = join(folder, "app.db");
  using application = new DatabaseSync(path, { timeout: 5000 });
  application.exec("PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, x)");
  const [command, ...words] = program.words;
  const config = ground.configure({ databasePath: path, replica });
  const child = spawn(command!, [...words, "replicate", "-config", config], { stdio: "ignore" });
  const commit = () => application.exec("INSERT INTO t (x) VALUES (randomblob(4000))");
  commit();
  const objects = ground.objectsPath(replica);
  while (objectsBelow(objects).length < 2) await pause(50);
  await pause(2000);
  const residentBefore = residentBytes(child);
  let most = residentBefore;
  await ground.proxy.enable(false);
  const endsAt = performance.now() + outageSeconds * 1000;
  for (let due = performance.now(); due < endsAt; due += 1000 / RATE) {
    commit();
    most = Math.max(most, residentBytes(child));
    await pause(Math.max(0, due - performance.now()));
  }
  const rowCount = application.prepare("SELECT count(*) AS n FROM t").get()!["n"];
  const startedAt = performance.now();
  await ground.proxy.enable(true);
  // When nothing has come for longer than any pause, the newest object ended it.
  let count = objectsBelow(objects).length;
  let lastAt = startedAt;
  while (performance.now() - lastAt < 35_000) {
    await pause(5);
    most = Math.max(most, residentBytes(child));
    const now = objectsBelow(objects).length;
    if (now === count) continue;
    count = now;
    lastAt = performance.now();
  }
  const outputPath = join(folder, "restored.db");
  await using store = ground.openStore(replica);
  await restore({ clients: [new ReplicaClient(store)], outputPath });
  using restored = new DatabaseSync(outputPath);
  const restoredCount = restored.prepare("SELECT count(*) AS n FROM t").get()!["n"];
  if (restoredCount !== rowCount) throw new Error(`${program.name}: ${restoredCount} of ${rowCount} rows`);
  process.kill(child.pid!, "SIGTERM");
  await new Promise((resolve) => child.on("close", resolve));
  const mb = (bytes: number) => (bytes / 1e6).toFixed(0);
  console.log(
    `catch-up after ${outageSeconds} s without the server, ${RATE} commits a second: ${program.name}: ` +
      `${((lastAt - startedAt) / 1000).toFixed(2)} s, RSS ${mb(residentBefore)} MB before, ${
        mb(most)
      } MB at most`,
  );
}
