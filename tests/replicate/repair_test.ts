import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readAll } from "../../src/bytes.ts";
import { encodeObjectBytes } from "../../src/codec/object.ts";
import { formatIndex } from "../../src/position.ts";
import { restore } from "../../src/restore/restore.ts";
import { verifyReplica } from "../../src/verify/verify.ts";
import { Bench } from "./bench_of_one.ts";

const NEVER = new AbortController().signal;

/** A bench with a few indexes, whose drills are held when told. */
class RepairedBench extends Bench {
  readonly duties = {
    drill: { intervalMs: 0, temporaryPath: join(this.folder, "temporary") },
    retention: { retentionMs: 0 },
  };

  static async begin(): Promise<RepairedBench> {
    const bench = new RepairedBench({ limits: { minPages: 1e9, maxPages: 0, intervalMs: 0 } });
    mkdirSync(bench.duties.drill.temporaryPath);
    for (let row = 0; row < 40; row++) bench.insert("x".repeat(1000));
    bench.application!.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    await bench.run({ duties: bench.duties });
    for (let index = 1; index <= 4; index++) {
      for (let row = 0; row < 2; row++) {
        bench.insert("y".repeat(1000));
        await bench.current();
      }
      await bench.restartWal((now) => now >= index);
    }
    return bench;
  }

  drill(): Promise<unknown> {
    return this.replicator!.duties[0]!.drill.drill(NEVER);
  }

  /** The fault that a drill is expected to find. */
  async failingDrill(message: RegExp): Promise<void> {
    await assert.rejects(this.drill(), message);
  }

  /** Change a byte of it, which its own checksums don't show. */
  async spoilNewestSnapshot(): Promise<void> {
    const snapshot = (await this.replica.direct.snapshots(this.generation)).at(-1)!;
    const { raw, note } = await this.replica.object(snapshot.key);
    raw[4096 * 4 + 2000] = 1;
    await this.replica.files.put(snapshot.key, encodeObjectBytes(raw, { note }));
  }

  /** Have the database fail SQLite's check, and the replica with it. */
  async breakOwnRule(): Promise<void> {
    this.application!.exec(`
      CREATE TABLE positive (x CHECK (x > 0)); PRAGMA ignore_check_constraints = on;
      INSERT INTO positive VALUES (-1)`);
    await this.current();
  }

  /** Errors that begin with this. */
  loud(start: string): number {
    return this.logs.records.filter(({ level, message }) => level === "error" && message.startsWith(start))
      .length;
  }

  async keys(index: number): Promise<string[]> {
    const segments = await this.replica.direct.segments(this.generation);
    return segments.filter((segment) => segment.index === index).map(({ key }) => key);
  }
}

for (const damage of ["damaged", "missing"] as const) {
  test(`Repairer stores a ${damage} segment again while the shadow WAL has its bytes`, async () => {
    await using bench = await RepairedBench.begin();
    const { generation } = bench;
    const newest = bench.database.position!.index;
    const keys = [...await bench.keys(newest - 1), ...await bench.keys(newest)];
    assert.ok(keys.length > 2);
    for (const key of keys) {
      const before = await bench.replica.object(key);
      if (damage === "missing") await bench.replica.files.delete([key]);
      else await bench.replica.files.put(key, new Uint8Array(20));
      await bench.failingDrill(/cannot restore|the replica ends at/);
      const after = await bench.replica.object(key);
      assert.deepEqual(after.raw, before.raw, key);
      // Of the index before the last one but one nothing is kept, so that nobody can vouch for its end any more.
      const knows = key.includes(`/${formatIndex(newest)}_`);
      assert.deepEqual(after.note?.previousEnd, knows ? before.note?.previousEnd : undefined, key);
      await bench.drill();
    }
    assert.equal(bench.generation, generation);
    assert.equal(bench.logged("a damaged segment was stored again from the shadow wal"), keys.length);
    assert.equal((await bench.replica.direct.snapshots(generation)).length, 1);
    assert.equal((await verifyReplica(bench.replica.direct)).isProven, true);
    await bench.assertRestores();
  });
}

test("Repairer stores a snapshot, loudly, where the bytes are gone, and keeps older restore points", async () => {
  await using bench = await RepairedBench.begin();
  const { generation } = bench;
  const key = (await bench.keys(1)).at(-1)!;
  await bench.replica.files.put(key, new Uint8Array(20));
  await bench.failingDrill(new RegExp(`cannot restore: ${key}`));
  const snapshots = await bench.replica.direct.snapshots(generation);
  assert.equal(snapshots.length, 2);
  const loud = bench.logs.records.filter(({ message }) =>
    message.startsWith("the replica is damaged: a new snapshot")
  );
  assert.deepEqual(loud.map(({ level, fields }) => [level, fields["key"]]), [["error", key]]);
  await bench.drill();
  assert.equal(bench.generation, generation);
  const outputPath = join(bench.folder, "older.db");
  const clients = [bench.replica.direct];
  await restore({ clients, outputPath, target: { kind: "index", index: 0 } });
  const [report] = (await verifyReplica(bench.replica.direct)).generations;
  assert.deepEqual(report!.damages.map((damage) => damage.key), [key]);
  assert.equal(report!.damages[0]!.cost.isEarlierPossible, true);
  assert.notEqual(report!.damages[0]!.cost.until, undefined);
  await bench.assertRestores();
});

test("Repairer takes one snapshot for a fault that it does not mend", async () => {
  await using bench = await RepairedBench.begin();
  for (let round = 0; round < 3; round++) {
    await bench.spoilNewestSnapshot();
    await bench.failingDrill(/checksum mismatch/);
  }
  assert.equal((await bench.replica.direct.snapshots(bench.generation)).length, 2);
  assert.equal(bench.loud("the replica is damaged"), 1);
});

test("Repairer stores nothing where the database itself is bad, also after another start", async () => {
  await using bench = await RepairedBench.begin();
  await bench.breakOwnRule();
  const before = await bench.replica.direct.snapshots(bench.generation);
  for (let start = 0; start < 2; start++) {
    for (let round = 0; round < 2; round++) await bench.failingDrill(/the database itself is damaged/);
    await bench.stop();
    await bench.run({ duties: bench.duties });
    bench.insert();
    await bench.current();
  }
  assert.deepEqual(await bench.replica.direct.snapshots(bench.generation), before);
  assert.equal(bench.loud(""), 0);
});

test("Repairer has a snapshot stored where the replica is not what a bad database is", async () => {
  await using bench = await RepairedBench.begin();
  await bench.breakOwnRule();
  for (const count of [2, 3]) {
    await bench.spoilNewestSnapshot();
    await bench.failingDrill(/checksum mismatch/);
    assert.equal((await bench.replica.direct.snapshots(bench.generation)).length, count);
    await bench.failingDrill(/the database itself is damaged/);
    const { index } = bench.database.position!;
    await bench.restartWal((now) => now > index);
  }
  assert.equal(bench.loud("the replica is damaged"), 2);
  assert.equal((await bench.replica.direct.snapshots(bench.generation)).length, 3);
});

test("Repairer stores nothing over the snapshot of a database whose file has gone bad since", async () => {
  await using bench = await RepairedBench.begin();
  await bench.loop.snapshot({ signal: NEVER });
  const sound = (await bench.replica.direct.snapshots(bench.generation)).at(-1)!;
  assert.equal(sound.index, bench.database.position!.index);
  const bytes = await bench.replica.files.get(sound.key).then((stored) => readAll(stored, { limit: 1e7 }));
  // By another process: one of ours that closes the file would drop SQLite's locks.
  const place = ["bs=1", "conv=notrunc", `seek=${4096 * 4 + 2000}`];
  spawnSync("cp", ["-p", bench.path, `${bench.path}.time`]);
  spawnSync("dd", [`of=${bench.path}`, ...place], { input: "\u0001" });
  // A disk that fails changes no time.
  spawnSync("touch", ["-r", `${bench.path}.time`, bench.path]);
  for (let round = 0; round < 2; round++) await bench.failingDrill(/checksum mismatch/);
  const kept = await bench.replica.files.get(sound.key).then((stored) => readAll(stored, { limit: 1e7 }));
  assert.deepEqual(kept, bytes);
  assert.equal(bench.loud("the replica and the database differ"), 1);
  bench.insert();
  await bench.restartWal((now) => now > sound.index);
  await bench.current();
  await bench.failingDrill(/checksum mismatch/);
  assert.ok((await bench.replica.direct.snapshots(bench.generation)).at(-1)!.index > sound.index);
  assert.equal(bench.loud("the replica is damaged: a new snapshot"), 1);
});

test("Repairer mends a fault that is like an earlier one, which was mended", async () => {
  await using bench = await RepairedBench.begin();
  const { generation } = bench;
  for (const count of [2, 3]) {
    await bench.spoilNewestSnapshot();
    await bench.failingDrill(/checksum mismatch/);
    assert.equal((await bench.replica.direct.snapshots(generation)).length, count);
    await bench.drill();
    const { index } = bench.database.position!;
    bench.insert();
    await bench.restartWal((now) => now > index);
    await bench.current();
  }
  await bench.assertRestores();
});

test("Repairer has a snapshot stored where there is none any more, or nothing at all", async () => {
  for (const lost of [/snapshots/, /(?:)/]) {
    await using bench = await RepairedBench.begin();
    const { generation } = bench;
    const objects = [
      ...await bench.replica.direct.snapshots(generation),
      ...await bench.replica.direct.segments(generation),
    ];
    await bench.replica.files.delete(objects.map(({ key }) => key).filter((key) => lost.test(key)));
    await bench.failingDrill(/cannot restore: no snapshot is there any more/);
    await bench.current();
    await bench.drill();
    assert.equal(bench.generation, generation);
    assert.equal(bench.loud("the replica has lost its snapshots"), 1);
    await bench.assertRestores();
  }
});

test("Drill tells what it has found also where that can't be mended", async () => {
  await using bench = await RepairedBench.begin();
  const key = (await bench.keys(1)).at(-1)!;
  await bench.replica.files.put(key, new Uint8Array(20));
  bench.store.rules.push({ method: "put", key: /snapshots/, times: Infinity, message: "no right to write" });
  await bench.failingDrill(new RegExp(`cannot restore: ${key}`));
  const [told] = bench.logs.records.filter(({ message }) => message === "cannot mend the replica now");
  assert.match(String(told!.fields["error"]), /no right to write/);
  bench.store.mend();
  await bench.failingDrill(new RegExp(`cannot restore: ${key}`));
  await bench.drill();
});

test("ReplicaLoop stores a snapshot when it finds a hole at its start, and keeps what is there", async () => {
  await using bench = await RepairedBench.begin();
  const { generation } = bench;
  await bench.stop();
  const [key] = await bench.replica.direct.segments(generation)
    .then((segments) => segments.filter(({ index }) => index === 2).map((segment) => segment.key));
  const before = await bench.replica.direct.segments(generation);
  await bench.replica.files.delete(before.filter(({ index }) => index === 2).map((segment) => segment.key));
  for (let round = 0; round < 2; round++) {
    await bench.run();
    bench.insert();
    await bench.current();
    await bench.stop();
  }
  assert.deepEqual(await bench.replica.direct.generations(), [generation]);
  const loud = bench.logs.records.filter(({ message }) => message.startsWith("the replica has a hole"));
  assert.deepEqual(loud.map(({ level, fields }) => [level, fields["key"]]), [["error", key]]);
  assert.equal((await bench.replica.direct.snapshots(generation)).length, 2);
  const outputPath = join(bench.folder, "older.db");
  await restore({ clients: [bench.replica.direct], outputPath, target: { kind: "index", index: 1 } });
  await bench.assertRestores();
});
