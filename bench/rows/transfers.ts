/** B1, B2, B3, B12: a whole database to a replica and back. */
import { spawnSync } from "node:child_process";
import { randomDatabase, textDatabase } from "../inputs.ts";
import type { Ground } from "../ground.ts";
import type { Place } from "../place.ts";
import { measure } from "../process.ts";
import type { Sample } from "../result.ts";
import type { Cell, Side } from "../runner.ts";
import type { Row, Scene } from "../scene.ts";
import type { Line } from "../s3_ground.ts";

const MB = 1e6;

interface Transfer {
  readonly id: string;
  readonly title: string;
  readonly bytes: number;
  readonly isRandom?: boolean;
  /** Absent: a folder. */
  readonly line?: Line;
  readonly age?: { readonly recipients: readonly string[]; readonly identities: readonly string[] };
}

/** The parts that snapshots and restores share. */
class TransferWork {
  readonly #scene: Scene;
  readonly #transfer: Transfer;
  readonly #name: string;
  #ground: Ground | undefined;

  constructor(scene: Scene, transfer: Transfer) {
    this.#scene = scene;
    this.#transfer = transfer;
    this.#name = transfer.id.replace("/", "-");
  }

  place(side: Side): Place {
    const { age } = this.#transfer;
    return this.#scene.place({
      ground: this.#ground!,
      name: this.#name,
      side,
      ...(age === undefined ? {} : { replicaSettings: { age } }),
    });
  }

  /** A copy of the database for each: Litestream writes into its own. */
  async prepare(sides: readonly Side[]): Promise<void> {
    const { bytes, isRandom, line } = this.#transfer;
    const source = await (isRandom ? randomDatabase(bytes) : textDatabase(bytes));
    this.#ground = line === undefined ? this.#scene.folders : await this.#scene.bucket();
    for (const side of sides) this.place(side).reset(source);
    await this.setLine(line);
  }

  async setLine(line: Line | undefined): Promise<void> {
    if (line !== undefined) await (await this.#scene.bucket()).setLine(line);
  }

  async snapshot(side: Side): Promise<Sample> {
    const place = this.place(side);
    place.forgetReplicas();
    const { wallSeconds, cpuSeconds, peakBytes } = await measure(
      side.program,
      ["replicate", "-config", place.configPath],
      { until: place.patternOf("snapshot"), syncPath: place.syncPath },
    );
    return { values: { wallSeconds, cpuSeconds, peakBytes } };
  }

  /** Everybody restores what we wrote; the 0.5 line its own. */
  async restore(side: Side, sides: readonly Side[]): Promise<Sample> {
    const place = this.place(side.name === "peer05" ? side : sides.find(({ name }) => name === "ours")!);
    const { wallSeconds, cpuSeconds, peakBytes } = await place.restore(side.program);
    return { values: { wallSeconds, cpuSeconds, peakBytes } };
  }

  async prove(sides: readonly Side[]): Promise<void> {
    if (this.#transfer.line !== undefined) await this.setLine({});
    for (const side of sides) await this.place(side).prove(sides);
    this.#scene.forget(this.#name);
  }
}

function snapshotCell(scene: Scene, transfer: Transfer): Cell {
  const work = new TransferWork(scene, transfer);
  return {
    id: transfer.id,
    title: transfer.title,
    scale: transfer.bytes,
    prepare: (sides) => work.prepare(sides),
    run: (side) => work.snapshot(side),
    prove: (sides) => work.prove(sides),
  };
}

function restoreCell(scene: Scene, transfer: Transfer): Cell {
  const work = new TransferWork(scene, transfer);
  let everybody: readonly Side[] = [];
  return {
    id: transfer.id,
    title: transfer.title,
    scale: transfer.bytes,
    async prepare(sides) {
      everybody = sides;
      await work.prepare(sides);
      await work.setLine(transfer.line === undefined ? undefined : {});
      for (const side of sides) await work.snapshot(side);
      await work.setLine(transfer.line);
    },
    run: (side) => work.restore(side, everybody),
    prove: (sides) => work.prove(sides),
  };
}

const size = (bytes: number) => bytes >= 1e9 ? `${bytes / 1e9} GB` : `${bytes / MB} MB`;

/** Snapshots to a folder: 64, 256 and 1024 MB of text show how it grows. */
export const snapshots: Row = (scene) => {
  const text = scene.isQuick ? [64 * MB] : [64 * MB, 256 * MB, 1024 * MB];
  const random = scene.isQuick ? 64 * MB : 1000 * MB;
  return [
    ...text.map((bytes) =>
      snapshotCell(scene, {
        id: `B1/text-${bytes / MB}`,
        title: `snapshot of ${size(bytes)} of text to a folder`,
        bytes,
      })
    ),
    snapshotCell(scene, {
      id: `B1/random-${random / MB}`,
      title: `snapshot of ${size(random)} of random bytes to a folder`,
      bytes: random,
      isRandom: true,
    }),
  ];
};

/** Snapshots to a bucket. */
export const bucketSnapshots: Row = (scene) => {
  const bytes = (scene.isQuick ? 64 : 256) * MB;
  return (scene.isQuick ? [20] : [0, 20, 100]).map((latencyMs) =>
    snapshotCell(scene, {
      id: `B2/${latencyMs}ms`,
      title: `snapshot of ${size(bytes)} of text to S3, ${latencyMs} ms`,
      bytes,
      line: { latencyMs },
    })
  );
};

/** Restores from both. */
export const restores: Row = (scene) => {
  const sizes = scene.isQuick ? [64 * MB] : [64 * MB, 256 * MB, 1024 * MB];
  const bytes = (scene.isQuick ? 64 : 256) * MB;
  return [
    ...sizes.map((bytes) =>
      restoreCell(scene, {
        id: `B3/folder-${bytes / MB}`,
        title: `restore of ${size(bytes)} of text from a folder`,
        bytes,
      })
    ),
    ...(scene.isQuick ? [20] : [0, 20, 100]).map((latencyMs) =>
      restoreCell(scene, {
        id: `B3/s3-${latencyMs}ms`,
        title: `restore of ${size(bytes)} of text from S3, ${latencyMs} ms`,
        bytes,
        line: { latencyMs },
      })
    ),
    restoreCell(scene, {
      id: "B3/s3-capped",
      title: `restore of ${size(bytes)} of text from S3, 90 MB/s for each connection`,
      bytes,
      line: { bytesPerSecond: 90 * MB },
    }),
  ];
};

/** Keys made by `age-keygen`, kept beside nothing: they protect a benchmark. */
function makeKeys(): NonNullable<Transfer["age"]> {
  const { stdout } = spawnSync("age-keygen", [], { encoding: "utf8" });
  const identity = /^AGE-SECRET-KEY-1\w+$/m.exec(stdout ?? "")?.[0];
  const recipient = /^# public key: (age1\w+)$/m.exec(stdout ?? "")?.[1];
  if (identity === undefined || recipient === undefined) throw new Error("B12 needs age-keygen: install age");
  return { recipients: [recipient], identities: [identity] };
}

/** Snapshot and restore, encrypted. */
export const encrypted: Row = (scene) => {
  const bytes = (scene.isQuick ? 64 : 256) * MB;
  const age = makeKeys();
  const title = `of ${size(bytes)} of text, encrypted with age, folder`;
  return [
    snapshotCell(scene, { id: "B12/snapshot", title: `snapshot ${title}`, bytes, age }),
    restoreCell(scene, { id: "B12/restore", title: `restore ${title}`, bytes, age }),
  ].map((cell) => ({ ...cell, without: ["peer05" as const] }));
};
