/** The replicas of a round: what walbrook is told of them, and how both programs restore them. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { momentsOf } from "../../src/restore/moments.ts";
import { restore, type RestoreSummary } from "../../src/restore/restore.ts";
import type { RestoreTarget } from "../../src/restore/plan.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import type { ObjectStore } from "../../src/storage/object_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { S3Store } from "../../src/storage/s3/s3_store.ts";
import { type AgeKey, cipherFor } from "../age.ts";
import { litestreamPath } from "../litestream.ts";
import { type S3Server, TEST_KEYS } from "../servers/s3_servers.ts";

/** Where a replica lies. */
export type ReplicaPlace =
  | { readonly type: "file"; readonly path: string }
  | { readonly type: "s3"; readonly path: string; readonly server: S3Server; readonly proxyEndpoint: string };

/** One replica. */
export class SoakReplica implements AsyncDisposable {
  readonly name: string;
  readonly place: ReplicaPlace;
  readonly client: ReplicaClient;
  readonly syncIntervalMs: number;
  readonly #age: AgeKey | undefined;
  readonly #store: ObjectStore;
  /** Its store has lied: what it says to have may be missing, which a restore has to notice. */
  isSpoiled = false;

  constructor(
    place: ReplicaPlace,
    { age, syncIntervalMs }: { age: AgeKey | undefined; syncIntervalMs: number },
  ) {
    this.syncIntervalMs = syncIntervalMs;
    this.name = place.type;
    this.place = place;
    this.#age = age;
    // Past the proxy: what is judged is what is stored.
    this.#store = place.type === "file" ? new FileStore({ root: place.path }) : new S3Store({
      bucket: place.server.bucket,
      credentials: place.server.credentials,
      endpoint: place.server.endpoint,
      path: place.path,
    });
    const cipher = age === undefined ? undefined : cipherFor(age);
    this.client = new ReplicaClient(this.#store, this.name, { cipher });
  }

  get isEncrypted(): boolean {
    return this.#age !== undefined;
  }

  /** The lines of a configuration that say where it lies, for walbrook through the proxy. */
  settings({ isDirect }: { isDirect: boolean }): Record<string, unknown> {
    const { place } = this;
    const keys = this.#age;
    const age = keys && { recipients: [keys.recipient], identities: [keys.identity] };
    const common = { name: this.name, ...(age === undefined ? {} : { age }) };
    if (place.type === "file") return { ...common, path: place.path };
    return {
      ...common,
      "type": "s3",
      "bucket": place.server.bucket,
      "path": place.path,
      "endpoint": isDirect ? place.server.endpoint : place.proxyEndpoint,
      "region": "us-east-1",
      "force-path-style": true,
      "access-key-id": TEST_KEYS.accessKeyId,
      "secret-access-key": TEST_KEYS.secretAccessKey,
    };
  }

  /** What Litestream's own configuration of a folder needs beside its path. */
  get settingsLines(): string[] {
    const keys = this.#age;
    if (keys === undefined) return [];
    return ["age:", `  recipients: [${keys.recipient}]`, `  identities: [${keys.identity}]`];
  }

  /** Our restore. */
  async restore(
    outputPath: string,
    { target, generation }: { target?: RestoreTarget; generation?: string } = {},
  ): Promise<RestoreSummary> {
    return await restore({ clients: [this.client], outputPath, target, generation });
  }

  /**
   * Whether what a restore made rests on a snapshot of Litestream's that may be ahead of its WAL: Litestream stores the
   * database file as it is, with pages in it that were backfilled from frames of which the replica has nothing yet (on
   * a full disk it gets no further for seconds), and says nowhere from which position on it is right.
   */
  async isAheadOfItsWal(
    { generation, snapshotIndex, lastPosition }: Pick<
      RestoreSummary,
      "generation" | "snapshotIndex" | "lastPosition"
    >,
  ): Promise<boolean> {
    if (lastPosition.index > snapshotIndex) return false;
    const snapshots = await this.client.snapshots(generation);
    const snapshot = snapshots.find(({ index }) => index === snapshotIndex);
    return snapshot !== undefined && !(await momentsOf(this.client)(snapshot)).isNoted;
  }

  /** Litestream's; gives what it printed when it failed. */
  async restoreByLitestream(
    outputPath: string,
    { databasePath, args, configPath }: { databasePath: string; args: readonly string[]; configPath: string },
  ): Promise<string | undefined> {
    const replicas = [this.settings({ isDirect: true })];
    writeFileSync(configPath, JSON.stringify({ dbs: [{ path: databasePath, replicas }] }));
    const words = ["restore", "-config", configPath, "-o", outputPath, ...args, databasePath];
    const child = spawn(litestreamPath(), words, { env: process.env, stdio: ["ignore", "pipe", "pipe"] });
    let log = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => log += text);
    }
    const code = await new Promise((resolve) => child.on("close", resolve));
    return code === 0 ? undefined : log.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}
