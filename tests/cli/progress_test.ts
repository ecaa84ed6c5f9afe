import { test } from "node:test";
import assert from "node:assert/strict";
import {
  formatBytes,
  formatProgress,
  ProgressLine,
  type ProgressOptions,
  withStatusLine,
} from "../../src/cli/progress.ts";

function line(options: Partial<ProgressOptions> = {}) {
  const written: string[] = [];
  const clock = { nowMs: 0 };
  const progress = new ProgressLine({
    label: "restoring a.db",
    totalBytes: 1_000_000,
    isTerminal: true,
    write: (text) => written.push(text),
    now: () => clock.nowMs,
    ...options,
  });
  return { written, clock, progress };
}

test("ProgressLine draws rate, percent and what is left, then wipes itself away", () => {
  const { written, clock, progress } = line();
  {
    using _ = progress;
    clock.nowMs = 1_000;
    progress.add(250_000);
  }
  assert.deepEqual(written, [
    "\r\x1b[Krestoring a.db: 250.0 kB of 1.0 MB, 25 %, 250.0 kB/s, 3s left",
    "\r\x1b[K",
  ]);
});

test("ProgressLine draws ten times a second at most", () => {
  const { written, clock, progress } = line();
  for (clock.nowMs = 0; clock.nowMs <= 1_000; clock.nowMs++) progress.add(1);
  assert.equal(written.length, 10);
});

test("ProgressLine writes nothing without a terminal", () => {
  const { written, clock, progress } = line({ isTerminal: false });
  clock.nowMs = 1_000;
  progress.add(250_000);
  progress[Symbol.dispose]();
  assert.deepEqual(written, []);
});

test("ProgressLine wipes away nothing when it drew nothing", () => {
  const { written, clock, progress } = line();
  // Of a moment no rate can be told.
  clock.nowMs = 99;
  progress.add(1);
  progress[Symbol.dispose]();
  assert.deepEqual(written, []);
});

test("ProgressLine stays narrower than the terminal", () => {
  for (const [columns, length] of [[20, 19], [0, 79]] as const) {
    const { written, clock, progress } = line({ columns, label: "restoring ".repeat(10) });
    clock.nowMs = 100;
    progress.add(1);
    assert.equal(written[0]!.slice("\r\x1b[K".length).length, length);
  }
});

test("withStatusLine() wipes the line away before anything else is written", () => {
  const written: string[] = [];
  const write = (text: string) => void written.push(text);
  const output = withStatusLine({ writeOutput: write, writeError: write });
  output.writeError("first\n");
  output.writeStatus("\r\x1b[K1 %");
  output.writeStatus("\r\x1b[K2 %");
  output.writeError("second\n");
  output.writeStatus("\r\x1b[K");
  output.writeStatus("\r\x1b[K3 %");
  output.writeOutput("third\n");
  output.writeOutput("fourth\n");
  const wipe = "\r\x1b[K";
  const expected = [
    ...["first\n", `${wipe}1 %`, `${wipe}2 %`, wipe, "second\n"],
    ...[`${wipe}3 %`, wipe, "third\n", "fourth\n"],
  ];
  assert.deepEqual(written, expected);
});

test("formatProgress() says only what is known", () => {
  assert.equal(formatProgress({ doneBytes: 0, totalBytes: 0, elapsedMs: 0 }), "0 B of 0 B, 0 B/s");
  assert.equal(formatProgress({ doneBytes: 5_000, elapsedMs: 2_000 }), "5.0 kB, 2.5 kB/s");
  assert.equal(formatProgress({ doneBytes: 5, totalBytes: 4, elapsedMs: 1_000 }), "5 B of 4 B, 100 %, 5 B/s");
});

test("formatBytes() moves to the next unit in time", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [999, "999 B"],
    [999.7, "1.0 kB"],
    [1_000, "1.0 kB"],
    [999_949, "999.9 kB"],
    [999_950, "1.0 MB"],
    [1_234_567_890, "1.2 GB"],
    [5e15, "5000.0 TB"],
  ];
  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text);
});
