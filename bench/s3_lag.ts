/** From a commit to its object in the bucket, after a quiet time. */
import { spawn } from "node:child_process";
import { mkdirSync, watch } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { objectsBelow } from "./files.ts";
import { median, type Program } from "./process.ts";
import type { S3Ground } from "./s3_ground.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let runCount = 0;

/** Commit at random moments, 2 s apart on average, and wait each time for the next object on the server's disk. */
export async function measureS3Lag(
  program: Program,
  { ground, latencyMs, sampleCount }: { ground: S3Ground; latencyMs: number; sampleCount: number },
): Promise<void> {
  await ground.setLine({ latencyMs, isUp: true });
  const replica = `lag/${++runCount}`;
  const folder = join(ground.folder, `lag-${runCount}`);
  mkdirSync(folder);
  const path = join(folder, "app.db");
  using application = new DatabaseSync(path);
  application.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x)");
  const [command, ...words] = program.words;
  const config = ground.configure({ databasePath: path, replica });
  const child = spawn(command!, [...words, "replicate", "-config", config], { stdio: "ignore" });
  application.exec("INSERT INTO t VALUES (0)");
  const objects = ground.objectsPath(replica);
  const segmentsFolder = () => objectsBelow(objects).map(dirname).find((name) => name.endsWith("/wal"));
  while (segmentsFolder() === undefined || objectsBelow(objects).length < 2) await pause(50);
  const segments = segmentsFolder()!;
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
  await ground.setLine({});
  const sorted = lags.toSorted((left, right) => left - right);
  console.log(
    `lag, commit to object in the bucket, ${latencyMs} ms up: ${program.name}, ${sampleCount} samples: p50 ${
      median(lags).toFixed(1)
    } ms, p95 ${sorted[Math.floor(sorted.length * 0.95)]!.toFixed(1)} ms`,
  );
}
