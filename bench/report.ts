/** Makes docs/PERFORMANCE.md and its plots of what is in `bench/results/`: `deno task bench:report`. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { root } from "./process.ts";
import { drawPlot } from "./report/plot.ts";
import { chaptersOf, renderPage } from "./report/page.ts";
import { plotsOf } from "./report/plots.ts";
import { readCells } from "./result.ts";

const MISSES = `${root}bench/report/misses.md`;

try {
  const chapters = chaptersOf(readCells());
  const plots = chapters.flatMap(({ label, cells }) => plotsOf(cells, label.replace("the ", "")));
  const misses = existsSync(MISSES) ? readFileSync(MISSES, "utf8") : "";
  const page = renderPage({ chapters, plots, misses });
  rmSync(`${root}docs/performance`, { recursive: true, force: true });
  mkdirSync(`${root}docs/performance`);
  for (const plot of plots) writeFileSync(`${root}docs/performance/${plot.file}.svg`, drawPlot(plot));
  writeFileSync(`${root}docs/PERFORMANCE.md`, page);
  console.log(`docs/PERFORMANCE.md: ${chapters.length} chapters, ${plots.length} plots`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
