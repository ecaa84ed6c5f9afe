/** What the speed figures of S3 are taken on: MinIO on this machine, with a toxiproxy in front of it for both tools. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { S3Store } from "../src/storage/s3/s3_store.ts";
import { type S3Server, startMinio, TEST_KEYS } from "../tests/servers/s3_servers.ts";
import { startToxiproxy, type ToxicProxy, type Toxiproxy } from "../tests/servers/toxiproxy.ts";

/** How the line between a tool and the server is. */
export interface Line {
  /** Added to each answer, or with `isUp` to each request. */
  readonly latencyMs?: number;
  readonly isUp?: boolean;
  /** Of each connection, for what comes down. */
  readonly bytesPerSecond?: number;
}

/** A server, a line to it, and the configuration that both tools read. */
export class S3Ground implements AsyncDisposable {
  readonly #toxiproxy: Toxiproxy;

  private constructor(
    /** For databases and what is restored. */
    readonly folder: string,
    readonly server: S3Server,
    readonly proxy: ToxicProxy,
    toxiproxy: Toxiproxy,
  ) {
    this.#toxiproxy = toxiproxy;
  }

  /** Start both; the tools find the keys in the environment. */
  static async open(folder: string): Promise<S3Ground> {
    process.env["LITESTREAM_ACCESS_KEY_ID"] = TEST_KEYS.accessKeyId;
    process.env["LITESTREAM_SECRET_ACCESS_KEY"] = TEST_KEYS.secretAccessKey;
    const server = await startMinio();
    const toxiproxy = await startToxiproxy();
    return new S3Ground(folder, server, await toxiproxy.open({ upstreamPort: server.port }), toxiproxy);
  }

  /** Have the line like this from now on. */
  async setLine({ latencyMs = 0, isUp = false, bytesPerSecond }: Line): Promise<void> {
    await this.proxy.clear();
    const stream = isUp ? "upstream" : "downstream";
    if (latencyMs > 0) await this.proxy.add({ type: "latency", stream, attributes: { latency: latencyMs } });
    if (bytesPerSecond === undefined) return;
    await this.proxy.add({ type: "bandwidth", attributes: { rate: bytesPerSecond / 1000 } });
  }

  /** Write a configuration that replicates `databasePath` to `replica`; returns its path. */
  configure({ databasePath, replica }: { databasePath: string; replica: string }): string {
    const path = join(this.folder, `${replica.replaceAll("/", "-")}.yml`);
    const settings = {
      type: "s3",
      bucket: this.server.bucket,
      path: replica,
      endpoint: `http://127.0.0.1:${this.proxy.port}`,
      region: "us-east-1",
      "force-path-style": true,
    };
    writeFileSync(path, JSON.stringify({ dbs: [{ path: databasePath, replicas: [settings] }] }));
    return path;
  }

  /** A store of a replica, without the line. */
  openStore(replica: string): S3Store {
    const { bucket, endpoint, credentials } = this.server;
    return new S3Store({ bucket, endpoint, credentials, path: replica });
  }

  /** Where a replica's objects come to be on the server's disk. */
  objectsPath(replica: string): string {
    return join(this.server.bucketPath, replica);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#toxiproxy.stop();
    await this.server.stop();
  }
}
