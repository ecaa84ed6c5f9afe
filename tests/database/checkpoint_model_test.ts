/**
 * Checkpoints and readers against a model of SQLite's protocol: random commands of ours (copy, move, checkpoint,
 * barrier), and before any statement and any read of ours random deeds of others (commits, spilled rollbacks,
 * checkpoints in all four modes, long readers, a held write lock).
 *
 * At every one of these points: the real wal-index is where the model says, our process holds a read lock (in
 * /proc/locks), and a WAL that begins anew has been copied to its end. In the end snapshot and shadow WAL make the
 * database, byte for byte, with every commit.
 */
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import fc from "fast-check";
import { lookAt } from "./bare_follower.ts";
import { rebuild } from "./rebuild.ts";
import { Stage } from "./stage.ts";
import { type Mode, WalModel } from "./wal_model.ts";
import {
  checkpointBehindBarrier,
  type CheckpointParts,
  checkpointPolitely,
  truncateWal,
  Writers,
} from "../../src/database/checkpoint.ts";
import { Follower } from "../../src/database/follower.ts";
import { LiveFiles } from "../../src/database/live_files.ts";
import { MetaDirectory } from "../../src/database/meta_directory.ts";
import { isFrozen, isOutOfTheWay, isPinned } from "../../src/database/standing.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { hookStatements } from "../doubles/hooked_statements.ts";
import { recordFigure } from "../figures.ts";

const RUNS = Number(process.env["WALBROOK_RUNS"] ?? 60);
const SEED = Number(process.env["WALBROOK_SEED"] ?? Date.now() % 2 ** 31);

/** What others do at one moment. */
type Deed =
  | { readonly kind: "nothing" | "spill" | "lock" }
  | { readonly kind: "commit"; readonly size: number }
  | { readonly kind: "checkpoint"; readonly mode: Mode }
  | { readonly kind: "reader"; readonly nth: number };

/** More than is copied at once. */
const OVER_A_CHUNK = 1_300_000;

/** Some WALs of a run get longer than this, others don't. */
const STAY_FROM_PAGES = 20;

/** What we do, what is done most several times. */
const OURS = [
  "step",
  "step",
  "move up",
  "move up",
  "move up",
  "catch up",
  "polite",
  "barrier",
  "truncate",
  "close idle",
] as const;

/** Counts what the runs came to. */
const tally = { points: 0, commits: 0, restarts: 0, held: 0, barriers: 0, refusedBarriers: 0 };

/** The real thing with others around it, and the model beside it. */
class Scene implements AsyncDisposable {
  readonly model = new WalModel();
  readonly #stage = new Stage();
  readonly #others: readonly DatabaseSync[];
  readonly #locker: DatabaseSync;
  readonly #shmInode: number;
  readonly #live: LiveFiles;
  readonly #meta: MetaDirectory;
  readonly #hook: Disposable;
  readonly #writers: Writers;
  #follower!: Follower;
  #deeds: Deed[] = [];
  /** What the statement that runs now does to the model, once it has run. */
  #pending: (() => void) | undefined;
  #base = new Uint8Array(0);
  #earlierCount = 0;

  private constructor() {
    const stage = this.#stage;
    stage.insert();
    stage.application.exec("PRAGMA busy_timeout = 0; PRAGMA cache_size = 5");
    const open = () => {
      const connection = new DatabaseSync(stage.path, { timeout: 0 });
      connection.exec("PRAGMA wal_autocheckpoint = 0; SELECT count(*) FROM t");
      return connection;
    };
    this.#locker = open();
    this.#others = [open(), open()];
    this.#shmInode = statSync(`${stage.path}-shm`).ino;
    this.model.adopt(lookAt(stage.path));
    this.#hook = hookStatements((sql, connection) => this.#beforeStatement(sql, connection));
    const files = hookFiles(systemFiles, (call, act) => {
      if (call.kind === "read" && /-(shm|wal)$/.test(call.path)) this.#point(`a read of ${call.path}`);
      return act();
    });
    this.#live = new LiveFiles(stage.path, files);
    this.#meta = new MetaDirectory(`${stage.folder}/meta`, files);
    this.#writers = new Writers(this.#live, { busyTimeoutMs: 0 });
  }

  static async open(): Promise<Scene> {
    const scene = new Scene();
    scene.#meta.adoptPermissions(scene.#stage.path);
    scene.#meta.create();
    scene.#follower = new Follower({
      live: scene.#live,
      meta: scene.#meta,
      clock: systemClock,
      stayFromPages: STAY_FROM_PAGES,
    });
    await scene.#follower.startGeneration();
    scene.#base = scene.#mainBytes();
    scene.#earlierCount = scene.#rebuild().commitCount;
    return scene;
  }

  get #parts(): CheckpointParts {
    return { follower: this.#follower, writers: this.#writers };
  }

  /** Carry out one thing of ours; `deeds` come in between, one at each point. */
  async act(ours: typeof OURS[number], deeds: readonly Deed[]): Promise<void> {
    this.#deeds = [...deeds];
    const parts = this.#parts;
    const { follower, writers } = parts;
    if (ours === "step") follower.step();
    else if (ours === "catch up") await follower.catchUp();
    else if (ours === "move up") follower.moveUp();
    else if (ours === "polite") await checkpointPolitely(parts);
    else if (ours === "truncate") truncateWal(parts);
    else if (ours === "barrier") {
      const outcome = await checkpointBehindBarrier(parts);
      if (outcome === undefined) tally.refusedBarriers++;
      else tally.barriers++;
    } else {
      writers.close();
      follower.readers.closeIdle();
    }
    this.#point(`the end of "${ours}"`);
    this.#deeds = [];
    this.#judgeStanding();
  }

  /** Others do something while we do nothing. */
  foreign(deed: Deed): void {
    this.#deeds = [deed];
    this.#point("a pause");
  }

  #beforeStatement(sql: string, connection: object): void {
    if (this.#isOther(connection)) return;
    this.#point(`"${sql}"`);
    const { model } = this;
    const mode = /^PRAGMA wal_checkpoint\((\w+)\)$/.exec(sql)?.[1];
    if (sql === "PRAGMA user_version") this.#pending = () => model.beginReading(connection);
    else if (sql === "ROLLBACK") this.#pending = () => model.end(connection);
    else if (sql === "BEGIN IMMEDIATE") this.#pending = () => void model.beginWriting(connection);
    else if (mode !== undefined) this.#pending = () => model.checkpoint(mode as Mode, () => this.#look());
  }

  #isOther(connection: object): boolean {
    return connection === this.#stage.application || connection === this.#locker ||
      this.#others.includes(connection as DatabaseSync);
  }

  #look() {
    return lookAt(this.#stage.path);
  }

  /** Judge, let somebody else do something, and judge again. */
  #point(where: string): void {
    this.#pending?.();
    this.#pending = undefined;
    this.#judge(`before ${where}`);
    const deed = this.#deeds.shift();
    if (deed === undefined || deed.kind === "nothing") return;
    const { walNumber, frameCount } = this.model;
    const { salts } = this.#look();
    this.#carryOut(deed);
    this.#judge(`after ${JSON.stringify(deed)} before ${where}`);
    if (this.model.walNumber === walNumber || frameCount === 0) return;
    tally.restarts++;
    const { shadow } = this.#follower;
    assert.deepEqual(
      shadow.chain?.salts,
      salts,
      `before ${where}: a WAL is gone that was not begun to be copied`,
    );
    assert.equal(shadow.frameCount, frameCount, `before ${where}: frames are gone that were not copied`);
  }

  #judge(when: string): void {
    tally.points++;
    this.model.agree(this.#look(), when);
    if (this.#follower === undefined) return;
    const ours = this.model.readers.filter((reader) => !this.#isOther(reader));
    assert.ok(ours.length > 0, `${when}: no reader of ours stands`);
    // Locks are those of the process, so that one of ours shows only while nobody else in it reads.
    if (ours.length === this.model.readers.length) {
      assert.ok(this.#holdsReadLock(), `${when}: our process holds no read lock`);
      tally.held++;
    }
  }

  /** Whether this process locks one of the bytes 123 to 127 of the `-shm`, those of the reader slots. */
  #holdsReadLock(): boolean {
    const pattern = new RegExp(`POSIX +ADVISORY +READ +${process.pid} +\\w+:\\w+:${this.#shmInode} 12[3-7] `);
    // The list is read in pieces, between which others on the machine change it: what was there can be left out.
    for (let tries = 0; tries < 100; tries++) {
      if (pattern.test(readFileSync("/proc/locks", "utf8"))) return true;
    }
    return false;
  }

  #carryOut(deed: Deed): void {
    const { application } = this.#stage;
    const { model } = this;
    const isLocked = model.isWriteLocked;
    if (deed.kind === "commit") {
      const isDone = succeeds(() => this.#stage.insert(deed.size));
      assert.equal(isDone, !isLocked);
      if (isDone) model.commit(this.#look());
    } else if (deed.kind === "spill") {
      application.exec("BEGIN");
      const isDone = succeeds(() =>
        application.exec(
          "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 60) " +
            "INSERT INTO t (x) SELECT randomblob(2000) FROM n",
        )
      );
      application.exec("ROLLBACK");
      if (isDone) model.spill(this.#look());
    } else if (deed.kind === "checkpoint") {
      application.exec(`PRAGMA wal_checkpoint(${deed.mode})`);
      model.checkpoint(deed.mode, () => this.#look());
    } else if (deed.kind === "reader") this.#toggle(this.#others[deed.nth]!, "BEGIN; SELECT count(*) FROM t");
    else if (deed.kind === "lock") this.#toggle(this.#locker, "BEGIN IMMEDIATE");
  }

  #toggle(connection: DatabaseSync, begin: string): void {
    const { model } = this;
    if (model.standOf(connection) !== undefined) {
      connection.exec("ROLLBACK");
      model.end(connection);
    } else if (begin !== "BEGIN IMMEDIATE") {
      connection.exec(begin);
      model.beginReading(connection);
    } else assert.equal(succeeds(() => connection.exec(begin)), model.beginWriting(connection));
  }

  /** What we take our reader to stand on must be so. */
  #judgeStanding(): void {
    const ours = this.model.readers.filter((reader) => !this.#isOther(reader));
    assert.equal(ours.length, 1, "one reader of ours stands while we do nothing");
    const { slot } = this.model.standOf(ours[0]!)!;
    const standing = this.#follower.readers.standing!;
    if (isPinned(standing)) assert.ok(slot > 0, "taken for pinned, and stands on mark 0");
    if (isFrozen(standing) || isOutOfTheWay(standing)) assert.equal(slot, 0, "taken for frozen, and is not");
  }

  #mainBytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#live.mainStat().size);
    assert.equal(this.#live.readMain(bytes, 0), bytes.length);
    return bytes;
  }

  #rebuild() {
    const { generation, index, committedSize: offset } = this.#follower.shadow;
    const database = { position: { generation, index, offset }, meta: this.#meta };
    const pageSize = this.#live.pageSize();
    return rebuild(database, { generation, index: 0, offset: 0, pageSize, bytes: this.#base });
  }

  /** Everybody goes, all is copied and backfilled: nothing may be missing. */
  async assertNothingLost(): Promise<void> {
    for (const other of [...this.#others, this.#locker]) {
      if (this.model.standOf(other) !== undefined) this.#toggle(other, "");
    }
    for (let round = 0; round < 10 && this.model.backfilledCount < this.model.frameCount; round++) {
      await this.act("catch up", []);
      await this.act("move up", []);
      this.foreign({ kind: "checkpoint", mode: "PASSIVE" });
    }
    await this.act("catch up", []);
    assert.equal(
      this.model.backfilledCount,
      this.model.frameCount,
      "a quiet database is backfilled as a whole",
    );
    const rebuilt = this.#rebuild();
    assert.equal(rebuilt.commitCount - this.#earlierCount, this.model.commitCount, "commits");
    assert.deepEqual(rebuilt.bytes, this.#mainBytes(), "the rebuilt database differs from the live one");
    tally.commits += this.model.commitCount;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#hook[Symbol.dispose]();
    this.#writers.close();
    this.#follower?.close();
    for (const other of [...this.#others, this.#locker]) other.close();
    this.#stage.closeApplication();
    this.#live.close();
    await this.#stage[Symbol.asyncDispose]();
  }
}

function succeeds(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    assert.match(String(error), /locked/);
    return false;
  }
}

type Step = fc.AsyncCommand<WalModel, Scene>;

const isAlways = () => true;

const deeds: fc.Arbitrary<Deed> = fc.oneof(
  { arbitrary: fc.constant<Deed>({ kind: "nothing" }), weight: 3 },
  {
    arbitrary: fc.constantFrom(100, 100, 100, 9000, OVER_A_CHUNK).map((size): Deed => ({
      kind: "commit",
      size,
    })),
    weight: 4,
  },
  {
    arbitrary: fc.constantFrom<Mode>("PASSIVE", "FULL", "RESTART", "TRUNCATE").map((mode): Deed => ({
      kind: "checkpoint",
      mode,
    })),
    weight: 4,
  },
  { arbitrary: fc.constant<Deed>({ kind: "spill" }), weight: 1 },
  { arbitrary: fc.nat(1).map((nth): Deed => ({ kind: "reader", nth })), weight: 1 },
  { arbitrary: fc.constant<Deed>({ kind: "lock" }), weight: 1 },
);

const foreignSteps = deeds.map((deed): Step => ({
  check: isAlways,
  run: (_, scene) => Promise.resolve(scene.foreign(deed)),
  toString: () => JSON.stringify(deed),
}));

const ourSteps = fc.tuple(fc.constantFrom(...OURS), fc.array(deeds, { maxLength: 24, size: "max" })).map((
  [ours, between],
): Step => ({
  check: isAlways,
  run: (_, scene) => scene.act(ours, between),
  toString: () => `${ours} ${JSON.stringify(between)}`,
}));

test("Follower and the checkpoints agree with a model: always a reader, no commit lost, whoever comes between", async () => {
  const steps = fc.commands([foreignSteps, ourSteps], { maxCommands: 40, size: "max" });
  await fc.assert(
    fc.asyncProperty(steps, async (commands) => {
      await using scene = await Scene.open();
      await fc.asyncModelRun(() => ({ model: scene.model, real: scene }), commands);
      await scene.assertNothingLost();
    }),
    { seed: SEED, numRuns: RUNS, endOnFailure: false },
  );
  const { points, commits, restarts, held, barriers, refusedBarriers } = tally;
  recordFigure(
    "checkpoint model",
    `seed ${SEED}, ${points} points judged, ${held} of them by the lock itself, ${commits} commits, ` +
      `${restarts} restarts of the WAL, ${barriers} barriers and ${refusedBarriers} refused, 0 lost`,
  );
  assert.ok(points > 5000 && held > 1000 && commits > 300 && restarts > 15 && barriers > 10, "too tame");
  assert.ok(refusedBarriers > 0, "no barrier was refused");
});
