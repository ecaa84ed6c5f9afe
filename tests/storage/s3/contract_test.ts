import assert from "node:assert/strict";
import { test } from "node:test";
import { S3Store } from "../../../src/storage/s3/s3_store.ts";
import { objectStoreContract } from "../../contract/object_store.ts";
import { recordFigure } from "../../figures.ts";
import { oncePerFile } from "../../servers/once.ts";
import { isFullRun } from "../../full_run.ts";
import { type S3Server, startMinio, startRclone, startVersitygw } from "../../servers/s3_servers.ts";

let storeCount = 0;

const servers: readonly (readonly [string, () => Promise<S3Server>])[] = [
  ["MinIO", startMinio],
  ["versitygw", startVersitygw],
  ...(isFullRun() ? [["rclone", startRclone] as const] : []),
];
for (const [name, start] of servers) {
  const server = oncePerFile(() => start());

  test(`S3Store is tested on the ${name} that is pinned`, async () => {
    const { version } = await server();
    assert.match(version, /^v\d+\.\d+\.\d+/);
    recordFigure(`${name} of the tests`, version);
  });

  objectStoreContract({
    name: `S3Store on ${name}`,
    manyCount: 1100,
    async open() {
      const { endpoint, bucket, credentials } = await server();
      const store = new S3Store({
        bucket,
        endpoint,
        credentials,
        path: `contract/${++storeCount}`,
        partSize: 5 * 1024 * 1024,
      });
      return { store, cleanup: () => store[Symbol.asyncDispose]() };
    },
  });
}
