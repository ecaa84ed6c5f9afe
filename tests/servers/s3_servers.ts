/** The S3 servers of the tests. Each has a bucket `backup` and one pair of keys with all rights. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { openHttpClient } from "../../src/runtime/http.ts";
import { CredentialsChain } from "../../src/storage/s3/credentials/chain.ts";
import type { CredentialsProvider } from "../../src/storage/s3/credentials/credentials.ts";
import { RequestSigner } from "../../src/storage/s3/signing.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { serverProgram } from "./install.ts";
import { type RunningServer, startServer } from "./process.ts";

/** An S3 server that runs, with its data in a temporary folder. */
export interface S3Server {
  readonly name: string;
  /** As Go noted it in the program. */
  readonly version: string;
  readonly endpoint: string;
  readonly port: number;
  readonly bucket: string;
  readonly credentials: CredentialsProvider;
  /** Where the server keeps the bucket: MinIO has a folder of an object's name for each, which comes when it is whole. */
  readonly bucketPath: string;
  stop(): Promise<void>;
}

/** The certificate that a server shows, as files, and the authority that signed it. */
export interface ServerCertificate {
  readonly certPath: string;
  readonly keyPath: string;
  /** PEM. */
  readonly caCert: string;
}

/** The keys that the tests' servers know. */
export const TEST_KEYS = { accessKeyId: "walbrook-test", secretAccessKey: "walbrook-test-secret" };

/** The bucket that the tests' servers have. */
export const TEST_BUCKET = "backup";

/** A provider that gives always the same keys. */
export function fixedCredentials(
  keys: { accessKeyId: string; secretAccessKey: string },
): CredentialsProvider {
  return new CredentialsChain([{ name: "the test", load: () => Promise.resolve(keys) }]);
}

/** MinIO, the strict one. */
export async function startMinio({ tls }: { tls?: ServerCertificate } = {}): Promise<S3Server> {
  const program = serverProgram("minio");
  const folder = temporaryFolder();
  const dataPath = join(folder.path, "data");
  mkdirSync(dataPath);
  const certs = join(folder.path, "certs");
  mkdirSync(certs);
  if (tls !== undefined) {
    const { copyFileSync } = await import("node:fs");
    copyFileSync(tls.certPath, join(certs, "public.crt"));
    copyFileSync(tls.keyPath, join(certs, "private.key"));
  }
  const server = await startServer({
    program,
    args: (port) => ["server", "--quiet", "--certs-dir", certs, "--address", `127.0.0.1:${port}`, dataPath],
    env: {
      MINIO_ROOT_USER: TEST_KEYS.accessKeyId,
      MINIO_ROOT_PASSWORD: TEST_KEYS.secretAccessKey,
      MINIO_BROWSER: "off",
      MINIO_UPDATE: "off",
    },
    readyPath: "/minio/health/ready",
    isTls: tls !== undefined,
  });
  return await withBucket("MinIO", { server, tls, folder, dataPath, version: versionOf(program) });
}

/** versitygw on a plain folder, written by others in another way. */
export async function startVersitygw({ tls }: { tls?: ServerCertificate } = {}): Promise<S3Server> {
  const program = serverProgram("versitygw");
  const folder = temporaryFolder();
  // It doesn't allow one of these to be the beginning of the other's name.
  const root = join(folder.path, "root");
  const versions = join(folder.path, "versions");
  for (const path of [root, versions]) mkdirSync(path);
  const server = await startServer({
    program,
    args: (port) => [
      ...["--port", `127.0.0.1:${port}`, "--health", "/health", "--quiet"],
      ...["--access", TEST_KEYS.accessKeyId, "--secret", TEST_KEYS.secretAccessKey],
      ...(tls === undefined ? [] : ["--cert", tls.certPath, "--key", tls.keyPath]),
      ...["posix", "--versioning-dir", versions, root],
    ],
    readyPath: "/health",
    isTls: tls !== undefined,
  });
  return await withBucket("versitygw", { server, tls, folder, dataPath: root, version: versionOf(program) });
}

/** What a program of `go install` was made from; of versitygw its own `--version` says only "git". */
function versionOf(program: string): string {
  const { stdout } = spawnSync("go", ["version", "-m", program], { encoding: "utf8" });
  return /^\s*mod\s+\S+\s+(\S+)/m.exec(stdout ?? "")?.[1] ?? "unknown";
}

async function withBucket(
  name: string,
  { server, tls, folder, dataPath, version }: {
    server: RunningServer;
    tls: ServerCertificate | undefined;
    folder: Disposable;
    dataPath: string;
    version: string;
  },
): Promise<S3Server> {
  // The certificate names the host, so the endpoint does too.
  const endpoint = tls === undefined ? `http://127.0.0.1:${server.port}` : `https://localhost:${server.port}`;
  const stop = async () => {
    await server.stop();
    folder[Symbol.dispose]();
  };
  try {
    using http = openHttpClient({ skipVerify: true });
    const url = `${endpoint}/${TEST_BUCKET}`;
    const headers = await new RequestSigner({ service: "s3" }).sign({ method: "PUT", url, headers: {} }, {
      credentials: TEST_KEYS,
      region: "us-east-1",
    });
    let status = 503;
    // On a busy machine MinIO says that it is ready some moments before it is.
    for (let tries = 0; status === 503 && tries < 50; tries++) {
      if (tries > 0) await new Promise((resolve) => setTimeout(resolve, 200));
      const answer = await http.send({ method: "PUT", url, headers });
      await answer.body?.cancel();
      status = answer.status;
    }
    if (status !== 200) throw new Error(`${name} makes no bucket: status ${status}`);
  } catch (error) {
    await stop();
    throw error;
  }
  const credentials = fixedCredentials(TEST_KEYS);
  const { port } = server;
  const bucketPath = join(dataPath, TEST_BUCKET);
  return { name, version, endpoint, port, bucket: TEST_BUCKET, credentials, bucketPath, stop };
}
