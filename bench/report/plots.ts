/** The plots of the page, from the cells that they need; pure. */
import { seriesOf, valuesOf } from "../judge.ts";
import type { Metric } from "../metrics.ts";
import type { CellResult, KeptCell, SideName } from "../result.ts";
import { median } from "../statistics.ts";
import type { Plot, Series } from "./plot.ts";

/** A plot and the name of its file, without the ending. */
export interface NamedPlot extends Plot {
  readonly file: string;
}

const SIDES: readonly { readonly name: SideName; readonly label: string }[] = [
  { name: "ours", label: "walbrook" },
  { name: "litestream", label: "Litestream 0.3.13" },
  { name: "peer05", label: "Litestream 0.5" },
];

/** Every plot for which something was measured. `label` is who was put in our place. */
export function plotsOf(kept: readonly KeptCell[], label: string): NamedPlot[] {
  const cells = kept.map(({ cell }) => cell)
    .filter((cell) => cell.problem === undefined && cell.rounds.length > 0);
  const ending = label.toLowerCase();
  const plots: NamedPlot[] = [
    {
      file: `lag-${ending}`,
      title: `From a commit to its object, after a quiet time (${label})`,
      x: { label: "milliseconds", isLog: true },
      y: { label: "share of the commits" },
      series: [
        ...distributions(cells, { id: "B5/folder-singles", place: "folder" }),
        ...distributions(cells, { id: "B5/s3-singles", place: "S3, 30 ms" }),
      ],
    },
    {
      file: `segments-${ending}`,
      title: `Restore of many segments over 8 indexes from a folder (${label})`,
      x: { label: "segments", isLog: true },
      y: { label: "seconds", isLog: true },
      series: growth(cells, { pattern: /^B4\/folder-(625|2500|10000)$/, metric: "wallSeconds" }),
    },
    {
      file: `databases-${ending}`,
      title: `Resident memory over idle databases (${label})`,
      x: { label: "databases", isLog: true },
      y: { label: "MB" },
      series: growth(cells, { pattern: /^B8\/\d+$/, metric: "residentBytes", factor: 1e-6 }),
    },
    {
      file: `sizes-${ending}`,
      title: `Snapshot to and restore from a folder over 1×, 4×, 16× (${label})`,
      x: { label: "MB of text", isLog: true },
      y: { label: "seconds", isLog: true },
      series: [
        ...growth(cells, {
          pattern: /^B1\/text-/,
          metric: "wallSeconds",
          scaleFactor: 1e-6,
          prefix: "snapshot: ",
        }),
        ...growth(cells, {
          pattern: /^B3\/folder-/,
          metric: "wallSeconds",
          scaleFactor: 1e-6,
          prefix: "restore: ",
        }),
      ],
    },
  ];
  return plots.filter(({ series }) => series.length > 0);
}

/** Each side's share of commits that took at most so long. */
function distributions(cells: readonly CellResult[], { id, place }: { id: string; place: string }): Series[] {
  const cell = cells.find((each) => each.id === id);
  if (cell === undefined) return [];
  return SIDES.flatMap(({ name, label }) => {
    const lags = seriesOf(cell.rounds, name, "lagMs").toSorted((left, right) => left - right);
    if (lags.length === 0) return [];
    const points = lags.map((lag, at) => [lag, (at + 1) / lags.length] as const);
    return [{ name: `${label}, ${place} (${lags.length} commits)`, isOurs: name === "ours", points }];
  });
}

/** Each side's medians over the cells' scales; at least two of them make a line. */
function growth(cells: readonly CellResult[], options: {
  readonly pattern: RegExp;
  readonly metric: Metric;
  readonly factor?: number;
  readonly scaleFactor?: number;
  readonly prefix?: string;
}): Series[] {
  const { pattern, metric, factor = 1, scaleFactor = 1, prefix = "" } = options;
  const chosen = cells.filter(({ id }) => pattern.test(id)).toSorted((left, right) =>
    left.scale - right.scale
  );
  return SIDES.flatMap(({ name, label }) => {
    const points = chosen.flatMap(({ rounds, scale }) => {
      const values = valuesOf(rounds, name, metric);
      return values.length === 0 ? [] : [[scale * scaleFactor, median(values) * factor] as const];
    });
    return points.length < 2 ? [] : [{ name: `${prefix}${label}`, isOurs: name === "ours", points }];
  });
}
