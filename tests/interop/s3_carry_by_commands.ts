/** The same as `s3_carry_through.ts` for the program under test: processes that `replicate` and `restore`. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../doubles/until.ts";
import { pageDifference } from "../restore/database_pages.ts";
import type { Walbrook } from "../walbrook.ts";
import type { Carried, CarryThrough } from "./s3_carry_through.ts";
import { S3Commands } from "./s3_commands.ts";
import { contentOf, makeDatabase, rowsOf, write } from "./s3_replicated.ts";

/** A request that nobody answers costs half a minute, and a beginning has several. */
const ROUND_LIMIT_MS = 240_000;

/**
 * Restores of which one has to be equal: each fault hits a request once, each toxic a share of the connections. A piece of
 * a large object has no checksum, so one that is damaged on its way ends a restore.
 */
const RESTORE_TRIES = 3;

/** The most that a process had in memory until now, in bytes. */
function peakOf(pid: number): number {
  return 1024 * Number(/^VmHWM:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

/** Segments in the server's own folder: a look there asks nothing of anybody. */
function segmentCount(replicaPath: string): number {
  const generations = join(replicaPath, "generations");
  if (!existsSync(generations)) return 0;
  return readdirSync(generations).map((generation) => join(generations, generation, "wal"))
    .reduce((count, folder) => count + (existsSync(folder) ? readdirSync(folder).length : 0), 0);
}

/** What carrying by commands takes besides. */
export interface CarryByCommands extends CarryThrough {
  /** Where the server keeps the bucket. */
  readonly bucketPath: string;
  /** Of a row that is there from the start, for objects that go up in parts and come down in pieces. */
  readonly largeRowBytes: number;
}

/** Replicate a database while it is written to, end, restore, and compare page by page. */
export async function carryByCommands(
  { endpoint, path, writeMs, bucketPath, largeRowBytes }: CarryByCommands,
): Promise<Carried> {
  using commands = new S3Commands({ endpoint, path }, { syncInterval: "20ms", partSize: "5Mi" });
  const application = makeDatabase(commands.databasePath, { timeout: 10_000 });
  application.exec(`INSERT INTO t (body) VALUES (hex(randomblob(${largeRowBytes / 2})))`);
  const replicaPath = join(bucketPath, path);
  await using walbrook = commands.start("replicate");
  let before = 0;
  let roundCount = 0;
  const endsAt = performance.now() + writeMs;
  for (; roundCount < 3 || performance.now() < endsAt; roundCount++) {
    const count = segmentCount(replicaPath);
    write(application, 10);
    await until(
      () => segmentCount(replicaPath) > count || !walbrook.isRunning,
      () => `an upload:\n${walbrook.stderr}`,
      { limitMs: ROUND_LIMIT_MS },
    );
    assert.ok(walbrook.isRunning, walbrook.stderr);
    if (roundCount === 0) before = peakOf(walbrook.pid);
  }
  const most = peakOf(walbrook.pid);
  await finish(commands, walbrook);
  const rows = rowsOf(application);
  application.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  application.close();
  const outputPath = await restored(commands);
  assert.equal(pageDifference(commands.databasePath, outputPath, { pageSize: 4096 }), undefined);
  assert.ok(contentOf(outputPath) === rows, `restored after ${roundCount} rounds`);
  return { roundCount, grownBy: most - before, most };
}

/** End it. What can't be sent within the eight seconds of an end is said, and sent by the next run. */
async function finish(commands: S3Commands, walbrook: Walbrook): Promise<void> {
  const { code, stderr } = await walbrook.stop();
  if (code === 0) return;
  assert.match(stderr, /failed to run.*the last commits are not in s3/);
  const next = await commands.start("replicate", "-once").ended;
  assert.equal(next.code, 0, next.stderr);
}

/** Restore by way of the same faults; what doesn't succeed has to say why in one line. */
async function restored(commands: S3Commands): Promise<string> {
  for (let number = 1;; number++) {
    const outputPath = commands.path(`restored-${number}.db`);
    const { code, stderr } = await commands.restore(outputPath);
    if (code === 0) return outputPath;
    assert.ok(!existsSync(outputPath), "a restore that fails leaves nothing");
    const errors = stderr.trim().split("\n").filter((line) => !/ level=(INFO|WARN) /.test(line));
    assert.equal(errors.length, 1, stderr);
    assert.ok(number < RESTORE_TRIES, stderr);
  }
}
