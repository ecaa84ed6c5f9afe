/**
 * The power goes at any moment: what was not synced is gone, torn or there, and nothing that a replica had is lost.
 *
 * Only what goes through `Files` is cut so: the meta directory and a replica in a folder. SQLite's own writes are
 * taken as they are at that moment; but of the WAL the frames that no checkpoint has synced are missing in every
 * second case, as after `synchronous = NORMAL`. WALBROOK_POWER_CUT_SEED repeats a run's choices; what
 * happens between two calls is up to the event loop, so the moments are not the same to the call.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { randomFrom } from "../../bench/random.ts";
import { comparePositions, frameSize, type Position, WAL_HEADER_SIZE } from "../../src/position.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { parseWalIndex } from "../../src/wal/wal_index.ts";
import { type Dice, PowerCutDisk, type Remains } from "../doubles/power_cut_disk.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { recordFigure } from "../figures.ts";
import { isFullRun } from "../full_run.ts";
import {
  assertRestoresLive,
  clientOf,
  copyDatabase,
  damagesOf,
  DATABASE_NAME,
  NumberedRows,
  restoredCommit,
  RowsFollower,
} from "./numbered_rows.ts";

const CUT_COUNT = isFullRun() ? 600 : 60;

/** Cut of a scenario of so many commits; some 25 events that change what may be left come with each. */
const COMMITS_PER_RUN = 60;
const EVENTS_PER_RUN = 1500;
const CUTS_PER_RUN = 20;

/** What was true when the power went. */
interface Cut {
  readonly folder: string;
  readonly remains: Remains;
  /** The newest commit of the application. */
  readonly committed: number;
  /** The newest commit that the replica had said to have. */
  readonly acknowledged: number;
  readonly generation: string | undefined;
}

function diceOf(seed: number): Dice {
  const random = randomFrom(seed);
  return { below: (limit) => Math.floor(random() * limit) };
}

/** A run with commits, checkpoints, restarts of walbrook, snapshots and retention; the power goes `CUTS_PER_RUN` times. */
async function runAndCut(folder: string, { seed, dice }: { seed: number; dice: Dice }): Promise<Cut[]> {
  const disk = new PowerCutDisk(systemFiles, folder);
  const cuts: Cut[] = [];
  const commits: (Position & { readonly number: number })[] = [];
  let follower = new RowsFollower(folder, { files: disk.files });
  let committed = 0;
  disk.onEvent = () => {
    if (dice.below(EVENTS_PER_RUN) >= CUTS_PER_RUN) return;
    const { loop } = follower;
    const { position } = loop;
    const stored = position === undefined || !loop.isRestorable
      ? []
      : commits.filter((commit) =>
        commit.generation === position.generation && comparePositions(commit, position) <= 0
      );
    const target = join(`${folder}-cuts`, `${seed}-${cuts.length}`);
    mkdirSync(target, { recursive: true });
    copyDatabase(folder, target);
    const remains = (["some", "some", "nothing", "all"] as const)[dice.below(4)]!;
    disk.remainsIn(target, { remains, dice });
    cuts.push({
      folder: target,
      remains,
      committed,
      acknowledged: stored.at(-1)?.number ?? 0,
      generation: position?.generation,
    });
  };
  using rows = new NumberedRows(folder);
  for (let at = 0; at < 3; at++) committed = rows.commit();
  await follower.replicator.start();
  for (let at = 0; at < COMMITS_PER_RUN; at++) {
    committed = rows.commit();
    if (dice.below(3) > 0) {
      await follower.database.settle();
      const { position } = follower.database;
      if (position !== undefined) commits.push({ ...position, number: committed });
    }
    if (dice.below(4) === 0) rows.connection.exec("PRAGMA wal_checkpoint(PASSIVE)");
    if (dice.below(4) === 0) await follower.current();
    if (dice.below(30) === 0) {
      await follower.finish();
      follower = new RowsFollower(folder, { files: disk.files });
      await follower.replicator.start();
    }
  }
  await follower.current();
  await follower.finish();
  disk.onEvent = undefined;
  return cuts;
}

/** Frames that no checkpoint has brought into the main file may be gone; SQLite makes its wal-index again. */
function loseFrames(folder: string, dice: Dice): void {
  const path = join(folder, DATABASE_NAME);
  const index = parseWalIndex(readFileSync(`${path}-shm`));
  rmSync(`${path}-shm`);
  if (index === undefined || index.mxFrame === 0 || dice.below(2) === 0) return;
  const kept = index.backfilledCount + dice.below(index.mxFrame - index.backfilledCount + 1);
  truncateSync(`${path}-wal`, WAL_HEADER_SIZE + kept * frameSize(index.pageSize));
}

/** Restore what is left, begin again, and restore that. Gives whether the generation goes on. */
async function judge({ folder, committed, acknowledged, generation }: Cut, dice: Dice): Promise<boolean> {
  if (acknowledged > 0) {
    const restored = await restoredCommit(folder, generation === undefined ? {} : { generation });
    assert.ok(restored >= acknowledged, `${acknowledged} was acknowledged, ${restored} is restored`);
    assert.ok(restored <= committed, `${restored} is restored, ${committed} was committed`);
  }
  loseFrames(folder, dice);
  const follower = new RowsFollower(folder);
  {
    using rows = new NumberedRows(folder);
    const found = rows.commit(1) - 1;
    assert.ok(found <= committed);
    await follower.replicator.start();
    for (let at = 0; at < 3; at++) rows.commit(1);
    await follower.current();
    for (let at = 0; at < 3; at++) rows.commit(1);
    await follower.finish();
    assert.equal(await restoredCommit(folder), found + 7);
  }
  await assertRestoresLive(folder);
  // What was there before can still be restored as well, unless its time has come.
  const client = clientOf(folder);
  if (acknowledged > 0 && generation !== undefined && (await client.generations()).includes(generation)) {
    const restored = await restoredCommit(folder, { generation });
    assert.ok(restored >= acknowledged, `${acknowledged} was acknowledged, now ${restored} is restored`);
  }
  assert.deepEqual(await damagesOf(folder), []);
  const newest = follower.logs.records.filter(({ message }) => message === "sync: new generation");
  return newest.length === 0;
}

test("a power cut at any moment loses nothing that a replica had, and the replica goes on", async () => {
  const seed = Number(process.env["WALBROOK_POWER_CUT_SEED"] ?? Date.now() % 1_000_000);
  console.log(`WALBROOK_POWER_CUT_SEED=${seed}`);
  using ground = temporaryFolder();
  const cuts: Cut[] = [];
  const counts = { acknowledged: 0, goesOn: 0, nothing: 0, some: 0, all: 0 };
  for (let run = 0; cuts.length < CUT_COUNT; run++) {
    assert.ok(run < CUT_COUNT, "the power never goes");
    const folder = join(ground.path, `run-${run}`);
    mkdirSync(folder);
    const dice = diceOf(seed * 1009 + run);
    for (const cut of await runAndCut(folder, { seed: run, dice })) {
      cuts.push(cut);
      const kept = `${cut.folder}-kept`;
      cpSync(cut.folder, kept, { recursive: true });
      try {
        if (await judge(cut, dice)) counts.goesOn++;
      } catch (error) {
        const where = `${cut.folder}: ${JSON.stringify(cut)}`;
        throw new Error(`WALBROOK_POWER_CUT_SEED=${seed}, run ${run}, ${where}`, { cause: error });
      }
      counts[cut.remains]++;
      if (cut.acknowledged > 0) counts.acknowledged++;
      for (const path of [kept, cut.folder]) rmSync(path, { recursive: true });
    }
    rmSync(folder, { recursive: true });
  }
  assert.ok(counts.acknowledged > cuts.length / 3, JSON.stringify(counts));
  assert.ok(counts.goesOn > 0 && counts.goesOn < cuts.length, JSON.stringify(counts));
  recordFigure(
    "power cuts",
    `${cuts.length}: ${counts.acknowledged} with something acknowledged, ${counts.goesOn} generations went on, 0 lost`,
  );
});
