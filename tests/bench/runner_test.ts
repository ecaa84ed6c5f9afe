import assert from "node:assert/strict";
import { test } from "node:test";
import { litestream, walbrook } from "../../bench/process.ts";
import { starts } from "../../bench/rows/starts.ts";
import { type Cell, runCell, type Side } from "../../bench/runner.ts";
import { Scene } from "../../bench/scene.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { currentRuntime } from "../figures.ts";

const program = { name: "none", words: [] };
const SIDES: readonly Side[] = [{ name: "ours", program }, { name: "litestream", program }];

/** A cell that only notes who ran. */
function notingCell(ran: string[], more: Partial<Cell> = {}): Cell {
  return {
    id: "B1/text-1",
    title: "nothing",
    scale: 1,
    run({ name }) {
      ran.push(name);
      return Promise.resolve({ values: { wallSeconds: ran.length } });
    },
    prove: () => Promise.resolve(),
    ...more,
  };
}

const options = { sides: SIDES, wantedCount: 3, tell: () => {}, calibrate: () => 10 };

test("runCell() warms up, then takes turns A B B A", async () => {
  const ran: string[] = [];
  const { rounds, droppedRounds, problem } = await runCell(notingCell(ran), options);
  const [a, b] = ["ours", "litestream"];
  assert.deepEqual(ran, [a, b, a, b, b, a, a, b]);
  assert.deepEqual([rounds.length, droppedRounds.length, problem], [3, 0, undefined]);
  assert.equal(rounds[1]!.samples.ours!.values.wallSeconds, 6);
});

test("runCell() drops rounds in which the speed moved, takes others for them, and gives up", async () => {
  const times = [10, 10, 10, 10, 12, 10, 10, 10, 10];
  const once = await runCell(notingCell([]), { ...options, calibrate: () => times.shift()! });
  assert.deepEqual([once.rounds.length, once.droppedRounds.length], [3, 1]);
  let ms = 10;
  const never = await runCell(notingCell([]), { ...options, calibrate: () => ms *= 1.2 });
  assert.deepEqual([never.rounds.length, never.droppedRounds.length], [0, 5]);
});

test("runCell() begins no round after its end", async () => {
  const { rounds, wantedCount } = await runCell(notingCell([]), { ...options, endsAtMs: 0 });
  assert.deepEqual([rounds.length, wantedCount], [0, 3]);
});

test("runCell() tells what failed, and leaves out who can't do it", async () => {
  const prove = () => Promise.reject(new Error("other pages", { cause: new Error("page 7") }));
  assert.equal((await runCell(notingCell([], { prove }), options)).problem, "other pages: page 7");
  const run = async () => {
    await using _ = { [Symbol.asyncDispose]: () => Promise.reject(new Error("can't be closed either")) };
    await Promise.reject(new Error("came first"));
    return { values: {} };
  };
  assert.equal((await runCell(notingCell([], { run }), options)).problem, "came first");
  const ran: string[] = [];
  await runCell(notingCell(ran, { without: ["litestream"], warmsUp: false }), options);
  assert.deepEqual(ran, ["ours", "ours", "ours"]);
});

test("a cell of B11 measures both programs, and proves their replicas", async () => {
  using folder = temporaryFolder();
  await using scene = new Scene({ mode: "quick", isDefaults: false, folder: folder.path });
  const cell = starts(scene).find(({ id }) => id === "B11/first-sync")!;
  const sides: Side[] = [
    { name: "ours", program: walbrook(currentRuntime()) },
    { name: "litestream", program: litestream },
  ];
  const told: string[] = [];
  const { rounds, problem } = await runCell({ ...cell, warmsUp: false }, {
    sides,
    wantedCount: 1,
    tell: (line) => told.push(line),
    calibrate: () => 10,
  });
  assert.equal(problem, undefined);
  assert.deepEqual(told, ["B11/first-sync: pair 1"]);
  for (const { name } of sides) {
    const { wallSeconds, cpuSeconds, peakBytes } = rounds[0]!.samples[name]!.values;
    // More than nothing, and not in other units.
    assert.ok(wallSeconds! > 0.005 && wallSeconds! < 60, `${name}: ${wallSeconds} s`);
    assert.ok(cpuSeconds! > 0.002 && cpuSeconds! < 60, `${name}: ${cpuSeconds} CPU s`);
    assert.ok(peakBytes! > 5e6 && peakBytes! < 1e9, `${name}: ${peakBytes} bytes`);
  }
});
