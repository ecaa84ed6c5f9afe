/** Two snapshots of one replica at the same time, both staged on the local disk. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { Semaphore } from "../../src/async.ts";
import { until } from "../doubles/until.ts";
import { Bench } from "./bench_of_one.ts";

test("takeSnapshot() stores what it has staged, not what another snapshot of the replica has staged since", async () => {
  await using bench = new Bench();
  bench.insert();
  await bench.run({
    stagePath: bench.folder,
    snapshots: new Semaphore(2),
    duties: { retention: { retentionMs: 0 } },
  });
  await bench.current();
  const { generation, loop } = bench;
  const staged = () => readdirSync(bench.folder).filter((name) => /^snapshot-.*\.tmp$/.test(name)).length;
  // The WAL that both need can't be uploaded yet, so each waits with what it has staged.
  const gate = Promise.withResolvers<void>();
  bench.store.rules = [{ method: "put", key: /\/wal\//, gate: gate.promise, times: Infinity }];
  const { signal } = new AbortController();
  bench.insert("of the first");
  const first = loop.snapshot({ signal });
  await until(() => staged() === 1, "the first to be staged");
  const { index } = bench.database.position!;
  for (let tries = 0; bench.database.position!.index === index; tries++) {
    assert.ok(tries < 100, "the WAL never restarted");
    bench.application!.exec("PRAGMA wal_checkpoint(PASSIVE)");
    await bench.database.settle();
    bench.insert("of the second");
    await bench.database.settle();
  }
  const second = loop.snapshot({ signal });
  try {
    await until(() => staged() === 2, "the second to be staged", { limitMs: 5000 });
  } finally {
    bench.store.mend();
    gate.resolve();
  }
  assert.equal((await first)?.position.index, index);
  assert.equal((await second)?.position.index, index + 1);
  for (const snapshot of await bench.replica.snapshots(generation)) {
    assert.equal(snapshot.note?.index, snapshot.index, "another snapshot was stored under its name");
  }
  await bench.assertRestores();
});
