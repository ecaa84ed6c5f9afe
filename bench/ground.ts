/** Where replicas lie: in folders of this machine, or in MinIO behind a line. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Line, S3Ground } from "./s3_ground.ts";

/** A place for replicas, each with a name of its own. */
export interface Ground {
  /** For databases, configurations and what is restored. */
  readonly folder: string;
  /** What a configuration file says of this replica. */
  settingsOf(replica: string): Readonly<Record<string, unknown>>;
  /** Where its objects are on this machine's disk. */
  objectsPath(replica: string): string;
  /** What a finished object's path ends in, after its name. */
  readonly objectEnding: "" | "/xl.meta";
  /** An object as it was stored. */
  read(replica: string, key: string): Promise<Uint8Array>;
  forget(replica: string): void;
}

/** Replicas in folders. */
export function folderGround(folder: string): Ground {
  const objectsPath = (replica: string) => join(folder, "replicas", replica);
  return {
    folder,
    objectsPath,
    objectEnding: "",
    settingsOf: (replica) => ({ type: "file", path: objectsPath(replica) }),
    read: (replica, key) => Promise.resolve(new Uint8Array(readFileSync(join(objectsPath(replica), key)))),
    forget: (replica) => rmSync(objectsPath(replica), { recursive: true, force: true }),
  };
}

/** Replicas in a bucket; requests go over a line that can be made slow. */
export class BucketGround implements Ground, AsyncDisposable {
  readonly objectEnding = "/xl.meta";
  readonly #s3: S3Ground;

  private constructor(s3: S3Ground) {
    this.#s3 = s3;
  }

  /** Start the server and the line. */
  static async open(folder: string): Promise<BucketGround> {
    return new BucketGround(await S3Ground.open(folder));
  }

  /** The server, past the line, and the line itself. */
  get s3(): S3Ground {
    return this.#s3;
  }

  get folder(): string {
    return this.#s3.folder;
  }

  settingsOf(replica: string): Readonly<Record<string, unknown>> {
    return {
      type: "s3",
      bucket: this.#s3.server.bucket,
      path: replica,
      endpoint: `http://127.0.0.1:${this.#s3.proxy.port}`,
      region: "us-east-1",
      "force-path-style": true,
    };
  }

  objectsPath(replica: string): string {
    return this.#s3.objectsPath(replica);
  }

  setLine(line: Line): Promise<void> {
    return this.#s3.setLine(line);
  }

  /** Through the server: on its disk an object is packed. */
  async read(replica: string, key: string): Promise<Uint8Array> {
    await using store = this.#s3.openStore(replica);
    const chunks: Uint8Array[] = [];
    // A chunk is valid only until the next one is read.
    for await (const chunk of await store.get(key)) chunks.push(chunk.slice());
    return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
  }

  forget(replica: string): void {
    rmSync(this.objectsPath(replica), { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#s3[Symbol.asyncDispose]();
  }
}
