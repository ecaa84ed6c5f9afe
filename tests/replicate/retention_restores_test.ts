/**
 * Real restores before and after retention, broken off anywhere: histories of two generations with random times, by
 * notes and by the store, and every state of the replica that the order of deletion can leave.
 */
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import { readAll } from "../../src/bytes.ts";
import { decodeObjectBytes, encodeObjectBytes } from "../../src/codec/object.ts";
import { type AgedGeneration, orderDeletion, planRetention } from "../../src/replicate/retention.ts";
import { boundsOf } from "../../src/restore/choose.ts";
import { listGeneration, type MomentOf } from "../../src/restore/inventory.ts";
import { momentsOf } from "../../src/restore/moments.ts";
import { restore } from "../../src/restore/restore.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { buildReplica, BUILT_FROM, type BuiltReplica, fileHash } from "../builders/replica_builder.ts";
import { type MemoryObject, MemoryStore } from "../doubles/memory_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { recordFigure } from "../figures.ts";

const SEED = Number(process.env["WALBROOK_SEED"] ?? Date.now() % 2 ** 31);

const OLD = "00000000000000aa";
const CURRENT = "00000000000000bb";

type Objects = ReadonlyMap<string, MemoryObject>;

/** The objects of `built` as those of `generation`, each some seconds after the one before. */
async function placed(
  { client, objects }: BuiltReplica,
  { generation, from, gaps, delays }: {
    generation: string;
    from: number;
    gaps: readonly number[];
    delays: readonly number[];
  },
): Promise<{ objects: Map<string, MemoryObject>; until: number }> {
  const found = new Map<string, MemoryObject>();
  let now = from;
  let storedAt = from;
  for (const [nth, { key, offset }] of objects.entries()) {
    // A snapshot has the time of the newest commit in it.
    if (offset !== undefined) now += gaps[nth % gaps.length]!;
    const { note, raw } = decodeObjectBytes(await readAll(await client.store.get(key), { limit: 1e7 }));
    const at = new Date(BUILT_FROM.getTime() + now * 1000);
    const bytes = encodeObjectBytes(raw, { note: { ...note!, generation, newestCommitAt: at } });
    storedAt = Math.max(storedAt, now + delays[nth % delays.length]!);
    const createdAt = new Date(BUILT_FROM.getTime() + storedAt * 1000);
    found.set(key.replace("0123456789abcdef", generation), { bytes, createdAt });
  }
  return { objects: found, until: Math.max(now, storedAt) };
}

const byListing: MomentOf = ({ createdAt }) => Promise.resolve({ at: createdAt, isNoted: false, offset: 0 });

/** What the retainer sees of a generation. */
async function aged(client: ReplicaClient, generation: string): Promise<AgedGeneration> {
  const inventory = await listGeneration(client, generation);
  const momentOf = momentsOf(client);
  const snapshots = await Promise.all(inventory.snapshots.map(async (snapshot) => {
    const { at } = await momentOf(snapshot);
    return { index: snapshot.index, at: at > snapshot.createdAt ? at : snapshot.createdAt };
  }));
  return {
    generation,
    snapshots,
    bounds: [await boundsOf(inventory, momentOf), await boundsOf(inventory, byListing)],
  };
}

/** Every state of `objects` that a crash can leave, the last one that of a whole deletion. */
async function crashes(objects: Objects, at: { now: Date; retentionMs: number }): Promise<Objects[]> {
  const client = new ReplicaClient(new MemoryStore(new Map(objects)));
  const generations = [await aged(client, OLD), await aged(client, CURRENT)];
  const { deletions } = planRetention({ generations, current: CURRENT, ...at });
  const states: Objects[] = [];
  let left = new Map(objects);
  for (const deletion of deletions) {
    const order = orderDeletion(deletion, await listGeneration(client, deletion.generation));
    // Those of segments go in any order: from the middle to both ends stands for it.
    const segments = order.segments.map((segment, nth) => ({
      ...segment,
      by: Math.abs(nth - order.segments.length / 2),
    })).sort((left, right) => left.by - right.by);
    for (const { key } of [...order.snapshots, ...segments]) {
      left = new Map(left);
      left.delete(key);
      states.push(left);
    }
  }
  return states;
}

test("planRetention() and orderDeletion() leave each promised moment restorable to the same bytes, at any crash", async () => {
  using folder = temporaryFolder();
  const made = { segmentsPerIndex: 2, pageSize: 512, withStates: false };
  const build = (name: string, seed: number) => {
    mkdirSync(join(folder.path, name));
    const snapshots = { snapshotIndexes: [1, 2, 3], snapshotAfter: 1 };
    return buildReplica({ folder: join(folder.path, name), ...made, ...snapshots, seed });
  };
  const [old, current] = [await build("old", 1), await build("current", 2)];
  const outputPath = join(folder.path, "restored.db");
  const restored = async (objects: Objects, at: Date) => {
    const clients = [new ReplicaClient(new MemoryStore(new Map(objects)))];
    try {
      await restore({ clients, outputPath, target: { kind: "moment", at } });
      return fileHash(outputPath);
    } catch {
      return undefined;
    } finally {
      rmSync(outputPath, { force: true });
    }
  };
  const tally = { compared: 0, states: 0, restorable: 0 };
  const few = (max: number) => fc.array(fc.nat(max), { minLength: 12, maxLength: 12 });
  const history = fc.record({ gaps: few(6), delays: few(3) });
  await fc.assert(
    fc.asyncProperty(
      fc.record({ old: history, current: history, pause: fc.integer({ min: 1, max: 10 }) }),
      fc.record({ retention: fc.integer({ min: 1, max: 80 }), idle: fc.nat(40), picks: few(1000) }),
      async (histories, { retention, idle, picks }) => {
        const first = await placed(old, { generation: OLD, from: 0, ...histories.old });
        const from = first.until + histories.pause;
        const second = await placed(current, { generation: CURRENT, from, ...histories.current });
        const objects = new Map([...first.objects, ...second.objects]);
        const now = new Date(BUILT_FROM.getTime() + (second.until + idle) * 1000);
        const states = await crashes(objects, { now, retentionMs: retention * 1000 });
        tally.states += states.length;
        if (states.length === 0) return;
        for (const [nth, pick] of picks.slice(0, 4).entries()) {
          // The oldest promise, and some others.
          const back = nth === 0 ? retention : pick % (retention + 1);
          const at = new Date(now.getTime() - back * 1000);
          const before = await restored(objects, at);
          if (before !== undefined) tally.restorable++;
          for (const state of [states.at(-1)!, states[picks[4 + nth]! % states.length]!]) {
            tally.compared++;
            assert.equal(await restored(state, at), before, `${at.toISOString()}, ${back} s ago`);
          }
        }
      },
    ),
    { seed: SEED, numRuns: 60 },
  );
  recordFigure(
    "restores after retention that was broken off",
    `seed ${SEED}, ${tally.compared} compared over ${tally.states} states, 0 differ`,
  );
  assert.ok(tally.compared > 100 && tally.states > 100 && tally.restorable > 50, JSON.stringify(tally));
});
