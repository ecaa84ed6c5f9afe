/**
 * Every place in the program that calls the file system while it replicates finds it failing: with each error that
 * such a call can give, once or a few times in a row. Afterwards the replica has to be the database. All of them in a
 * full run, some in a short one. WALBROOK_EACH_CALL_SEED repeats the choices.
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { randomFrom } from "../../bench/random.ts";
import { describeError } from "../../src/errors.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { systemError } from "../doubles/failing_files.ts";
import { type FileCall, type FileCallKind, type FileHook, hookFiles } from "../doubles/hooked_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { recordFigure } from "../figures.ts";
import { isFullRun } from "../full_run.ts";
import {
  assertRestoresLive,
  damagesOf,
  DATABASE_NAME,
  NumberedRows,
  RowsFollower,
  TEMPORARY_NAME,
} from "./numbered_rows.ts";

/** What a call of a kind can fail with; EIO where nothing is said. */
const CODES: Partial<Readonly<Record<FileCallKind, readonly string[]>>> = {
  "open": ["EMFILE", "ENOSPC", "EIO"],
  "write": ["ENOSPC", "EIO"],
  "truncate": ["EIO"],
  "sync": ["ENOSPC", "EIO"],
  "make-folder": ["ENOSPC", "EIO"],
  "rename": ["ENOSPC", "EIO"],
  "list": ["EMFILE", "EIO"],
  "sync-folder": ["EMFILE", "EIO"],
};

/** A close never fails, see `OpenFile`; refused owners are passed over by design. */
const NEVER_FAIL = /^(close|change-owner) /;

/** Failures of a short run, drawn anew each time; a run of all takes minutes. */
const SHORT_RUN_COUNT = 30;

function draw<T>(all: readonly T[], { count, random }: { count: number; random: () => number }): T[] {
  return all.map((one) => ({ one, order: random() })).sort((left, right) => left.order - right.order)
    .slice(0, count).map(({ one }) => one);
}

function codesOf(kind: FileCallKind): readonly string[] {
  return CODES[kind] ?? ["EIO"];
}

/** Our own frames above the place in src/, and that one: each more costs as much time as the call itself. */
const FRAME_COUNT = 4;

/** Which place in src/ makes the call. */
function siteOf({ kind, path }: FileCall): string {
  const usual = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAME_COUNT;
  const lines = (new Error().stack ?? "").split("\n");
  Error.stackTraceLimit = usual;
  const place = lines.map((line) => /\bsrc\/[\w/]+\.ts:\d+/.exec(line)?.[0])
    .find((found) => found !== undefined);
  const name = path.replace(/^.*?\/(?=\.app|app|replica)/, "").replace(/[0-9a-f]{8,}(-[0-9a-f]{4,})*/g, "…");
  return `${kind} ${name} at ${place ?? "a place that the stack doesn't show"}`;
}

/** Fail the `nth` call of a site, `times` times. */
interface Failure {
  readonly site: string;
  readonly code: string;
  readonly nth: number;
  readonly times: number;
  /** The call was carried out, and fails all the same. */
  readonly isDone: boolean;
}

/** Counts the calls of each site, and lets those of `failure` fail. */
function hook(counts: Map<string, number>, failure?: Failure): FileHook {
  return (call, act) => {
    const site = siteOf(call);
    const count = (counts.get(site) ?? 0) + 1;
    counts.set(site, count);
    if (failure === undefined || site !== failure.site) return act();
    if (count < failure.nth || count >= failure.nth + failure.times) return act();
    if (failure.isDone) {
      const result = act();
      if (result instanceof Promise) {
        return result.then(() => {
          throw systemError(failure.code, call);
        }) as typeof result;
      }
    }
    throw systemError(failure.code, call);
  };
}

/** Start; what can't be waited for is told in one line, and started again as by a supervisor. */
async function startUntilLive(make: () => RowsFollower): Promise<RowsFollower> {
  for (let tries = 0;; tries++) {
    const follower = make();
    try {
      await follower.replicator.start();
      await until(
        () => follower.database.state.kind === "live",
        () => `the database to be live: ${JSON.stringify(follower.database.state)}`,
      );
      return follower;
    } catch (error) {
      await follower.finish().catch(() => {});
      const text = describeError(error);
      assert.match(text, /^[^\n]{10,600}$/, "one line");
      assert.ok(tries < 10, `it doesn't start: ${text}`);
    }
  }
}

/** Tries of a drill: a call fails four times at most, and one that fails as the folder is removed is a failure too. */
const DRILL_TRIES = 6;

/** Restore what the replica has, as `replicate` does by itself, until that passes. */
async function drillUntilPassed({ replicator, logs }: RowsFollower): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      const proof = await replicator.duties[0]!.drill.drill(AbortSignal.timeout(20_000));
      assert.equal(proof?.outcome, "ok");
      break;
    } catch (error) {
      if (tries === DRILL_TRIES) throw error;
    }
  }
  // What can't be read just now is no damage, and nothing is stored again for it.
  const repairs = logs.records.filter(({ message }) =>
    /^(the replica is damaged|a damaged segment)/.test(message)
  );
  assert.deepEqual(repairs, []);
}

/** Commits, checkpoints, a snapshot, a start with what was left, another index, a drill. */
async function play(folder: string, hooked: FileHook): Promise<void> {
  mkdirSync(join(folder, TEMPORARY_NAME));
  const files = hookFiles(systemFiles, hooked);
  const make = () => new RowsFollower(folder, { files, isEager: false });
  using rows = new NumberedRows(folder);
  for (let at = 0; at < 3; at++) rows.commit();
  let follower = await startUntilLive(make);
  for (let part = 0; part < 2; part++) {
    await follower.current();
    for (let at = 0; at < 6; at++) {
      rows.commit();
      rows.connection.exec("PRAGMA wal_checkpoint(PASSIVE)");
      await follower.database.settle();
    }
    await follower.current();
    await follower.loop.snapshot({ signal: AbortSignal.timeout(5000) }).catch(() => {});
    // The error of the last moment: a supervisor starts it again.
    await follower.finish().catch(() => {});
    rows.commit();
    follower = await startUntilLive(make);
  }
  await follower.current();
  await follower.replicator.duties[0]!.retainer.check(AbortSignal.timeout(5000)).catch(() => {});
  rows.commit();
  await follower.finish().catch(() => {});
  follower = await startUntilLive(make);
  await follower.current();
  await drillUntilPassed(follower);
  await follower.finish();
}

async function check(folder: string): Promise<void> {
  await assertRestoresLive(folder);
  assert.deepEqual(await damagesOf(folder), []);
  const meta = readdirSync(join(folder, `.${DATABASE_NAME}-litestream`), {
    recursive: true,
    encoding: "utf8",
  });
  const names = meta.filter((name) => name.endsWith(".tmp"));
  assert.deepEqual(names, [], "left in the meta directory");
  assert.deepEqual(readdirSync(join(folder, TEMPORARY_NAME)), [], "left by drills");
}

test("a failing call of the file system loses nothing, whichever it is", async () => {
  const seed = Number(process.env["WALBROOK_EACH_CALL_SEED"] ?? Date.now() % 1_000_000);
  console.log(`WALBROOK_EACH_CALL_SEED=${seed}`);
  const random = randomFrom(seed);
  using ground = temporaryFolder();
  const counts = new Map<string, number>();
  const playIn = async (name: string, hooked: FileHook) => {
    const folder = join(ground.path, name);
    mkdirSync(folder);
    await play(folder, hooked);
    await check(folder);
    rmSync(folder, { recursive: true });
  };
  await playIn("whole", hook(counts));
  const sites = [...counts].filter(([site]) => !NEVER_FAIL.test(site));
  assert.ok(sites.length > 30, `${sites.length} places`);
  const failures: Failure[] = sites.flatMap(([site, count]) =>
    codesOf(site.split(" ")[0] as FileCallKind).map((code) => ({
      site,
      code,
      nth: random() < 0.5 ? 1 : 1 + Math.floor(random() * count),
      times: random() < 0.3 ? 4 : 1,
      isDone: random() < 0.2,
    }))
  );
  const drawn = isFullRun() ? failures : draw(failures, { count: SHORT_RUN_COUNT, random });
  let failedCount = 0;
  for (const [nth, failure] of drawn.entries()) {
    const seen = new Map<string, number>();
    try {
      await playIn(`failure-${nth}`, hook(seen, failure));
    } catch (error) {
      throw new Error(`WALBROOK_EACH_CALL_SEED=${seed}: ${JSON.stringify(failure)}`, { cause: error });
    }
    if ((seen.get(failure.site) ?? 0) >= failure.nth) failedCount++;
  }
  // What the timers do isn't the same each time.
  assert.ok(failedCount > drawn.length * 0.7, `${failedCount} of ${drawn.length} failures came about`);
  recordFigure(
    "file calls made to fail",
    `${sites.length} places, ${failedCount} of ${failures.length} kinds of failure, 0 lost`,
  );
});
