import assert from "node:assert/strict";
import { test } from "node:test";
import { streamOf } from "../../../src/bytes.ts";
import { silentLogger } from "../../../src/logger.ts";
import { silentMetrics } from "../../../src/metrics.ts";
import type { HttpClient } from "../../../src/runtime/http.ts";
import { bucketAddress } from "../../../src/storage/s3/address.ts";
import { BufferPool } from "../../../src/storage/s3/buffer_pool.ts";
import { S3Connection } from "../../../src/storage/s3/connection.ts";
import type { S3Context } from "../../../src/storage/s3/context.ts";
import { S3_STORE_DEFAULTS } from "../../../src/storage/s3/options.ts";
import { RETRY_DEFAULTS } from "../../../src/storage/s3/retry.ts";
import { upload } from "../../../src/storage/s3/upload.ts";
import { pattern } from "../../contract/object_store.ts";
import { fixedCredentials, TEST_KEYS } from "../../servers/s3_servers.ts";
import { takesUploads } from "./takes_uploads.ts";

/** A store of three parts of a byte each at most, which no configuration can have. */
function contextOf(http: HttpClient): S3Context {
  const bucket = "backup";
  const retry = RETRY_DEFAULTS;
  const { patience } = S3_STORE_DEFAULTS;
  return {
    connection: new S3Connection({
      address: bucketAddress({ bucket, endpoint: "http://127.0.0.1" }),
      bucket,
      region: "auto",
      credentials: fixedCredentials(TEST_KEYS),
      http,
      patience,
      retry,
      logger: silentLogger,
    }),
    bucket,
    buffers: new BufferPool({ limit: 100 }),
    partSize: 1,
    hasEqualParts: true,
    maxPartCount: 3,
    concurrency: 4,
    rangeSize: 1,
    patience,
    retry,
    storageClass: undefined,
    checksum: "crc32",
    logger: silentLogger,
    metrics: silentMetrics,
    learned: {},
    unfinished: [],
  };
}

for (const [form, bodyOf] of [["a stream", streamOf], ["bytes", (bytes: Uint8Array) => bytes]] as const) {
  test(`upload() of ${form} fills the most parts that there may be, and refuses a byte more`, async () => {
    const { seen, http } = takesUploads();
    const put = (size: number) =>
      upload(contextOf(http), bodyOf(pattern(size, 1)), { key: "app/object", signal: undefined });
    assert.equal((await put(3)).size, 3);
    assert.deepEqual(seen, { partCount: 3, completionCount: 1, abortCount: 0 });
    await assert.rejects(
      put(4),
      /^Error: cannot write s3:\/\/backup\/app\/object: more than 3 parts of 1 bytes; raise part-size$/,
    );
    // Those of the second one that had gone out by then.
    assert.ok(seen.partCount <= 6);
    assert.deepEqual({ ...seen, partCount: 0 }, { partCount: 0, completionCount: 1, abortCount: 1 });
  });
}
