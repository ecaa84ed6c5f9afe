/** docs/PERFORMANCE.md from the cells that are kept; pure. */
import { DENO_ALLOWANCE, FLOORS } from "../aims.ts";
import { CALIBRATION_LIMIT } from "../calibration.ts";
import { judgeCell, type JudgedCell, type Judgement } from "../judge.ts";
import { formatNumber, formatValue, labelOf } from "../metrics.ts";
import { ASYMMETRIES, formatAim, formatOurs, formatRatio, verdictOf } from "../print.ts";
import type { KeptCell, Mode } from "../result.ts";
import { ROUND_COUNTS } from "../runner.ts";
import type { NamedPlot } from "./plots.ts";

/** How it is told who was put in our place, in this order. */
const LABELS: Readonly<Record<string, string>> = { bun: "Bun", exe: "the executable", deno: "Deno" };

const MODES: readonly Mode[] = ["full", "standard", "quick"];

/** The cells of one who was put in our place. */
export interface Chapter {
  readonly label: string;
  readonly cells: readonly KeptCell[];
}

/** Of each cell the most thorough run, with the usual knobs; chapters in the order of `LABELS`. */
export function chaptersOf(kept: readonly KeptCell[]): Chapter[] {
  const usual = kept.filter(({ header }) => !header.isDefaults);
  const names = [...new Set(usual.map(({ header }) => header.as))];
  const known = Object.keys(LABELS);
  const order = (name: string) => known.includes(name) ? known.indexOf(name) : known.length;
  return names.toSorted((left, right) => order(left) - order(right)).map((name) => {
    const own = usual.filter(({ header }) => header.as === name);
    const ids = [...new Set(own.map(({ cell }) => cell.id))]
      .toSorted((left, right) => left.localeCompare(right, "en", { numeric: true }));
    const cells = ids.map((id) => {
      const runs = own.filter(({ cell }) => cell.id === id);
      return MODES.flatMap((mode) => runs.filter(({ header }) => header.mode === mode))[0]!;
    });
    return { label: LABELS[name] ?? "another program", cells };
  });
}

/** What the page is made of. */
export interface PageOptions {
  readonly chapters: readonly Chapter[];
  readonly plots: readonly NamedPlot[];
  /** Markdown about the aims that were missed, written by hand; empty for none. */
  readonly misses: string;
}

/** The page. @throws {Error} when nothing was measured */
export function renderPage({ chapters, plots, misses }: PageOptions): string {
  if (chapters.length === 0) throw new Error('nothing was measured yet: run "deno task bench" first');
  return [
    "# Performance",
    "",
    "Beside Litestream 0.3.13, on one machine, in the same run. This page is made by `deno task bench:report` from",
    "what `deno task bench` has measured; [how](#method) is told below.",
    "",
    ...chapters.flatMap(chapterLines),
    ...plots.flatMap(({ file, title }) => [`![${title}](performance/${file}.svg)`, ""]),
    ...(misses.trim() === "" ? [] : ["## What was missed, and why", "", misses.trim(), ""]),
    ...methodLines(),
  ].join("\n");
}

function chapterLines({ label, cells }: Chapter): string[] {
  const headers = cells.map(({ header }) => header);
  const distinct = (of: (header: typeof headers[number]) => string) =>
    [...new Set(headers.map(of))].join("; ");
  return [
    `## With ${label}`,
    "",
    `- ${distinct(({ programs }) => Object.values(programs).join(" beside "))}`,
    `- ${distinct(({ machine }) => machine.replace(/, durable write.*/, ""))}`,
    `- commit ${distinct(({ commit }) => commit)}, ${distinct(({ startedAt }) => startedAt.slice(0, 10))}, ${
      distinct(({ mode }) => `${mode} run`)
    }`,
    "",
    "| Work | | walbrook | Litestream | Ratio, ≤ its bound | Over the floor | Aim | |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ...cells.flatMap(({ cell, header }) => cellRows(judgeCell(cell, header.as))),
    "",
  ];
}

function cellRows(judged: JudgedCell): string[] {
  const { cell, judgements } = judged;
  const name = `${cell.id}: ${cell.title}`;
  if (cell.problem !== undefined) return [tableRow([name, "", "no number", "", cell.problem, "", "", ""])];
  if (cell.rounds.length === 0) {
    const dropped = `all ${cell.droppedRounds.length} pairs were dropped`;
    return [tableRow([name, "", "no number", "", dropped, "", "", ""])];
  }
  return judgements.map((judgement, at) => {
    const dropped = cell.droppedRounds.length === 0 ? "" : `, ${cell.droppedRounds.length} dropped`;
    const first = at === 0 ? `${name} (${cell.rounds.length} pairs${dropped})` : "";
    return tableRow([first, ...judgementCells(judgement, judged.isComplete)]);
  });
}

function judgementCells(judgement: Judgement, isComplete: boolean): string[] {
  const { metric, ours, litestream, peer05, ratio, floorDistance, aims } = judgement;
  const peers = [litestream, peer05].filter((value): value is number => value !== undefined);
  return [
    labelOf(metric),
    ours === undefined ? "" : formatOurs(metric, ours),
    peers.map((value) => formatValue(metric, value)).join("; 0.5: "),
    ratio === undefined ? "" : formatRatio(ratio),
    floorDistance === undefined ? "" : `${formatNumber(floorDistance)}×`,
    aims.map(formatAim).join(", "),
    aims.map((aim) => verdictOf(aim, isComplete)).map((word) => word === "MISSED" ? "**missed**" : word)
      .join(", "),
  ];
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function methodLines(): string[] {
  return [
    "## Method",
    "",
    "- Both programs in turn, A B B A …, after one run each that doesn't count (rows that last a minute by their",
    `  nature have none); ${ROUND_COUNTS.standard} pairs, with \`--full\` ${ROUND_COUNTS.full}, with \`--quick\` ` +
    `${ROUND_COUNTS.quick} and smaller sizes.`,
    "- A ratio is that of one pair, ours to Litestream's. Shown is the median of the pairs' ratios, with the least",
    "  and the most, and its upper bound: with 90 % confidence the true median is not above it. The bound is the",
    "  value in a place of the sorted ratios, so it supposes nothing of how they are spread: of nine the seventh, of",
    "  five the largest. An aim is met when the bound is.",
    "- CPU time and peak memory are the kernel's own count for the process (`wait4`), or while it runs its CPU clock",
    "  and `/proc`. Wall time is beside them.",
    `- A calibration kernel runs before and after each pair; where it moved by more than ${
      CALIBRATION_LIMIT * 100
    } % the`,
    "  pair is dropped and counted.",
    "- No number without proof: what each program left is restored by both, and all pages are compared with the",
    "  database's. Listings are compared line by line.",
    "- Both get the same knobs; `--defaults` gives each its own.",
    ...ASYMMETRIES.map((line) => `- ${line}`),
    `- On Deno each aim is ${DENO_ALLOWANCE} times as wide.`,
    "",
    "Floors, what the work takes on such a machine whoever does it:",
    "",
    ...FLOORS.map(({ cell, metric, from }) => `- \`${cell}\`, ${labelOf(metric)}: ${from}`),
    "",
  ];
}
