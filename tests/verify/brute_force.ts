/**
 * A restore that shares no code with src/: age and lz4 decode, SQLite replays, names are read here once more. It is
 * naive on purpose: what is missing it passes over, and SQLite stops by itself at a frame that does not belong.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Up to where to restore: all segments that begin at or before this; without one the newest snapshot alone. */
export interface BrutePoint {
  readonly index: number;
  readonly offset: number;
}

/** Everything that is stored. */
export const LATEST: BrutePoint = { index: Infinity, offset: Infinity };

/** Stands for the snapshot of an index alone. */
export const SNAPSHOT_ALONE = -1;

/** Restores from a folder by brute force. */
export class BruteForce {
  readonly #scratch: string;
  readonly #decrypt: (stored: Uint8Array) => Uint8Array;
  /** What was made of these bytes already, by their hash; most damage leaves most of a replica as it was. */
  readonly #decoded = new Map<string, Uint8Array | undefined>();
  readonly #made = new Map<string, string | undefined>();

  /** @param scratch a folder of its own */
  constructor(scratch: string, decrypt: (stored: Uint8Array) => Uint8Array = (stored) => stored) {
    this.#scratch = scratch;
    this.#decrypt = decrypt;
    mkdirSync(scratch, { recursive: true });
  }

  /** SHA-256 of the database; `undefined` when there is none or it can't be made. */
  state(generationPath: string, point: BrutePoint): string | undefined {
    const snapshots = list(join(generationPath, "snapshots"), /^([0-9a-f]{8})()\.snapshot\.lz4$/)
      .filter(({ index }) => index <= point.index);
    const snapshot = snapshots.at(-1);
    if (snapshot === undefined) return undefined;
    const database = this.#decode(snapshot.path);
    if (database === undefined) return undefined;
    const segments = list(join(generationPath, "wal"), /^([0-9a-f]{8})_([0-9a-f]{8,16})\.wal\.lz4$/)
      .filter(({ index, offset }) =>
        index >= snapshot.index && (index < point.index || index === point.index && offset <= point.offset)
      );
    const wals = [...new Set(segments.map(({ index }) => index))]
      .map((index) => this.#walOf(segments.filter((segment) => segment.index === index)));
    if (!wals.every((wal) => wal !== undefined)) return undefined;
    const hash = createHash("sha256");
    for (const bytes of [database, ...wals]) hash.update(`${bytes.length}\n`).update(bytes);
    const key = hash.digest("hex");
    if (!this.#made.has(key)) this.#made.set(key, this.#make(database, wals));
    return this.#made.get(key);
  }

  #make(database: Uint8Array, wals: readonly Uint8Array[]): string | undefined {
    const path = join(this.#scratch, "brute.db");
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    writeFileSync(path, database);
    if (!wals.every((wal) => replay(path, wal))) return undefined;
    return createHash("sha256").update(readFileSync(path)).digest("hex");
  }

  #walOf(segments: readonly { path: string; offset: number }[]): Uint8Array | undefined {
    let wal = new Uint8Array(0);
    for (const { path, offset } of segments) {
      const part = this.#decode(path);
      if (part === undefined || offset > wal.length) return undefined;
      const longer = new Uint8Array(Math.max(wal.length, offset + part.length));
      longer.set(wal);
      longer.set(part, offset);
      wal = longer;
    }
    return wal;
  }

  #decode(path: string): Uint8Array | undefined {
    const stored = new Uint8Array(readFileSync(path));
    const hash = createHash("sha256").update(stored).digest("hex");
    if (!this.#decoded.has(hash)) this.#decoded.set(hash, this.#decodeBytes(stored));
    return this.#decoded.get(hash);
  }

  #decodeBytes(stored: Uint8Array): Uint8Array | undefined {
    const [from, to] = [join(this.#scratch, "in.lz4"), join(this.#scratch, "out")];
    try {
      writeFileSync(from, this.#decrypt(stored));
    } catch {
      return undefined;
    }
    const { error, status } = spawnSync("lz4", ["-d", "-f", "-q", from, to], {
      stdio: "ignore",
      timeout: 60_000,
    });
    if (error !== undefined) {
      throw new Error("cannot run lz4; these tests need it: apt-get install lz4", { cause: error });
    }
    return status === 0 && existsSync(to) ? new Uint8Array(readFileSync(to)) : undefined;
  }
}

function list(folder: string, pattern: RegExp): { path: string; index: number; offset: number }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).sort().flatMap((name) => {
    const match = pattern.exec(name);
    if (match === null) return [];
    const offset = match[2] === "" ? 0 : Number.parseInt(match[2]!, 16);
    return [{ path: join(folder, name), index: Number.parseInt(match[1]!, 16), offset }];
  }).sort((left, right) => left.index - right.index || left.offset - right.offset);
}

function replay(path: string, wal: Uint8Array): boolean {
  writeFileSync(`${path}-wal`, wal);
  try {
    const database = new DatabaseSync(path);
    try {
      database.exec("PRAGMA synchronous = off; PRAGMA wal_checkpoint(TRUNCATE)");
    } finally {
      database.close();
    }
    return true;
  } catch {
    return false;
  }
}
