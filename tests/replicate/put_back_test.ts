/** What a replica is found to lack, or to have too much, at a start: its end went missing, or the machine was put back. */
import assert from "node:assert/strict";
import { cpSync, linkSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { restore } from "../../src/restore/restore.ts";
import { Bench, type StoredObject } from "./bench_of_one.ts";

const LIMITS = { minPages: 1e9, maxPages: 0, intervalMs: 0 };

/** A bench that was stopped after a few indexes, with two segments in each. */
async function stoppedBench(): Promise<{ bench: Bench; generation: string }> {
  const bench = new Bench({ limits: LIMITS });
  await bench.run();
  for (let index = 1; index <= 3; index++) {
    bench.insert("y".repeat(1000));
    await bench.current();
    await bench.restartWal((now) => now >= index);
  }
  bench.insert("the newest");
  await bench.current();
  const { generation } = bench;
  await bench.stop();
  return { bench, generation };
}

/** Files of the database and its meta directory, copied away or back. */
class Backup {
  readonly #bench: Bench;
  readonly #path: string;

  constructor(bench: Bench) {
    this.#bench = bench;
    this.#path = join(bench.folder, "backup");
    for (const name of this.#names(bench.folder)) {
      cpSync(join(bench.folder, name), join(this.#path, name), { recursive: true });
    }
  }

  #names(folder: string): string[] {
    return readdirSync(folder).filter((name) => /^\.?app\.db/.test(name));
  }

  /** Keep the inode of the `-wal` from being given to another file, which would then pass for the same one. */
  keepWalInode(): void {
    linkSync(`${this.#bench.path}-wal`, join(this.#path, "wal-of-before"));
  }

  /** The application has to be closed. */
  putBack({ names }: { names: RegExp }): void {
    const { folder } = this.#bench;
    for (const name of this.#names(folder)) {
      // Without a wal-index SQLite makes its own, as after a start of the machine.
      if (names.test(name) || name.endsWith("-shm")) rmSync(join(folder, name), { recursive: true });
    }
    for (const name of this.#names(this.#path)) {
      if (!names.test(name) || name.endsWith("-shm")) continue;
      cpSync(join(this.#path, name), join(folder, name), { recursive: true });
    }
  }
}

test("ReplicaLoop stores the newest segments again that are missing at its start", async () => {
  for (const count of [1, 2]) {
    const { bench: stopped, generation } = await stoppedBench();
    await using bench = stopped;
    const before = endOf(await bench.wholeSegments(generation));
    const keys = (await bench.replica.direct.segments(generation)).slice(-count).map(({ key }) => key);
    await bench.replica.files.delete(keys);
    assert.notDeepEqual(endOf(await bench.wholeSegments(generation)), before);
    await bench.run();
    await bench.current();
    assert.equal(bench.generation, generation);
    assert.deepEqual(endOf(await bench.wholeSegments(generation)), before);
    assert.equal((await bench.replica.direct.snapshots(generation)).length, 1);
    await bench.assertRestores();
  }
});

function endOf(segments: readonly StoredObject[]): { index: number; offset: number } {
  const { index, offset, raw } = segments.at(-1)!;
  return { index, offset: offset + raw.length };
}

test("ReplicaLoop begins anew when the end is missing and its bytes are gone, and keeps older restore points", async () => {
  const { bench: stopped, generation } = await stoppedBench();
  await using bench = stopped;
  const all = await bench.replica.direct.segments(generation);
  await bench.replica.files.delete(all.filter(({ index }) => index > 0).map(({ key }) => key));
  await bench.run();
  bench.insert();
  await bench.current();
  assert.notEqual(bench.generation, generation);
  await bench.assertRestores();
  const told = bench.logs.records.filter(({ level }) => level === "warn");
  assert.match(String(told[0]!.fields["reason"]), /^replica is at .*, but the shadow wal no longer has it$/);
  const outputPath = join(bench.folder, "older.db");
  const target = { kind: "index", index: 0 } as const;
  await restore({ clients: [bench.replica.direct], outputPath, generation, target });
});

/** What is put back, with what is said of it. Where a reader of the application holds the WAL its salts stay the same. */
const PUT_BACK: readonly { what: string; names: RegExp; isHeld: boolean; less: RegExp; more: RegExp }[] = [
  {
    what: "the whole machine, before its WAL began anew,",
    names: /./,
    isHeld: false,
    less: /^replica is at .*, but the shadow wal no longer has it$/,
    more: /^replica is at .*, but the shadow wal no longer has it$/,
  },
  {
    what: "the whole machine",
    names: /./,
    isHeld: true,
    less: /^replica is at .*, but the shadow wal ends at/,
    more: /^the replica's .* was written from another history$/,
  },
  {
    what: "the database, before its WAL began anew,",
    names: /^app\.db/,
    isHeld: false,
    less: /^wal header mismatch/,
    more: /^wal header mismatch/,
  },
  {
    what: "the database",
    names: /^app\.db/,
    isHeld: true,
    less: /^wal truncated by another process$/,
    more: /^wal overwritten by another process$/,
  },
  {
    what: "the main file alone",
    names: /^app\.db$/,
    isHeld: false,
    less: /^wal header mismatch/,
    more: /^wal header mismatch/,
  },
];

for (const { what, names, isHeld, ...reasons } of PUT_BACK) {
  for (const [how, count] of [["less", 1], ["more", 30]] as const) {
    test(`Replicator appends nothing when ${what} was put back and ${how} was written than before`, async () => {
      await using bench = new Bench({ limits: LIMITS });
      bench.insert("first");
      const reader = new DatabaseSync(bench.path);
      if (isHeld) reader.exec("BEGIN; SELECT count(*) FROM t");
      for (let row = 0; row < 3; row++) bench.insert("kept");
      await bench.run();
      await bench.current();
      await bench.stop();
      const backup = new Backup(bench);
      await bench.run();
      for (let row = 0; row < 10; row++) bench.insert("lost");
      await bench.current();
      const { generation, index } = bench.database.position!;
      assert.equal(index, isHeld ? 0 : 1);
      await bench.stop();
      const before = await bench.wholeSegments(generation);
      backup.keepWalInode();
      reader.close();
      bench.application!.close();
      backup.putBack({ names });
      bench.openApplication();
      for (let row = 0; row < count; row++) bench.insert("after");
      await bench.run();
      await bench.current();
      bench.insert("later");
      await bench.current();
      assert.notEqual(bench.generation, generation);
      assert.deepEqual(await bench.wholeSegments(generation), before);
      const told = bench.logs.records.filter(({ message }) => message === "sync: new generation");
      assert.equal(told.length, 2);
      assert.match(String(told[1]!.fields["reason"]), reasons[how]);
      await bench.assertRestores();
    });
  }
}
