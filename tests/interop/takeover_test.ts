import { test } from "node:test";
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { decodeObjectBytes } from "../../src/codec/object.ts";
import { listGeneration } from "../../src/restore/inventory.ts";
import { restore } from "../../src/restore/restore.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { RandomWorkload } from "../builders/random_workload.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { recordFigure } from "../figures.ts";
import { Litestream, litestreamRestore } from "../litestream.ts";
import { pageDifference } from "../restore/database_pages.ts";
import { Walbrook } from "../walbrook.ts";

const ROUNDS = 3;
const PAGE_SIZE = 4096;

/** A database and a replica that both programs look after in turn, with an application that never stops. */
class Handover implements Disposable {
  readonly databasePath: string;
  readonly replicaPath: string;
  readonly client: ReplicaClient;
  readonly workload: RandomWorkload;
  restoreCount = 0;
  /** Segments that Litestream wrote although what they hold was stored already. */
  readonly repeatedKeys = new Set<string>();

  constructor(readonly folder: string, seed: number) {
    this.databasePath = join(folder, "live.db");
    this.replicaPath = join(folder, "replica");
    this.client = new ReplicaClient(new FileStore({ root: this.replicaPath }));
    this.workload = new RandomWorkload({ path: this.databasePath, seed, pageSize: PAGE_SIZE });
  }

  async work(steps = 30): Promise<void> {
    for (let step = 0; step < steps; step++) {
      this.workload.step();
      await delay(this.workload.below(8));
    }
  }

  /** Commit a mark and wait until the replica grew after it. */
  async segmentCount(): Promise<number> {
    let count = 0;
    for (const generation of await this.client.generations()) {
      count += (await listGeneration(this.client, generation)).segments.length;
    }
    return count;
  }

  async untilMore(before: number, log: () => string): Promise<void> {
    await until(async () => await this.segmentCount() > before, () => `a new segment; the log says ${log()}`);
  }

  /** Let Litestream replicate for a while; returns its log. */
  async litestreamTurn(): Promise<string> {
    const before = await this.segmentCount();
    await using litestream = Litestream.start({
      configPath: join(this.folder, "litestream.yml"),
      databases: [this],
    });
    await this.untilMore(before, () => litestream.log);
    await this.work();
    await litestream.stop();
    return litestream.log;
  }

  /** The same for us. */
  async walbrookTurn(): Promise<string> {
    const before = await this.segmentCount();
    await using walbrook = Walbrook.start("replicate", this.databasePath, this.replicaPath);
    await this.untilMore(before, () => walbrook.stderr);
    await this.work();
    const { code, stderr } = await walbrook.stop();
    assert.equal(code, 0, stderr);
    return stderr;
  }

  /** Restore with both programs and compare with each other. */
  async crossRestore(name: string): Promise<string> {
    const [ours, theirs] = [join(this.folder, `${name}-ours.db`), join(this.folder, `${name}-theirs.db`)];
    await restore({ clients: [this.client], outputPath: ours });
    const replicaPath = join(this.folder, `${name}-replica`);
    await this.copyWithoutRepetitions(replicaPath);
    await litestreamRestore({ replicaPath, outputPath: theirs });
    if (pageDifference(ours, theirs, { pageSize: PAGE_SIZE }) !== undefined) await this.explain(name);
    assert.equal(pageDifference(ours, theirs, { pageSize: PAGE_SIZE }), undefined, name);
    this.restoreCount++;
    return theirs;
  }

  /**
   * A copy of the replica without segments that Litestream wrote a second time, as it does now and then at its end.
   * Its own restore takes them for the continuation and drops all that follows; ours passes over them.
   */
  async copyWithoutRepetitions(path: string): Promise<void> {
    cpSync(this.replicaPath, path, { recursive: true, preserveTimestamps: true });
    for (const generation of await this.client.generations()) {
      const { segments } = await listGeneration(this.client, generation);
      const ends = new Map<number, number>();
      for (const { key, index, offset } of segments) {
        const end = offset + decodeObjectBytes(readFileSync(join(path, key))).raw.length;
        if (end <= (ends.get(index) ?? 0)) {
          rmSync(join(path, key));
          this.repeatedKeys.add(key);
        } else ends.set(index, end);
      }
    }
  }

  /** What the replica holds, for a failure. */
  async explain(name: string): Promise<void> {
    for (const program of ["ours", "theirs"]) {
      const difference = pageDifference(join(this.folder, `${name}-${program}.db`), this.databasePath, {
        pageSize: PAGE_SIZE,
      });
      console.log(`${name}-${program}.db: ${difference ?? "equals the live file"}`);
    }
    for (const generation of await this.client.generations()) {
      const { snapshots, segments } = await listGeneration(this.client, generation);
      for (const { key, createdAt } of [...snapshots, ...segments.slice(-2)]) {
        console.log(key, createdAt.toISOString());
      }
    }
  }

  [Symbol.dispose](): void {
    this.workload[Symbol.dispose]();
  }
}

/** Why a program began a generation; `undefined` when it went on with the one that was there. */
function newGeneration(log: string): string | undefined {
  return log.split("\n").find((line) => line.includes("sync: new generation"));
}

/** What a WAL that was restarted or went away while nobody held it makes of a generation. */
const GOOD_REASON = /wal header mismatch|wal overwritten by another process|no primary wal/;

/** Hand the database over `ROUNDS` times each way; returns how often the generation went on. */
async function handOver(
  handover: Handover,
  { between, end }: { between: () => Promise<void>; end?: () => void },
): Promise<number> {
  let goOns = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const who of ["walbrook", "litestream"] as const) {
      const log = who === "walbrook" ? await handover.walbrookTurn() : await handover.litestreamTurn();
      const begun = newGeneration(log);
      const isFirst = round === 0 && who === "walbrook";
      if (begun === undefined) goOns++;
      else if (!isFirst) assert.match(begun, GOOD_REASON, `${who} in round ${round}:\n${log}`);
      await handover.crossRestore(`${round}-${who}`);
      // The application goes on while nobody looks.
      await between();
    }
  }
  await handover.walbrookTurn();
  end?.();
  handover.workload.finish();
  const restored = await handover.crossRestore("last");
  const difference = pageDifference(restored, handover.databasePath, { pageSize: PAGE_SIZE });
  assert.equal(difference, undefined);
  return goOns;
}

test("Litestream and walbrook take a database over from each other, three times in a row", async () => {
  const seed = randomInt(2 ** 31);
  using folder = temporaryFolder();
  using handover = new Handover(folder.path, seed);
  try {
    await handover.work(10);
    const goOns = await handOver(handover, { between: () => handover.work(5) });
    recordFigure("cross-restores with Litestream after taking over", handover.restoreCount);
    recordFigure(`of ${2 * ROUNDS - 1} handovers went on with the generation`, goOns);
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error });
  }
});

test("Litestream and walbrook go on with one generation while a reader of the application holds the WAL", async () => {
  const seed = randomInt(2 ** 31);
  using folder = temporaryFolder();
  using handover = new Handover(folder.path, seed);
  const reader = new DatabaseSync(handover.databasePath);
  /** Stand on the newest commit, so that the WAL can't be restarted while nobody else holds it. */
  const hold = () => {
    if (reader.isTransaction) reader.exec("ROLLBACK");
    reader.exec("BEGIN; SELECT count(*) FROM item");
  };
  try {
    await handover.work(10);
    hold();
    const goOns = await handOver(handover, {
      between: async () => {
        hold();
        await handover.work(5);
      },
      end: () => reader.close(),
    });
    assert.equal(goOns, 2 * ROUNDS - 1);
    assert.equal((await handover.client.generations()).length, 1);
    recordFigure("cross-restores with Litestream in one generation", handover.restoreCount);
    recordFigure("segments that Litestream wrote twice on the way", handover.repeatedKeys.size);
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error });
  }
});
