import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeCell } from "../../bench/judge.ts";
import { formatValue } from "../../bench/metrics.ts";
import { cellLines } from "../../bench/print.ts";
import { chaptersOf, renderPage } from "../../bench/report/page.ts";
import { drawPlot } from "../../bench/report/plot.ts";
import { plotsOf } from "../../bench/report/plots.ts";
import type { CellResult, Header, KeptCell, Round } from "../../bench/result.ts";

const HEADER: Header = {
  startedAt: "2026-01-02T03:04:05.000Z",
  mode: "full",
  as: "bun",
  isDefaults: false,
  programs: { ours: "walbrook (Bun)", litestream: "Litestream 0.3.13" },
  commit: "0123456789ab",
  machine: "2 cores of a processor, 8 GB, Linux 6, durable write 500 MB/s",
  knobs: "sync-interval 1s",
};

function rounds(ours: readonly number[], metric = "wallSeconds"): Round[] {
  return ours.map((value) => ({
    calibrationMs: [10, 10],
    samples: { ours: { values: { [metric]: value } }, litestream: { values: { [metric]: 2 } } },
  }));
}

function cell(id: string, more: Partial<CellResult> = {}): CellResult {
  const usual = { title: `work ${id}`, scale: 1, droppedRounds: [], wantedCount: 1 };
  return { id, ...usual, rounds: rounds([0.5]), ...more };
}

const kept = (each: CellResult, header: Partial<Header> = {}): KeptCell => ({
  header: { ...HEADER, ...header },
  cell: each,
});

test("formatValue() writes three digits with the metric's unit", () => {
  assert.equal(formatValue("wallSeconds", 1.2345), "1.23 s");
  assert.equal(formatValue("wallSeconds", 0.01234), "12.3 ms");
  assert.equal(formatValue("peakBytes", 123_456_789), "123 MB");
  assert.equal(formatValue("cpuShare", 0.00123), "0.12 % of a core");
  assert.equal(formatValue("newObjectCount", 0), "0");
  assert.equal(formatValue("writerShare", 0.8), "0.80×");
});

test("cellLines() prints aim, ratio, floor and verdict, and no number for a cell with a problem", () => {
  const lines = cellLines(judgeCell(cell("B3/folder-64", { scale: 64e6 }), "bun")).join("\n");
  assert.match(lines, /B3\/folder-64 {2}work B3\/folder-64: 1 pair\b/);
  assert.match(
    lines,
    /wall +500 ms +2\.00 s +ratio 0\.25 \(0\.25…0\.25\), ≤ 0\.25 .*11\.2× the floor +aim ≤ 0\.70× met/,
  );
  const broken = cellLines(judgeCell(cell("B3/folder-64", { problem: "other pages" }), "bun")).join("\n");
  assert.match(broken, /NO NUMBER: other pages/);
  assert.doesNotMatch(broken, /ratio/);
  const dropped = cell("B3/folder-64", { rounds: [], droppedRounds: rounds([1, 2]) });
  assert.match(cellLines(judgeCell(dropped, "bun")).join("\n"), /NO NUMBER: .*2 dropped/);
});

test("cellLines() calls an aim missed, and one that was met with too few rounds so", () => {
  const missed = cellLines(judgeCell(cell("B3/folder-64", { rounds: rounds([1.9]) }), "bun")).join("\n");
  assert.match(missed, /aim ≤ 0\.70× MISSED/);
  const few = cellLines(judgeCell(cell("B3/folder-64", { wantedCount: 5 }), "bun")).join("\n");
  assert.match(few, /met, too few rounds/);
});

test("chaptersOf() takes the most thorough run of each cell, in order, without --defaults", () => {
  const chapters = chaptersOf([
    kept(cell("B1/text-64", { title: "quick" }), { mode: "quick" }),
    kept(cell("B11/version")),
    kept(cell("B2/20ms")),
    kept(cell("B1/text-256")),
    kept(cell("B1/text-64", { title: "full" })),
    kept(cell("B1/text-64", { title: "defaults" }), { isDefaults: true }),
    kept(cell("B1/text-64"), { as: "deno" }),
  ]);
  assert.deepEqual(chapters.map(({ label }) => label), ["Bun", "Deno"]);
  assert.deepEqual(chapters[0]!.cells.map(({ cell }) => cell.id), [
    "B1/text-64",
    "B1/text-256",
    "B2/20ms",
    "B11/version",
  ]);
  assert.equal(chapters[0]!.cells[0]!.cell.title, "full");
});

test("renderPage() has a row for each metric, the plots, the misses and the method", () => {
  const broken = cell("B2/20ms", { problem: "other | pages" });
  const chapters = chaptersOf([kept(cell("B3/folder-64", { rounds: rounds([1.9]) })), kept(broken)]);
  const plot = { file: "sizes-bun", title: "T", x: { label: "x" }, y: { label: "y" }, series: [] };
  const page = renderPage({ chapters, plots: [plot], misses: "B3 waits for the disk." });
  assert.match(page, /\| B3\/folder-64: .* \| wall \| 1\.90 s \| 2\.00 s \| 0\.95 .*\| \*\*missed\*\* \|/);
  assert.match(page, /\| B2\/20ms: .*no number.*other \\\| pages/);
  assert.match(page, /!\[T\]\(performance\/sizes-bun\.svg\)/);
  assert.match(page, /B3 waits for the disk\./);
  assert.match(page, /## Method/);
  assert.throws(() => renderPage({ chapters: [], plots: [], misses: "" }), /nothing was measured yet/);
});

test("plotsOf() makes a line over scales, and a distribution of every single lag", () => {
  const lags = (values: readonly number[]) => ({ values: {}, series: { lagMs: values } });
  const lag = cell("B5/folder-singles", {
    rounds: [
      { calibrationMs: [1, 1], samples: { ours: lags([3, 1]), litestream: lags([500]) } },
      { calibrationMs: [1, 1], samples: { ours: lags([2]), litestream: lags([400]) } },
    ],
  });
  const idle = [1, 100].map((scale) =>
    cell(`B8/${scale}`, { scale, rounds: rounds([scale * 1e6], "residentBytes") })
  );
  const plots = plotsOf([kept(lag), ...idle.map((each) => kept(each))], "Bun");
  assert.deepEqual(plots.map(({ file }) => file), ["lag-bun", "databases-bun"]);
  assert.deepEqual(plots[0]!.series[0]!.points, [[1, 1 / 3], [2, 2 / 3], [3, 1]]);
  assert.deepEqual(plots[1]!.series[0]!.points, [[1, 1], [100, 100]]);
  // One point is no line.
  assert.deepEqual(plotsOf([kept(idle[0]!)], "Bun"), []);
});

test("drawPlot() draws each line within the frame and escapes its names", () => {
  const svg = drawPlot({
    title: "a < b & c",
    x: { label: "n", isLog: true },
    y: { label: "MB" },
    series: [
      { name: "<ours>", isOurs: true, points: [[1, 10], [100, 45]] },
      { name: "theirs", isOurs: false, points: [[1, 20], [0, 5], [100, 30]] },
    ],
  });
  assert.match(svg, /a &lt; b &amp; c/);
  assert.match(svg, /&lt;ours&gt;/);
  const lines = [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, points]) => points!);
  assert.equal(lines.length, 2);
  // A logarithm of 0 is nowhere: that point is left out.
  assert.equal(lines[1]!.split(" ").length, 2);
  for (const point of lines.join(" ").split(" ")) {
    const [x, y] = point.split(",").map(Number);
    assert.ok(x! >= 70 && x! <= 616 && y! >= 44 && y! <= 346, point);
  }
  // 1 is at the left edge and 100 at the right one.
  assert.match(lines[0]!, /^70\.0,.* 616\.0,/);
  assert.throws(
    () => drawPlot({ title: "none", x: { label: "" }, y: { label: "" }, series: [] }),
    /nothing to draw/,
  );
});
