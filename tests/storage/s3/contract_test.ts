import { objectStoreContract } from "../../contract/object_store.ts";
import { S3Store } from "../../../src/storage/s3/s3_store.ts";
import { oncePerFile } from "../../servers/once.ts";
import { startMinio, startVersitygw } from "../../servers/s3_servers.ts";

let storeCount = 0;

for (const [name, start] of [["MinIO", startMinio], ["versitygw", startVersitygw]] as const) {
  const server = oncePerFile(() => start());
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
