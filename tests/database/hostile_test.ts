/**
 * Neighbours who checkpoint and write as they like, for half a minute; then every page is compared.
 *
 * `WALBROOK_HOSTILE_SECONDS` makes it longer, `WALBROOK_HOSTILE_SEED` repeats one.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { assertNothingLost, keepSnapshot, Stage } from "./stage.ts";
import { Readers } from "../../src/database/readers.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { recordFigure } from "../figures.ts";
import { Litestream, litestreamRestore } from "../litestream.ts";
import { pageDifference } from "../restore/database_pages.ts";

const SECONDS = Number(process.env["WALBROOK_HOSTILE_SECONDS"] ?? 30);
const SEED = Number(process.env["WALBROOK_HOSTILE_SEED"] ?? Date.now() % 1_000_000);

/** Run a script to its end; resolves with its output. */
function run(script: string, args: readonly string[]): Promise<string> {
  const path = fileURLToPath(new URL(`./${script}`, import.meta.url));
  const child = spawn("python3", [path, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (data) => output += data);
  return new Promise((resolve, reject) => {
    child.on(
      "close",
      (code) => code === 0 ? resolve(output.trim()) : reject(new Error(`${script}: ${code}`)),
    );
  });
}

/** Writers and checkpointers side by side, for some seconds. */
async function neighbours(path: string, seconds: number) {
  const args = (at: number, last: string) => [path, String(SEED + at), String(seconds), last];
  const writers = ["auto", "fresh", "spill", "plain"].map((mode, at) =>
    run("hostile_writer.py", args(at, mode))
  );
  const checkpointers = ["python", "sqlite3"].map((program, at) =>
    run("hostile_checkpointer.py", args(at, program))
  );
  const commits = (await Promise.all(writers)).map((line) => Number(line.split(" ")[0]));
  const checkpoints = (await Promise.all(checkpointers)).map((line) =>
    JSON.parse(line) as Record<"tries" | "TRUNCATE", number>
  );
  return { commits, checkpoints };
}

/** Follow a database among neighbours; throws when anything was lost, or a generation was. */
async function surviveNeighbours(stage: Stage, seconds: number) {
  stage.application.exec("CREATE TABLE h (id INTEGER PRIMARY KEY, w, x)");
  stage.application.exec("CREATE INDEX h_w ON h (w, x)");
  for (let count = 0; count < 500; count++) {
    stage.application.exec("INSERT INTO h (w, x) VALUES (0, 'first')");
  }
  stage.closeApplication();
  const neighbour = stage.neighbour();
  await neighbour.sql("SELECT count(*) FROM h");
  const database = await stage.follow({ limits: { minPages: 200, maxPages: 1500 } });
  const snapshot = await keepSnapshot(database);
  const did = await neighbours(stage.path, seconds);
  const rebuilt = await assertNothingLost(database, { snapshot, neighbour }).catch((error) => {
    throw new Error(`seed ${SEED}: ${error.message}; ${stage.logged("warn")}`, { cause: error });
  });
  assert.equal((await neighbour.sql("PRAGMA integrity_check"))[0]![0], "ok");
  // What was committed by others and nothing else: no generation was lost on the way, nothing was written by us.
  assert.deepEqual(stage.logged("warn"), [], `seed ${SEED}`);
  assert.deepEqual(stage.logged("error"), [], `seed ${SEED}`);
  return { ...did, rebuilt };
}

test("LiveDatabase loses nothing among hostile writers and checkpointers of other processes", async () => {
  await using stage = new Stage();
  const { commits, checkpoints, rebuilt } = await surviveNeighbours(stage, SECONDS);
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  const truncations = sum(checkpoints.map((row) => row.TRUNCATE));
  const jumps = rebuilt.salts.slice(1)
    .filter(([salt], at) => ((salt - rebuilt.salts[at]![0]) >>> 0) !== 1).length;
  const about =
    `seed ${SEED}: ${sum(commits)} commits, ${rebuilt.frameCount} frames, ${rebuilt.indexCount} indexes, ` +
    `${jumps} salt jumps, ${truncations} TRUNCATE of ${sum(checkpoints.map((row) => row.tries))} tries`;
  recordFigure("hostile neighbours", about);
  assert.ok(sum(commits) > 20 * SECONDS, about);
  assert.ok(rebuilt.commitCount >= sum(commits), about);
  assert.ok(rebuilt.indexCount > 5, about);
  assert.ok(truncations >= 1, about);
  assert.ok(jumps >= 1, about);
});

test("LiveDatabase whose reader lets go before the next one stands is found out by the same neighbours", async () => {
  const { move } = Readers.prototype;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  Readers.prototype.move = function () {
    this.close();
    // The gap that the tool we replace has around each of its checkpoints; long, since ours moves seldom.
    Atomics.wait(pause, 0, 0, 50);
    this.begin();
    return move.call(this);
  };
  let loss: string | undefined;
  try {
    for (let attempt = 0; attempt < 8 && loss === undefined; attempt++) {
      await using stage = new Stage();
      await surviveNeighbours(stage, SECONDS / 10).catch((error: Error) =>
        loss = error.message.split("\n")[0]
      );
    }
  } finally {
    Readers.prototype.move = move;
  }
  assert.ok(loss !== undefined, "nothing was lost");
  recordFigure("hostile neighbours, a reader that lets go", loss.slice(0, 140));
});

test("Litestream among the same neighbours, as a figure beside ours", async () => {
  using folder = temporaryFolder();
  const [databasePath, replicaPath] = [join(folder.path, "live.db"), join(folder.path, "replica")];
  const python = (script: string) => spawnSync("python3", ["-c", script, databasePath], { encoding: "utf8" });
  python(
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); " +
      "c.execute('PRAGMA journal_mode = wal'); c.execute('CREATE TABLE h (id INTEGER PRIMARY KEY, w, x)'); " +
      "c.executemany('INSERT INTO h (w, x) VALUES (0, ?)', [('first',)] * 500)",
  );
  await using litestream = Litestream.start({
    configPath: join(folder.path, "litestream.yml"),
    databases: [{ databasePath, replicaPath }],
    checkpointPages: 200,
  });
  await until(() => litestream.log.includes("snapshot written"), () => litestream.log);
  const { commits } = await neighbours(databasePath, SECONDS / 3);
  await litestream.stop();
  const generations = readdirSync(join(replicaPath, "generations")).length;
  const outputPath = join(folder.path, "restored.db");
  const result = await litestreamRestore({ replicaPath, outputPath }).then(() => {
    python(
      "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()",
    );
    const difference = pageDifference(outputPath, databasePath, { pageSize: 4096 });
    return difference === undefined ? "equal" : "NOT equal";
  }, () => "NOT possible");
  const total = commits.reduce((sum, count) => sum + count, 0);
  recordFigure(
    "hostile neighbours, Litestream 0.3.13",
    `${total} commits, ${generations} generations, its restore ${
      result === "NOT possible" ? "" : "is "
    }${result}`,
  );
  assert.ok(total > 5 * SECONDS, `${total} commits`);
});
