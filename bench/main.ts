/**
 * Side by side with Litestream 0.3.13: `deno task bench [--quick] [--as deno|bun|PATH] [JOB…]`.
 *
 * Jobs: snapshot, restore, segments, lag, idle. `--quick` takes a smaller database and fewer pairs. Both restores of
 * a replica are compared byte for byte before its numbers are printed. walbrook syncs each object to the disk,
 * Litestream syncs files but not folders.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { FileStore } from "../src/storage/file_store.ts";
import { sameFiles } from "./files.ts";
import { measureIdle } from "./idle.ts";
import { measureLag } from "./lag.ts";
import { comparePairs } from "./pairs.ts";
import { litestream, measure, type Measured, type Program, walbrook } from "./process.ts";
import { makeSegments } from "./segments.ts";
import { makeTextDatabase } from "./text_database.ts";

interface Setup {
  readonly folder: string;
  readonly ours: Program;
  readonly pairs: number;
  readonly bytes: number;
  readonly isQuick: boolean;
}

function parseSetup(args: readonly string[]): { setup: Omit<Setup, "folder">; jobs: string[] } {
  const jobs: string[] = [];
  let isQuick = false;
  let as = "deno";
  for (let at = 0; at < args.length; at++) {
    if (args[at] === "--quick") isQuick = true;
    else if (args[at] === "--as") as = args[++at] ?? "deno";
    else if (args[at]! in JOBS) jobs.push(args[at]!);
    else throw new Error(`${args[at]}: no such job, there are ${Object.keys(JOBS).join(", ")}`);
  }
  const setup = { ours: walbrook(as), pairs: isQuick ? 2 : 5, bytes: isQuick ? 128e6 : 1e9, isQuick };
  return { setup, jobs: jobs.length > 0 ? jobs : Object.keys(JOBS) };
}

/** The database of the snapshot and restore jobs, made once. */
function bigDatabase({ folder, bytes }: Setup): string {
  const path = join(folder, "big.db");
  if (!readdirSync(folder).includes("big.db")) makeTextDatabase(path, { bytes, journalMode: "wal" });
  return path;
}

async function takeSnapshot(setup: Setup, program: Program, replica: string): Promise<Measured> {
  const path = bigDatabase(setup);
  rmSync(join(setup.folder, ".big.db-litestream"), { recursive: true, force: true });
  rmSync(replica, { recursive: true, force: true });
  return await measure(program, ["replicate", path, `file://${replica}`], {
    until: `${replica}/generations/*/snapshots/*.snapshot.lz4`,
  });
}

async function restoreOnce(folder: string, program: Program, replica: string): Promise<Measured> {
  const output = join(folder, `restored-${program === litestream ? "theirs" : "ours"}.db`);
  rmSync(output, { force: true });
  return await measure(program, ["restore", "-o", output, `file://${replica}`]);
}

/** Both restore the replica; a difference is an error, and no number is printed. */
async function proveRestores(setup: Setup, replica: string): Promise<void> {
  for (const program of [setup.ours, litestream]) await restoreOnce(setup.folder, program, replica);
  const paths = ["ours", "theirs"].map((name) => join(setup.folder, `restored-${name}.db`));
  if (!sameFiles(paths[0]!, paths[1]!)) throw new Error(`the two restores of ${replica} differ`);
}

const JOBS: Readonly<Record<string, (setup: Setup) => Promise<void>>> = {
  async snapshot(setup) {
    const replica = join(setup.folder, "replica");
    for (const program of [setup.ours, litestream]) {
      await takeSnapshot(setup, program, replica);
      await proveRestores(setup, replica);
    }
    await comparePairs({
      name: `snapshot of ${setup.bytes / 1e6} MB to a folder`,
      ours: setup.ours,
      theirs: litestream,
      run: (program) => takeSnapshot(setup, program, replica),
    }, setup.pairs);
  },
  async restore(setup) {
    const replica = join(setup.folder, "replica");
    await takeSnapshot(setup, setup.ours, replica);
    await proveRestores(setup, replica);
    await comparePairs({
      name: `restore of ${setup.bytes / 1e6} MB from a folder`,
      ours: setup.ours,
      theirs: litestream,
      run: (program) => restoreOnce(setup.folder, program, replica),
    }, setup.pairs);
  },
  async segments(setup) {
    const replica = join(setup.folder, "segments");
    mkdirSync(replica, { recursive: true });
    await using store = new FileStore({ root: replica });
    await makeSegments(join(setup.folder, "small.db"), store, { segmentCount: 2500, indexCount: 8 });
    await proveRestores(setup, replica);
    await comparePairs({
      name: "restore of 2500 segments over 8 indexes from a folder",
      ours: setup.ours,
      theirs: litestream,
      run: (program) => restoreOnce(setup.folder, program, replica),
    }, setup.pairs);
  },
  async lag(setup) {
    for (const program of [setup.ours, litestream]) {
      await measureLag(program, { folder: setup.folder, sampleCount: setup.isQuick ? 10 : 40 });
    }
  },
  async idle(setup) {
    for (const program of [setup.ours, litestream]) {
      await measureIdle(program, { folder: setup.folder, seconds: setup.isQuick ? 10 : 60 });
    }
  },
};

const { setup, jobs } = parseSetup(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), "walbrook-bench-"));
try {
  for (const job of jobs) await JOBS[job]!({ ...setup, folder });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
