/** A legal replica made of a real SQLite WAL, with notes, without the replicator. */
import { DatabaseSync } from "node:sqlite";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { frameSize, type IndexEnd, WAL_HEADER_SIZE } from "../../src/position.ts";
import { segmentKey, snapshotKey } from "../../src/storage/keys.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { chainOf, scanFrames } from "../../src/wal/frames.ts";
import { parseWalHeader } from "../../src/wal/header.ts";
import { randomFrom } from "../../bench/random.ts";

/** What the replica looks like. */
export interface ReplicaOptions {
  /** An empty folder; the replica goes to `replica` in it. */
  readonly folder: string;
  /** Default 1. */
  readonly seed?: number;
  /** Default 1024. */
  readonly pageSize?: number;
  /** Default 4. */
  readonly indexCount?: number;
  /** Default 3. */
  readonly segmentsPerIndex?: number;
  /** Indexes, besides the first, that get a snapshot at their start. Default none. */
  readonly snapshotIndexes?: readonly number[];
  /**
   * After how many segments of their index those are taken, as a live database takes them: right only from the
   * offset on that the note states. Default 0.
   */
  readonly snapshotAfter?: number;
  /** Whether objects get notes. Default true. */
  readonly withNotes?: boolean;
  /** Keep the hash of the database at the end of each segment. Default true. */
  readonly withStates?: boolean;
}

/** An object of the replica. */
export interface BuiltObject {
  readonly key: string;
  readonly index: number;
  /** Absent for a snapshot. */
  readonly offset: number | undefined;
  /** When its newest commit was made. */
  readonly at: Date;
  /** SHA-256 of the database file as it is after this object; with `withStates`. */
  readonly state: string | undefined;
}

/** What was built. */
export interface BuiltReplica {
  readonly root: string;
  readonly client: ReplicaClient;
  readonly generation: string;
  readonly pageSize: number;
  /** Snapshots and segments in the order of their making. */
  readonly objects: readonly BuiltObject[];
  /** SHA-256 of the whole state. */
  readonly finalState: string;
}

/** The first object's time; each segment is one second later than the object before. */
export const BUILT_FROM = new Date("2026-01-01T00:00:00Z");

const GENERATION = "0123456789abcdef";

/** SHA-256 of a file in hex. */
export function fileHash(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** Build it. */
export async function buildReplica(options: ReplicaOptions): Promise<BuiltReplica> {
  const builder = new Builder(options);
  return await builder.build();
}

class Builder {
  readonly #options: Required<ReplicaOptions>;
  readonly #path: string;
  readonly #root: string;
  readonly #client: ReplicaClient;
  readonly #database: DatabaseSync;
  readonly #random: () => number;
  readonly #objects: BuiltObject[] = [];
  #previousEnd: IndexEnd | undefined;
  #seconds = 0;

  constructor(options: ReplicaOptions) {
    this.#options = {
      seed: 1,
      pageSize: 1024,
      indexCount: 4,
      segmentsPerIndex: 3,
      snapshotIndexes: [],
      snapshotAfter: 0,
      withNotes: true,
      withStates: true,
      ...options,
    };
    this.#random = randomFrom(this.#options.seed);
    this.#path = join(options.folder, "source.db");
    this.#root = join(options.folder, "replica");
    this.#client = new ReplicaClient(new FileStore({ root: this.#root }));
    this.#database = new DatabaseSync(this.#path);
    this.#database.exec(
      `PRAGMA page_size = ${this.#options.pageSize}; PRAGMA journal_mode = wal; PRAGMA synchronous = off;
       PRAGMA wal_autocheckpoint = 0; CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB);`,
    );
  }

  async build(): Promise<BuiltReplica> {
    const { indexCount, segmentsPerIndex, snapshotIndexes, snapshotAfter, pageSize } = this.#options;
    for (let index = 0; index < indexCount; index++) {
      this.#database.exec("PRAGMA wal_checkpoint(RESTART)");
      let offset = 0;
      for (let nth = 0; nth <= segmentsPerIndex; nth++) {
        const isDue = index === 0 ? nth === 0 : snapshotIndexes.includes(index) && nth === snapshotAfter;
        if (isDue) await this.#snapshot(index, offset);
        if (nth < segmentsPerIndex) offset = await this.#segment(index, offset);
      }
    }
    this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    this.#database.close();
    return {
      root: this.#root,
      client: this.#client,
      generation: GENERATION,
      pageSize,
      objects: this.#objects,
      finalState: fileHash(this.#path),
    };
  }

  #at(): Date {
    return new Date(BUILT_FROM.getTime() + this.#seconds * 1000);
  }

  async #snapshot(index: number, offset: number): Promise<void> {
    const { pageSize, withNotes } = this.#options;
    const raw = offset === 0 ? readFileSync(this.#path) : this.#merged(this.#committedWal(index).bytes);
    const note = {
      kind: "snapshot",
      generation: GENERATION,
      index,
      offset,
      newestCommitAt: this.#at(),
      pageSize,
      pageCount: raw.length / pageSize,
      previousEnd: this.#previousEnd,
    } as const;
    const key = snapshotKey({ generation: GENERATION, index });
    await this.#client.store.put(key, encodeObjectBytes(raw, withNotes ? { note } : {}));
    this.#objects.push({
      key,
      index,
      offset: undefined,
      at: note.newestCommitAt,
      state: createHash("sha256").update(raw).digest("hex"),
    });
  }

  async #segment(index: number, offset: number): Promise<number> {
    this.#write();
    this.#seconds++;
    const wal = this.#committedWal(index);
    const note = {
      kind: "segment",
      generation: GENERATION,
      index,
      offset,
      newestCommitAt: this.#at(),
      previousEnd: offset === 0 ? this.#previousEnd : undefined,
    } as const;
    const key = segmentKey({ generation: GENERATION, index, offset });
    const stored = encodeObjectBytes(wal.bytes.subarray(offset), this.#options.withNotes ? { note } : {});
    await this.#client.store.put(key, stored);
    this.#objects.push({ key, index, offset, at: note.newestCommitAt, state: this.#state(wal.bytes) });
    if (this.#segmentsOf(index) === this.#options.segmentsPerIndex) this.#previousEnd = wal.end;
    return wal.bytes.length;
  }

  #segmentsOf(index: number): number {
    return this.#objects.filter((object) => object.index === index && object.offset !== undefined).length;
  }

  #write(): void {
    const below = (limit: number) => Math.floor(this.#random() * limit);
    for (let transaction = 0; transaction < 2; transaction++) {
      this.#database.exec("BEGIN");
      for (let nth = 0; nth < 6; nth++) {
        const body = Uint8Array.from({ length: below(2 * this.#options.pageSize) }, () => below(256));
        this.#database.prepare("INSERT OR REPLACE INTO item VALUES (?, ?)").run(below(60), body);
      }
      this.#database.exec(`DELETE FROM item WHERE id = ${below(60)}; COMMIT`);
    }
  }

  #committedWal(index: number): { bytes: Uint8Array; end: IndexEnd } {
    const file = readFileSync(`${this.#path}-wal`);
    const header = parseWalHeader(file);
    const scan = scanFrames(file.subarray(WAL_HEADER_SIZE), chainOf(header));
    const length = WAL_HEADER_SIZE + scan.committedCount * frameSize(header.pageSize);
    const end = { index, length, checksum: scan.committedChecksum, salts: header.salts };
    return { bytes: new Uint8Array(file.subarray(0, length)), end };
  }

  #state(wal: Uint8Array): string | undefined {
    if (!this.#options.withStates) return undefined;
    return createHash("sha256").update(this.#merged(wal)).digest("hex");
  }

  /** What SQLite itself makes of the main file and the WAL so far. */
  #merged(wal: Uint8Array): Uint8Array {
    const path = join(this.#options.folder, "state.db");
    copyFileSync(this.#path, path);
    writeFileSync(`${path}-wal`, wal);
    const database = new DatabaseSync(path);
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    database.close();
    const bytes = readFileSync(path);
    for (const suffix of ["", "-wal", "-shm"]) if (existsSync(path + suffix)) rmSync(path + suffix);
    return bytes;
  }
}
