/** One database with a history of hours, made in a moment: what tests of retention look at. */
import assert from "node:assert/strict";
import { readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Mutex, Semaphore } from "../../src/async.ts";
import { silentMetrics } from "../../src/metrics.ts";
import { Retainer } from "../../src/replicate/retainer.ts";
import { restore } from "../../src/restore/restore.ts";
import { OffsetClock } from "../doubles/moved_clock.ts";
import { Bench } from "./bench_of_one.ts";

export const HOUR_MS = 3_600_000;

/** A signal that never fires. */
export const NEVER = new AbortController().signal;

/** Checkpoints only when a test asks for one. */
export const LIMITS = { minPages: 1e9, maxPages: 0, intervalMs: 0 };

/** A bench whose history can be made as if long ago. */
export class AgedBench extends Bench {
  readonly clock: OffsetClock;

  constructor() {
    const clock = new OffsetClock();
    super({ clock, limits: LIMITS });
    this.clock = clock;
  }

  begin(): Promise<void> {
    return this.run({ clock: this.clock });
  }

  get retainer() {
    return this.replicator!.duties[0]!.retainer;
  }

  /** The same, whose turn is the test's. */
  retainerWith(turn: Mutex, listings?: Semaphore): Retainer {
    const { database, loop, clock, logs: { logger } } = this;
    const parts = { database, loop, client: loop.client, turn, clock, logger, metrics: silentMetrics };
    return new Retainer(parts, {}, listings);
  }

  /** What is done inside happens `hours` ago, by our clock and by that of the store. */
  async ago(hours: number, act: () => Promise<unknown>): Promise<void> {
    this.clock.offsetMs = -hours * HOUR_MS;
    const begun = Date.now() - 1000;
    await act();
    await this.current();
    this.clock.offsetMs = 0;
    const at = new Date(Date.now() - hours * HOUR_MS);
    for (const entry of readdirSync(this.replica.path, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && statSync(path).mtimeMs >= begun) utimesSync(path, at, at);
    }
  }

  /** A row, a new index, another row and a snapshot. */
  async step(name: string): Promise<void> {
    this.insert(name);
    await this.current();
    const { index } = this.database.position!;
    await this.restartWal((now) => now > index);
    await this.current();
    assert.ok(await this.loop.snapshot({ signal: NEVER }));
  }

  async snapshotIndexes(generation = this.generation): Promise<number[]> {
    return (await this.replica.direct.snapshots(generation)).map(({ index }) => index);
  }

  /** The rows as they were `hours` ago. */
  async rowsAgo(hours: number): Promise<string[]> {
    const outputPath = join(this.folder, `restored-${crypto.randomUUID()}.db`);
    const at = new Date(Date.now() - hours * HOUR_MS);
    await restore({ clients: [this.replica.direct], outputPath, target: { kind: "moment", at } });
    using database = new DatabaseSync(outputPath, { readOnly: true });
    return database.prepare("SELECT body FROM t").all().map(({ body }) => String(body))
      .filter((body) => body !== "row");
  }

  /** Leave nothing from which the generation could be gone on with. */
  forgetGeneration(): void {
    rmSync(join(this.folder, ".app.db-litestream"), { recursive: true });
    this.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  /** A history with snapshots of these ages. */
  async history(...hours: number[]): Promise<void> {
    for (const [nth, age] of hours.entries()) {
      await this.ago(age, async () => {
        if (nth === 0) await this.begin();
        else await this.step(`at ${age}`);
      });
    }
  }
}
