/** A bench whose replica is drilled. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Mutex } from "../../src/async.ts";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { Drill, type DrillOptions } from "../../src/replicate/drill.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { RecordingMetrics } from "../doubles/recording_metrics.ts";
import { Bench, type BenchOptions } from "./bench_of_one.ts";

/** A bench with rows in its replica, and drills of it. */
export class DrilledBench extends Bench {
  readonly metrics = new RecordingMetrics();
  readonly temporaryPath = join(this.folder, "temporary");

  static async begin(options: BenchOptions = {}): Promise<DrilledBench> {
    const bench = new DrilledBench(options);
    mkdirSync(bench.temporaryPath);
    for (let row = 0; row < 50; row++) bench.insert("x".repeat(1000));
    bench.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    await bench.run();
    bench.insert();
    await bench.current();
    return bench;
  }

  drill(options: Partial<DrillOptions> = {}, clock: Clock = systemClock): Drill {
    const { database, loop, metrics, temporaryPath } = this;
    const logger = this.logs.logger.with({ db: this.path, replica: loop.client.name });
    return new Drill(
      { database, loop, client: loop.client, turn: new Mutex(), clock, logger, metrics },
      { intervalMs: 0, temporaryPath, ...options },
    );
  }

  get gauge(): number | undefined {
    const labels = { db: this.path, name: this.replica.client.name };
    return this.metrics.value("walbrook_last_proven_restorable_seconds", labels);
  }

  /** Make a page of the database unreadable while nobody has it open, and go on with it. */
  async damageDatabase(): Promise<void> {
    await this.stop();
    this.application!.close();
    const bytes = readFileSync(this.path);
    // The kind of its fourth page, one with rows.
    bytes[3 * 4096] = 0;
    writeFileSync(this.path, bytes);
    this.openApplication();
    await this.run();
    this.insert();
    await this.current();
  }

  /** Change bytes of an object in a way that its own checksums don't show. */
  async rewrite(key: string, change: (raw: Uint8Array) => void): Promise<void> {
    const { raw, note } = await this.replica.object(key);
    change(raw);
    await this.replica.files.put(key, encodeObjectBytes(raw, { note }));
  }
}
