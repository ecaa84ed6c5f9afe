/** One program's databases, replicas and configuration within a cell. */
import { copyFileSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { objectsBelow, sameFiles } from "./files.ts";
import type { Ground } from "./ground.ts";
import type { Side } from "./runner.ts";
import { litestream, measure, type Measured, type Program } from "./process.ts";

/** The knobs that both programs get unless each one's defaults are asked for. */
export const KNOBS = {
  database: {
    "monitor-interval": "1s",
    "checkpoint-interval": "1m",
    "min-checkpoint-page-count": 1000,
    "max-checkpoint-page-count": 10000,
  },
  replica: { "sync-interval": "1s", "retention": "24h", "retention-check-interval": "1h" },
} as const;

/** As one line for the header. */
export function describeKnobs(isDefaults: boolean): string {
  if (isDefaults) return "each one's defaults";
  return Object.entries({ ...KNOBS.database, ...KNOBS.replica }).map((pair) => pair.join(" ")).join(", ");
}

/** What a place is like. */
export interface PlaceOptions {
  readonly ground: Ground;
  /** Of the cell; becomes a part of paths. */
  readonly name: string;
  readonly side: Side;
  readonly isDefaults: boolean;
  /** Default 1. */
  readonly databaseCount?: number;
  /** More of each replica, such as age keys. */
  readonly replicaSettings?: Readonly<Record<string, unknown>>;
}

/** Paths, and the configuration that names them. */
export class Place {
  readonly side: Side;
  readonly folder: string;
  readonly databasePaths: readonly string[];
  readonly #options: PlaceOptions;

  constructor(options: PlaceOptions) {
    this.#options = options;
    this.side = options.side;
    this.folder = join(options.ground.folder, options.name, options.side.name);
    this.databasePaths = Array.from(
      { length: options.databaseCount ?? 1 },
      (_, at) => join(this.folder, String(at), "app.db"),
    );
  }

  /** Of the only database. */
  get databasePath(): string {
    return this.databasePaths[0]!;
  }

  get configPath(): string {
    return join(this.folder, "config.yml");
  }

  #replica(number: number): string {
    return [this.#options.name, this.side.name, number].join("/");
  }

  /** Where the objects of a database's replica are on the disk. */
  objectsPath(number = 0): string {
    return this.#options.ground.objectsPath(this.#replica(number));
  }

  /** The replica, where it is on the tool to have it on the disk; a server has to by itself. */
  get syncPath(): string | undefined {
    return this.#options.ground.objectEnding === "" ? this.objectsPath() : undefined;
  }

  /** Every finished object of a replica. */
  objects(number = 0): string[] {
    return objectsBelow(this.objectsPath(number));
  }

  /** An object of the only database, given by its path on the disk, as it was stored. */
  read(path: string): Promise<Uint8Array> {
    return this.#options.ground.read(this.#replica(0), relative(this.objectsPath(), path));
  }

  /** A pattern that a finished object matches: a snapshot or a segment. */
  patternOf(kind: "snapshot" | "segment"): string {
    const { objectEnding } = this.#options.ground;
    // The 0.5 line keeps snapshots in level 9, and what comes first in level 0.
    if (this.side.name === "peer05") {
      return `${this.objectsPath()}/**/${kind === "snapshot" ? "9" : "0"}*/*.ltx${objectEnding}`;
    }
    const name = kind === "snapshot" ? "snapshots/*.snapshot.lz4" : "wal/*.wal.lz4";
    return `${this.objectsPath()}/generations/*/${name}${objectEnding}`;
  }

  /** Everything anew: databases as copies of `source` or empty with a table `t (id, x)`, replicas gone. */
  reset(source?: string): void {
    rmSync(this.folder, { recursive: true, force: true });
    for (const [number, path] of this.databasePaths.entries()) {
      mkdirSync(dirname(path), { recursive: true });
      if (source !== undefined || number > 0) copyFileSync(source ?? this.databasePath, path);
      else makeEmptyDatabase(path);
    }
    this.forgetReplicas();
    this.configure();
  }

  /** The databases stay, with what belongs to them; their replicas and what either program kept beside them go. */
  forgetReplicas(): void {
    for (const [number, path] of this.databasePaths.entries()) {
      const meta = join(dirname(path), `.${basename(path)}-litestream`);
      rmSync(meta, { recursive: true, force: true });
      this.#options.ground.forget(this.#replica(number));
    }
  }

  /** Write the configuration; `replica` overrides which one the only database has. */
  configure(replica?: Readonly<Record<string, unknown>>): void {
    const { ground, isDefaults, replicaSettings = {} } = this.#options;
    const isPeer05 = this.side.name === "peer05";
    const { "max-checkpoint-page-count": _, ...fewer } = KNOBS.database;
    const database = isDefaults ? {} : isPeer05 ? fewer : KNOBS.database;
    const knobs = isDefaults ? {} : isPeer05 ? { "sync-interval": "1s" } : KNOBS.replica;
    const dbs = this.databasePaths.map((path, number) => {
      const settings = {
        ...replica ?? ground.settingsOf(this.#replica(number)),
        ...knobs,
        ...replicaSettings,
      };
      return { path, ...database, ...(isPeer05 ? { replica: settings } : { replicas: [settings] }) };
    });
    mkdirSync(this.folder, { recursive: true });
    writeFileSync(this.configPath, JSON.stringify({ dbs }));
  }

  /** Restore the only database's replica with any program that knows its format. */
  async restore(program: Program): Promise<Measured & { path: string }> {
    const path = join(this.folder, `restored-${program === litestream ? "litestream" : "other"}.db`);
    for (const ending of ["", "-wal", "-shm", ".tmp", ".tmp-wal", ".tmp-shm"]) {
      rmSync(path + ending, { force: true });
    }
    const words = ["restore", "-config", this.configPath, "-o", path, this.databasePath];
    return { ...await measure(program, words, { syncPath: path }), path };
  }

  /**
   * Restore with every program that can, and compare all pages with the database's.
   *
   * @param options.hasSource false: only with each other, since the replica isn't that of `databasePath`
   */
  async prove(sides: readonly Side[], { hasSource = true } = {}): Promise<void> {
    if (hasSource) checkpoint(this.databasePath);
    const isPeer05 = this.side.name === "peer05";
    const able = sides.filter(({ name }) => (name === "peer05") === isPeer05);
    let first = hasSource ? this.databasePath : undefined;
    for (const { program } of able) {
      const { path } = await this.restore(program);
      if (first !== undefined && !sameFiles(first, path)) {
        const other = first === this.databasePath ? "the database" : "the other restore";
        throw new Error(
          `${program.name} restores other pages than ${other} has, from ${this.side.program.name}`,
        );
      }
      first ??= path;
    }
  }
}

function makeEmptyDatabase(path: string): void {
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, x)");
}

/** Everything into the main file. */
export function checkpoint(path: string): void {
  using database = new DatabaseSync(path, { timeout: 10_000 });
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) {
    throw new Error(`${path} can't be checkpointed`);
  }
}
