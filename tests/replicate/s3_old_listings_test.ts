/** Stores that show an older listing than what is stored, as some look-alikes and caches do. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { restore } from "../../src/restore/restore.ts";
import { contentOf, rowsOf } from "../interop/s3_replicated.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio } from "../servers/s3_servers.ts";
import { S3Bench } from "./s3_bench.ts";

const minio = oncePerFile(() => startMinio());

/** Rows in `count` segments, all stored. */
async function write(bench: S3Bench, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    bench.insert();
    await bench.current();
  }
}

async function assertRestores(bench: S3Bench, name: string): Promise<void> {
  const outputPath = join(bench.folder, `${name}.db`);
  await restore({ clients: [bench.client], outputPath });
  assert.equal(contentOf(outputPath), rowsOf(bench.application), name);
}

for (const [what, nth] of [["before the first object", 0], ["of the run before", 1]] as const) {
  test(`replicate loses nothing where each start sees the listing ${what}`, async () => {
    await using bench = await S3Bench.open(await minio());
    for (const [run, count] of [2, 3, 3].entries()) {
      await bench.run();
      await write(bench, count);
      await bench.stop();
      await assertRestores(bench, `run-${run}`);
    }
    bench.opened.proxy.fault = ({ kind }) => kind === "LIST" ? { act: "old-listing", nth } : undefined;
    for (let run = 3; run < 5; run++) {
      await bench.run();
      await write(bench, 3);
      await bench.stop();
    }
    bench.opened.proxy.fault = undefined;
    await assertRestores(bench, "after");
    await bench.run();
    await write(bench, 2);
    await bench.stop();
    await assertRestores(bench, "once-all-is-seen");
  });
}
