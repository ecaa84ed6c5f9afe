/** From a commit to its object in the folder, after a quiet time. */
import { spawn } from "node:child_process";
import { mkdirSync, rmSync, watch } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { objectsBelow } from "./files.ts";
import { median, type Program } from "./process.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Commit at random moments, 2 s apart on average, and wait each time for the next object. */
export async function measureLag(
  program: Program,
  { folder, sampleCount }: { folder: string; sampleCount: number },
): Promise<void> {
  const place = join(folder, "lag");
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
  const path = join(place, "app.db");
  const replica = join(place, "replica");
  const application = new DatabaseSync(path);
  application.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x)");
  const [command, ...words] = program.words;
  const child = spawn(command!, [...words, "replicate", path, `file://${replica}`], { stdio: "ignore" });
  application.exec("INSERT INTO t VALUES (0)");
  while (objectsBelow(replica).length < 2) await pause(50);
  const folders = objectsBelow(replica).map((object) => object.slice(0, object.lastIndexOf("/")));
  const segments = folders.find((name) => name.endsWith("/wal"))!;
  const lags: number[] = [];
  for (let number = 0; number < sampleCount; number++) {
    await pause(1100 + Math.random() * 1800);
    const { promise, resolve } = Promise.withResolvers<number>();
    const watcher = watch(segments, (_, name) => {
      if (name?.endsWith(".wal.lz4")) resolve(performance.now());
    });
    await pause(20);
    const start = performance.now();
    application.exec(`INSERT INTO t VALUES (${number})`);
    lags.push(await promise - start);
    watcher.close();
  }
  process.kill(child.pid!, "SIGTERM");
  await new Promise((resolve) => child.on("close", resolve));
  application.close();
  const sorted = lags.toSorted((left, right) => left - right);
  console.log(
    `lag, commit to object in the folder: ${program.name}, ${sampleCount} samples: p50 ${
      median(lags).toFixed(1)
    } ms, ` +
      `p95 ${sorted[Math.floor(sorted.length * 0.95)]!.toFixed(1)} ms`,
  );
}
