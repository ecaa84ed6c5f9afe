/** The follower and its checkpoints where a read is torn, a file fails, or history was changed behind SQLite's back. */
import assert from "node:assert/strict";
import {
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { test } from "node:test";
import { type BareFollower, bareFollower, lookAt, tornFiles } from "./bare_follower.ts";
import { Stage } from "./stage.ts";
import { behindBarrier, checkpointPolitely, Writers } from "../../src/database/checkpoint.ts";
import { CheckpointSchedule } from "../../src/database/checkpoint_schedule.ts";
import { CHECKPOINT_DEFAULTS } from "../../src/database/decide.ts";
import { ContinuityLostError } from "../../src/database/continuity.ts";
import { ForeignWriterError } from "../../src/database/follower.ts";
import { BusyError } from "../../src/errors.ts";
import { MAX_INDEX } from "../../src/position.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles, type FailRule } from "../doubles/failing_files.ts";
import { type FileCall, hookFiles } from "../doubles/hooked_files.ts";
import { hookStatements } from "../doubles/hooked_statements.ts";
import { recordLogs } from "../doubles/recording_logger.ts";

/** Looks at a wal-index that stays inconsistent. */
const LOOK_COUNT = 200;

test("Follower repairs a wal-index that a killed writer left half-published when it begins, and goes on", async () => {
  await using stage = new Stage();
  stage.insert();
  const { torn, files } = tornFiles();
  // The two looks of the first move are whole, the one behind them isn't.
  torn.isTorn = (nth) => nth >= 2 && nth < 2 + LOOK_COUNT;
  const repairs: string[] = [];
  using _ = hookStatements((sql) => void repairs.push(sql));
  using bare = bareFollower(stage, files);
  assert.equal(repairs.filter((sql) => sql === "BEGIN").length, 3, "the first reader, the move, the repair");
  await bare.follower.startGeneration();
  assert.equal(bare.follower.shadow.frameCount, lookAt(stage.path).mxFrame);
});

test("Readers.move() keeps the old reader when the wal-index is not consistent behind the new one", async () => {
  await using stage = new Stage();
  stage.insert();
  stage.application.exec("PRAGMA busy_timeout = 0");
  const { torn, files } = tornFiles();
  using bare = bareFollower(stage, files);
  const { follower } = bare;
  await follower.startGeneration();
  const before = follower.readers.standing;
  torn.count = 0;
  torn.isTorn = (nth) => nth >= 1;
  assert.throws(() => follower.readers.move(), BusyError);
  torn.isTorn = () => false;
  assert.equal(follower.readers.standing, before);
  assert.equal(
    stage.application.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get()!["busy"],
    1,
    "a reader stands",
  );
  follower.readers.move();
  assert.notEqual(follower.readers.standing, before);
});

test("Follower that can't begin to read leaves nothing open", async () => {
  await using stage = new Stage();
  stage.insert();
  const open = () => readdirSync("/proc/self/fd").length;
  bareFollower(stage)[Symbol.dispose]();
  const before = open();
  {
    using _ = hookStatements((sql) => {
      if (sql === "PRAGMA user_version") throw new Error("database is locked");
    });
    assert.throws(() => bareFollower(stage), /database is locked/);
  }
  assert.equal(open(), before);
});

test("Follower.shadow says that there is no generation before one has begun", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  assert.throws(() => bare.follower.shadow, /no generation available/);
});

/** A follower whose generation begins, ends and is taken up again by another one on `files`. */
async function again(
  stage: Stage,
  files = systemFiles,
  between = (_: BareFollower) => {},
): Promise<BareFollower> {
  {
    using bare = bareFollower(stage);
    await bare.follower.startGeneration();
    between(bare);
  }
  return bareFollower(stage, files);
}

test("Follower.goOn() begins anew when what was committed since does not continue the shadow WAL", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = await again(stage);
  const { mxFrame } = lookAt(stage.path);
  stage.insert();
  const wal = openSync(`${stage.path}-wal`, "r+");
  writeSync(wal, new Uint8Array(50).fill(7), 0, 50, 32 + mxFrame * (24 + 4096) + 1000);
  assert.equal(await bare.follower.goOn(), "wal overwritten by another process");
});

test("Follower.goOn() tells what has nothing to do with the generation: a full disk, a folder that can't be read", async () => {
  const cases: [FailRule, RegExp][] = [
    [{ kind: "write", code: "ENOSPC", path: /\.wal$/ }, /ENOSPC/],
    [{ kind: "list", code: "EIO", path: /\/wal$/ }, /EIO/],
  ];
  for (const [rule, expected] of cases) {
    await using stage = new Stage();
    stage.insert();
    const rules: FailRule[] = [];
    using bare = await again(stage, failFiles(systemFiles, rules).files);
    stage.insert();
    rules.push(rule);
    await assert.rejects(bare.follower.goOn(), expected);
  }
});

test("Follower.goOn() waits for a wal-index that is consistent, and takes a file without a time for one of now", async () => {
  await using stage = new Stage();
  stage.insert();
  const { torn, files } = tornFiles();
  using bare = await again(stage, files);
  torn.isTorn = () => true;
  await assert.rejects(bare.follower.goOn(), /the wal-index is not consistent/);
  torn.isTorn = () => false;
  assert.equal(await bare.follower.goOn(), undefined);
  bare[Symbol.dispose]();
  let isGone = true;
  const hidden = hookFiles(systemFiles, (call, act) => {
    const isShadow = call.kind === "stat" && call.path.endsWith("00000000.wal");
    return isShadow && isGone ? undefined as ReturnType<typeof act> : act();
  });
  using other = bareFollower(stage, hidden);
  const startedAt = Date.now();
  assert.equal(await other.follower.goOn(), undefined);
  isGone = false;
  const { index, committedSize: offset } = other.follower.shadow;
  assert.ok(other.follower.times.timeOf({ index, offset }) >= startedAt);
});

test("Follower.startGeneration() leaves nothing behind on a full disk, and tells that when even removing fails", async () => {
  for (const isStuck of [false, true]) {
    await using stage = new Stage();
    stage.insert();
    const rules: FailRule[] = [{ kind: "write", code: "ENOSPC", path: /\.wal\.tmp$/ }];
    if (isStuck) rules.push({ kind: "remove-tree", code: "EIO" });
    using bare = bareFollower(stage, failFiles(systemFiles, rules).files);
    await assert.rejects(bare.follower.startGeneration(), /ENOSPC/);
    assert.equal(readdirSync(`${bare.meta.path}/generations`).length, isStuck ? 1 : 0);
    await bare.follower.startGeneration();
    assert.equal(readdirSync(`${bare.meta.path}/generations`).length, 1);
  }
});

test("Follower.startGeneration() gives up on a WAL that never matches its wal-index", async () => {
  await using stage = new Stage();
  stage.insert();
  const made = new Set<string>();
  const files = hookFiles(systemFiles, (call, act) => {
    const result = act();
    if (call.kind === "read" && call.path.endsWith("-wal") && call.position! > 0) call.into![100]! ^= 1;
    if (call.kind === "make-folder") made.add(call.path);
    return result;
  });
  using bare = bareFollower(stage, files);
  await assert.rejects(bare.follower.startGeneration(), ContinuityLostError);
  const generations = [...made].filter((path) => /\/generations\/[0-9a-f]{16}$/.test(path));
  assert.equal(generations.length, 20);
  assert.deepEqual(readdirSync(`${bare.meta.path}/generations`), []);
});

test("Follower.step() ends the generation when the wal-index goes back behind what was copied", async () => {
  await using stage = new Stage();
  stage.insert();
  let older: Uint8Array | undefined;
  let isBack = false;
  const files = hookFiles(systemFiles, (call, act) => {
    const result = act();
    if (call.kind !== "read" || !call.path.endsWith("-shm")) return result;
    if (isBack) call.into!.set(older!);
    else if (older === undefined) older = call.into!.slice();
    return result;
  });
  using bare = bareFollower(stage, files);
  stage.insert();
  await bare.follower.startGeneration();
  isBack = true;
  assert.throws(() => bare.follower.step(), /wal truncated by another process/);
});

test("Follower.step() waits while the header of a new WAL is not there yet, or half", async () => {
  await using stage = new Stage();
  stage.insert();
  let readHeader: ((call: FileCall) => number) | undefined;
  const files = hookFiles(systemFiles, (call, act) => {
    const isHeader = call.kind === "read" && call.path.endsWith("-wal") && call.position === 0;
    if (!isHeader || readHeader === undefined) return act();
    act();
    return readHeader(call) as ReturnType<typeof act>;
  });
  using bare = bareFollower(stage, files);
  const { follower } = bare;
  await follower.startGeneration();
  stage.application.exec("PRAGMA wal_checkpoint(FULL)");
  // Onto mark 0, so that the next commit begins a new WAL.
  for (let round = 0; round < 3; round++) await follower.catchUp();
  stage.insert();
  for (
    const read of [() => 10, ({ into }: FileCall) => {
      into!.fill(0);
      return 32;
    }]
  ) {
    readHeader = read;
    assert.deepEqual(follower.step(), { hasCopied: false, hasMore: false });
  }
  readHeader = undefined;
  assert.equal(follower.step().hasCopied, true);
  assert.equal(follower.shadow.index, 1);
});

test("Follower ends the generation before an index that no name can be written for", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = await again(stage, systemFiles, ({ follower }) => {
    const { shadow } = follower;
    renameSync(shadow.path(0), shadow.path(MAX_INDEX - 1));
  });
  const { follower } = bare;
  assert.equal(await follower.goOn(), undefined);
  const restart = async () => {
    stage.application.exec("PRAGMA wal_checkpoint(FULL)");
    for (let round = 0; round < 3; round++) await follower.catchUp();
    stage.insert();
  };
  await restart();
  await follower.catchUp();
  assert.equal(follower.shadow.index, MAX_INDEX);
  await restart();
  await assert.rejects(follower.catchUp(), /max index exceeded/);
});

test("Follower.checkUntouched() tells what is missing from what somebody else wrote", async () => {
  const cases: [
    (bare: BareFollower) => void,
    typeof ContinuityLostError | typeof ForeignWriterError,
    RegExp,
  ][] = [
    [({ follower }) => rmSync(follower.shadow.path(0)), ContinuityLostError, /no shadow wal/],
    [
      ({ meta }) => rmSync(`${meta.path}/generations`, { recursive: true }),
      ContinuityLostError,
      /no shadow wal/,
    ],
    [({ meta }) => rmSync(meta.generationPath), ContinuityLostError, /no generation exists/],
    [({ follower }) => writeFileSync(follower.shadow.path(1), ""), ForeignWriterError, /another program/],
    [({ follower }) => touchLater(follower.shadow.path(0)), ForeignWriterError, /another program/],
    [({ follower }) => touchLater(dirname(follower.shadow.path(0))), ForeignWriterError, /another program/],
    [
      ({ meta }) => writeFileSync(meta.generationPath, "00000000000000ff\n"),
      ForeignWriterError,
      /another program/,
    ],
  ];
  for (const [change, kind, message] of cases) {
    await using stage = new Stage();
    stage.insert();
    using bare = bareFollower(stage);
    await bare.follower.startGeneration();
    bare.follower.checkUntouched();
    change(bare);
    assert.throws(() => bare.follower.checkUntouched(), (error: Error) => {
      assert.match(error.message, message);
      return error instanceof kind;
    });
  }
});

function touchLater(path: string): void {
  const later = new Date(Date.now() + 60_000);
  utimesSync(path, later, later);
}

test("Follower.checkUntouched() finds a folder missing that went while the generation began", async () => {
  await using stage = new Stage();
  stage.insert();
  const files = hookFiles(systemFiles, (call, act) => {
    const isFolder = call.kind === "stat" && call.path.endsWith("/wal");
    return isFolder ? undefined as ReturnType<typeof act> : act();
  });
  const kept = bareFollower(stage);
  await kept.follower.startGeneration();
  kept[Symbol.dispose]();
  using bare = bareFollower(stage, files);
  assert.equal(await bare.follower.goOn(), undefined);
  assert.throws(() => bare.follower.checkUntouched(), /no shadow wal/);
});

test("behindBarrier() tells an error that no waiting helps", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  using writers = new Writers(bare.live);
  await bare.follower.startGeneration();
  using _ = hookStatements((sql) => {
    if (sql === "BEGIN IMMEDIATE") throw new Error("disk I/O error");
  });
  await assert.rejects(
    behindBarrier({ follower: bare.follower, writers }, () => "never"),
    /^Error: cannot take the write lock: disk I\/O error/,
  );
});

test("CheckpointSchedule leaves it at that when the wal-index is torn before, within or behind a checkpoint", async () => {
  await using stage = new Stage();
  const { torn, files } = tornFiles();
  stage.insert();
  using bare = bareFollower(stage, files);
  using writers = new Writers(bare.live);
  const { follower } = bare;
  await follower.startGeneration();
  const { logger, records } = recordLogs();
  const limits = { ...CHECKPOINT_DEFAULTS, minPages: 1 };
  const run = () => {
    torn.count = 0;
    return new CheckpointSchedule({ limits, clock: systemClock, logger }).run({ follower, writers }, {
      quietMs: 0,
      isPause: false,
    });
  };
  torn.isTorn = () => true;
  assert.equal(await run(), false);
  const prepare = async () => {
    torn.isTorn = () => false;
    stage.insert();
    await follower.catchUp();
  };
  await prepare();
  assert.equal(await run(), true);
  await prepare();
  assert.equal(await run(), true);
  const reads = torn.count;
  // The last look of all is that behind the checkpoint, the one before tells what came of it.
  for (const from of [reads - 1, reads - 2]) {
    await prepare();
    torn.isTorn = (nth) => nth >= from;
    assert.equal(await run(), true);
  }
  assert.equal(records.at(-1)!.fields["result"], "0,0,0");
  await prepare();
  const outcome = await checkpointPolitely({ follower, writers });
  assert.ok(outcome.frameCount > 0);
});

test("CheckpointSchedule tells as SQLite does that a barrier could not be had", async () => {
  await using stage = new Stage();
  stage.insert();
  using bare = bareFollower(stage);
  using writers = new Writers(bare.live, { busyTimeoutMs: 5 });
  const { follower } = bare;
  await follower.startGeneration();
  const { logger, records } = recordLogs();
  const limits = { ...CHECKPOINT_DEFAULTS, minPages: 1, maxPages: 2 };
  const schedule = new CheckpointSchedule({ limits, clock: systemClock, logger });
  stage.application.exec("BEGIN IMMEDIATE");
  assert.equal(await schedule.run({ follower, writers }, { quietMs: 0, isPause: false }), true);
  stage.application.exec("ROLLBACK");
  assert.equal(records.at(-1)!.fields["result"], "1,-1,-1");
  assert.ok(readFileSync(follower.shadow.path(0)).length > 0);
});
