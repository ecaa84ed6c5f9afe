/**
 * A script: replicate a database into a bucket while it is written to, then restore it, and compare.
 *
 * `s3_carry_through.ts JSON`, see `CarryThrough`. It prints what `Carried` says. A process of its own, since its memory is
 * measured: where tests run, V8 lets hundreds of megabytes of dead buffers lie, beside a proxy's own.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { restore } from "../../src/restore/restore.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { S3Store } from "../../src/storage/s3/s3_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { fixedCredentials, TEST_BUCKET, TEST_KEYS } from "../servers/s3_servers.ts";
import { contentOf, replicated, write } from "./s3_replicated.ts";

/** What it is told. */
export interface CarryThrough {
  /** Of the server, or of what makes faults in front of it. */
  readonly endpoint: string;
  /** In the bucket. */
  readonly path: string;
  /** How long to write. */
  readonly writeMs: number;
}

/** What it found. */
export interface Carried {
  /** Times that rows were written, and waited for until they were uploaded. */
  readonly roundCount: number;
  /** The most that the process had beyond what it began with while it replicated, in bytes. */
  readonly grownBy: number;
  /** The most that it had, in bytes. */
  readonly most: number;
}

const { endpoint, path, writeMs } = JSON.parse(process.argv[2]!) as CarryThrough;
const store = new S3Store({
  bucket: TEST_BUCKET,
  credentials: fixedCredentials(TEST_KEYS),
  endpoint,
  path,
  retry: { tries: 12, firstWaitMs: 5, longestWaitMs: 40 },
  // Short enough to give up what is silent or late, and ample for what isn't.
  patience: { answerMs: 400, stallMs: 200, slowestUpload: 4 * 1024 * 1024, completionMs: 400 },
});
using folder = temporaryFolder();
const before = process.memoryUsage().rss;
let most = before;
let roundCount = 0;
const rows = await replicated(
  { path: join(folder.path, "app.db"), store },
  async (application, { replicas }) => {
    const endsAt = performance.now() + writeMs;
    for (; roundCount < 3 || performance.now() < endsAt; roundCount++) {
      const position = JSON.stringify(replicas[0]!.position);
      write(application, 10);
      await until(
        () => JSON.stringify(replicas[0]!.position) !== position,
        () => `an upload: ${replicas[0]!.lastError}`,
        { limitMs: 30_000 },
      );
      most = Math.max(most, process.memoryUsage().rss);
    }
  },
);
const outputPath = join(folder.path, "restored.db");
await restore({ clients: [new ReplicaClient(store)], outputPath, signal: AbortSignal.timeout(120_000) });
assert.ok(contentOf(outputPath) === rows, `restored after ${roundCount} rounds`);
await store[Symbol.asyncDispose]();
const carried: Carried = { roundCount, grownBy: most - before, most };
console.log(JSON.stringify(carried));
