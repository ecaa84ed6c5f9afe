/** Replicas in Litestream's own format, whole and spoiled, and a configuration file that names them. */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { segmentKey, snapshotKey } from "../../src/storage/keys.ts";
import { buildReplica, type BuiltObject } from "../builders/replica_builder.ts";

/** Where everything is. */
export interface Ground {
  readonly folder: string;
  readonly configPath: string;
  /** One with the database `alone.db`, which has no replicas. */
  readonly alonePath: string;
  /** In the configuration, with the replicas `whole` and `older`. */
  readonly databasePath: string;
  readonly generation: string;
  readonly objects: readonly BuiltObject[];
  /** The URL of a replica. */
  readonly url: (name: ReplicaName) => string;
  /** Between two segments of index 1. */
  readonly between: string;
}

/** What each replica is like; all have three indexes of three segments, and snapshots at 0 and 1. */
const REPLICAS = {
  whole: () => {},
  none: (root: string) => rmSync(root, { recursive: true }),
  empty: (root: string) => rmSync(join(root, "generations"), { recursive: true }),
  snapshotOnly: (root: string, { generation }: Built) =>
    rmSync(join(root, "generations", generation, "wal"), { recursive: true }),
  walOnly: (root: string, { generation }: Built) =>
    rmSync(join(root, "generations", generation, "snapshots"), { recursive: true }),
  noIndexOne: (root: string, built: Built) => {
    rmSync(join(root, snapshotKey({ generation: built.generation, index: 1 })));
    for (const { key } of built.segmentsOf(1)) rmSync(join(root, key));
  },
  noFirstSegment: (root: string, { generation }: Built) =>
    rmSync(join(root, segmentKey({ generation, index: 2, offset: 0 }))),
  gap: (root: string, built: Built) => rmSync(join(root, built.segmentsOf(1)[1]!.key)),
  cutSnapshot: (root: string, { generation }: Built) =>
    cut(join(root, snapshotKey({ generation, index: 1 }))),
  cutSegment: (root: string, built: Built) => cut(join(root, built.segmentsOf(2)[1]!.key)),
  olderWal: (root: string, { generation }: Built) =>
    rmSync(join(root, snapshotKey({ generation, index: 0 }))),
  strange: (root: string, { generation }: Built) => {
    for (const name of ["0000000A.snapshot.lz4", "x", "00000009.snapshot.lz4.tmp"]) {
      writeFileSync(join(root, "generations", generation, "snapshots", name), "");
    }
    for (const name of ["00000001.wal.lz4", "00000001_0000.wal.lz4", "00000001_00000020.wal"]) {
      writeFileSync(join(root, "generations", generation, "wal", name), "");
    }
    for (const name of ["0123", "0123456789ABCDEF"]) mkdirSync(join(root, "generations", name));
  },
  twoGenerations: (root: string, { generation }: Built) => {
    const copy = join(root, "generations", "00000000000000ff");
    cpSync(join(root, "generations", generation), copy, { recursive: true, preserveTimestamps: true });
    for (const path of filesIn(copy)) later(path, 3600);
  },
} as const;

/** One of them. */
export type ReplicaName = keyof typeof REPLICAS | "older";

interface Built {
  readonly generation: string;
  readonly segmentsOf: (index: number) => BuiltObject[];
}

/** Make everything below `folder`. */
export async function prepareGround(folder: string): Promise<Ground> {
  const building = join(folder, "building");
  mkdirSync(building);
  const { root, generation, objects } = await buildReplica({
    folder: building,
    indexCount: 3,
    segmentsPerIndex: 3,
    snapshotIndexes: [1],
    withNotes: false,
    withStates: false,
  });
  for (const { key, at } of objects) utimesSync(join(root, key), at, at);
  const segmentsOf = (index: number) =>
    objects.filter((object) => object.index === index && object.offset !== undefined);
  const replica = (name: ReplicaName) => join(folder, "replicas", name);
  for (const [name, spoil] of Object.entries(REPLICAS)) {
    const copy = replica(name as ReplicaName);
    cpSync(root, copy, { recursive: true, preserveTimestamps: true });
    spoil(copy, { generation, segmentsOf });
  }
  cpSync(root, replica("older"), { recursive: true, preserveTimestamps: true });
  for (const path of filesIn(replica("older"))) later(path, -3600);
  const databasePath = join(folder, "app.db");
  new DatabaseSync(databasePath).close();
  const configPath = join(folder, "c.yml");
  writeFileSync(configPath, configOf({ databasePath, replica, folder }));
  const alonePath = join(folder, "alone.yml");
  new DatabaseSync(join(folder, "alone.db")).close();
  writeFileSync(alonePath, `dbs: [{ path: ${join(folder, "alone.db")} }]\n`);
  return {
    folder,
    configPath,
    alonePath,
    databasePath,
    generation,
    objects,
    url: (name) => `file://${replica(name)}`,
    between: new Date(segmentsOf(1)[1]!.at.getTime() + 500).toISOString(),
  };
}

function configOf(
  { databasePath, replica, folder }: {
    databasePath: string;
    replica: (name: ReplicaName) => string;
    folder: string;
  },
): string {
  return `dbs:
  - path: ${databasePath}
    replicas:
      - { name: whole, path: ${replica("whole")} }
      - { name: older, path: ${replica("older")} }
  - path: ${join(folder, "missing.db")}
    replicas: [{ path: ${replica("empty")} }]
`;
}

function cut(path: string): void {
  truncateSync(path, Math.floor(statSync(path).size / 2));
}

function later(path: string, seconds: number): void {
  const at = statSync(path).mtimeMs / 1000 + seconds;
  utimesSync(path, at, at);
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? dirname(entry.name), entry.name));
}
