/**
 * Speed with an S3 server side by side with Litestream 0.3.13:
 * `deno run -A bench/s3_speed.ts [--quick] [--as deno|bun|PATH] [JOB…]`.
 *
 * Jobs: snapshot, restore, capped, segments, lag, outage. The server is MinIO on this machine; both tools reach it
 * through a toxiproxy, which adds latency and bounds connections. Restores are compared byte for byte first.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { sameFiles } from "./files.ts";
import { comparePairs } from "./pairs.ts";
import { litestream, measure, type Measured, type Program, walbrook } from "./process.ts";
import { type Line, S3Ground } from "./s3_ground.ts";
import { measureS3Lag } from "./s3_lag.ts";
import { measureOutage } from "./s3_outage.ts";
import { makeSegments } from "./segments.ts";
import { makeTextDatabase } from "./text_database.ts";

interface Setup {
  readonly ground: S3Ground;
  readonly ours: Program;
  readonly pairs: number;
  readonly isQuick: boolean;
}

const MB = 1e6;
const DATABASE_BYTES = 256 * MB;
const SEGMENTS = { segmentCount: 2500, indexCount: 8 };

let snapshotCount = 0;

async function takeSnapshot({ ground }: Setup, program: Program): Promise<Measured & { replica: string }> {
  const path = join(ground.folder, "big.db");
  if (!readdirSync(ground.folder).includes("big.db")) {
    makeTextDatabase(path, { bytes: DATABASE_BYTES, journalMode: "wal" });
  }
  rmSync(join(ground.folder, ".big.db-litestream"), { recursive: true, force: true });
  const replica = `snapshot/${++snapshotCount}`;
  const config = ground.configure({ databasePath: path, replica });
  const measured = await measure(program, ["replicate", "-config", config], {
    until: `${ground.objectsPath(replica)}/generations/*/snapshots/*.snapshot.lz4/xl.meta`,
  });
  return { ...measured, replica };
}

async function restoreOnce({ ground }: Setup, program: Program, replica: string): Promise<Measured> {
  const output = join(ground.folder, `restored-${program === litestream ? "theirs" : "ours"}.db`);
  rmSync(output, { force: true });
  const databasePath = join(ground.folder, "big.db");
  const config = ground.configure({ databasePath, replica });
  return await measure(program, ["restore", "-config", config, "-o", output, databasePath]);
}

async function compareRestores(
  setup: Setup,
  { replica, name, line }: { replica: string; name: string; line: Line },
): Promise<void> {
  await setup.ground.setLine(line);
  for (const program of [setup.ours, litestream]) await restoreOnce(setup, program, replica);
  const paths = ["ours", "theirs"].map((which) => join(setup.ground.folder, `restored-${which}.db`));
  if (!sameFiles(paths[0]!, paths[1]!)) throw new Error(`the two restores of ${replica} differ`);
  await comparePairs({
    name,
    ours: setup.ours,
    theirs: litestream,
    run: (program) => restoreOnce(setup, program, replica),
  }, setup.pairs);
  await setup.ground.setLine({});
}

const JOBS: Readonly<Record<string, (setup: Setup) => Promise<void>>> = {
  async snapshot(setup) {
    await comparePairs({
      name: "snapshot of 256 MB to S3",
      ours: setup.ours,
      theirs: litestream,
      run: (program) => takeSnapshot(setup, program),
    }, setup.pairs);
  },
  async restore(setup) {
    const { replica } = await takeSnapshot(setup, setup.ours);
    await compareRestores(setup, { replica, name: "restore of 256 MB from S3", line: {} });
  },
  async capped(setup) {
    const { replica } = await takeSnapshot(setup, setup.ours);
    const line = { bytesPerSecond: 90 * MB };
    await compareRestores(setup, { replica, name: "the same, 90 MB/s for each connection", line });
  },
  async segments(setup) {
    const { ground } = setup;
    const replica = "segments";
    await using store = ground.openStore(replica);
    await makeSegments(join(ground.folder, "small.db"), store, SEGMENTS);
    for (const latencyMs of [0, 10, 30]) {
      const name = `restore of 2500 segments over 8 indexes from S3, ${latencyMs} ms`;
      await compareRestores(setup, { replica, name, line: { latencyMs } });
    }
  },
  async lag({ ground, ours, isQuick }) {
    for (const latencyMs of [0, 30]) {
      for (const program of [ours, litestream]) {
        await measureS3Lag(program, { ground, latencyMs, sampleCount: isQuick ? 10 : 40 });
      }
    }
  },
  async outage({ ground, ours, isQuick }) {
    for (const program of [ours, litestream]) {
      await measureOutage(program, { ground, outageSeconds: isQuick ? 20 : 90 });
    }
  },
};

const { as, isQuick, jobs } = parseArguments(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), "walbrook-s3-"));
try {
  await using ground = await S3Ground.open(folder);
  const setup = { ground, ours: walbrook(as), pairs: isQuick ? 2 : 5, isQuick };
  for (const job of jobs) await JOBS[job]!(setup);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function parseArguments(args: readonly string[]): { as: string; isQuick: boolean; jobs: readonly string[] } {
  const jobs: string[] = [];
  let [as, isQuick] = ["deno", false];
  for (let at = 0; at < args.length; at++) {
    if (args[at] === "--quick") isQuick = true;
    else if (args[at] === "--as") as = args[++at] ?? "deno";
    else if (args[at]! in JOBS) jobs.push(args[at]!);
    else throw new Error(`${args[at]}: no such job, there are ${Object.keys(JOBS).join(", ")}`);
  }
  return { as, isQuick, jobs: jobs.length > 0 ? jobs : Object.keys(JOBS) };
}
