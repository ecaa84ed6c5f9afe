/** What a cell's samples say about each metric and aim; pure. */
import { type Aim, aimFor, AIMS, FLOORS, isOf } from "./aims.ts";
import type { Metric } from "./metrics.ts";
import type { CellResult, Round, SideName } from "./result.ts";
import { median, summarize, type Summary } from "./statistics.ts";

/** An aim, and whether it was met. */
export interface JudgedAim {
  readonly aim: Aim;
  readonly isMet: boolean;
}

/** One metric of one cell. */
export interface Judgement {
  readonly metric: Metric;
  /** Of our own samples; absent when there are none. */
  readonly ours: Summary | undefined;
  readonly litestream: number | undefined;
  readonly peer05: number | undefined;
  /** Of the rounds' ratios, ours to the lighter of the peers; absent when a peer's value is 0. */
  readonly ratio: Summary | undefined;
  readonly aims: readonly JudgedAim[];
  /** Our median over the floor. */
  readonly floorDistance: number | undefined;
}

/** A cell, judged. `undefined` numbers: it has a problem, or every round was dropped. */
export interface JudgedCell {
  readonly cell: CellResult;
  readonly judgements: readonly Judgement[];
  /** Aims need all rounds that were wanted. */
  readonly isComplete: boolean;
}

/** The values of one side, round by round. */
export function valuesOf(rounds: readonly Round[], side: SideName, metric: Metric): number[] {
  return rounds.map((round) => round.samples[side]?.values[metric])
    .filter((value): value is number => value !== undefined);
}

/** Every single measurement of one side, of all rounds. */
export function seriesOf(rounds: readonly Round[], side: SideName, metric: Metric): number[] {
  return rounds.flatMap((round) => round.samples[side]?.series?.[metric] ?? []);
}

/** In each round ours over the lighter peer's; rounds in which that is 0 or missing have none. */
export function ratiosOf(rounds: readonly Round[], metric: Metric): number[] {
  return rounds.flatMap(({ samples }) => {
    const ours = samples.ours?.values[metric];
    const peers = [samples.litestream?.values[metric], samples.peer05?.values[metric]]
      .filter((value): value is number => value !== undefined);
    const lightest = Math.min(...peers);
    return ours === undefined || peers.length === 0 || lightest <= 0 ? [] : [ours / lightest];
  });
}

/** Judge a cell by the aims of who was put in our place. */
export function judgeCell(cell: CellResult, as: string): JudgedCell {
  const metrics = new Set<Metric>();
  for (const { samples } of cell.rounds) {
    for (const sample of Object.values(samples)) {
      for (const metric of Object.keys(sample.values)) metrics.add(metric as Metric);
    }
  }
  const isComplete = cell.problem === undefined && cell.rounds.length >= cell.wantedCount;
  const judgements = cell.problem !== undefined ? [] : [...metrics].map((metric) => judge(cell, metric, as));
  return { cell, judgements, isComplete };
}

function judge({ id, scale, rounds }: CellResult, metric: Metric, as: string): Judgement {
  const ours = valuesOf(rounds, "ours", metric);
  const ratios = ratiosOf(rounds, metric);
  const summary = ours.length === 0 ? undefined : summarize(ours);
  const ratio = ratios.length === 0 ? undefined : summarize(ratios);
  const aims = AIMS.filter((aim) => aim.metric === metric && isOf(aim.cell, id))
    .map((aim) => aimFor(aim, as))
    .map((aim) => ({ aim, isMet: isMet(aim, aim.of === "ratio" ? ratio : summary) }));
  const floor = FLOORS.find((each) => each.metric === metric && isOf(each.cell, id))?.of(scale);
  const peerMedian = (side: SideName) => {
    const values = valuesOf(rounds, side, metric);
    return values.length === 0 ? undefined : median(values);
  };
  return {
    metric,
    ours: summary,
    litestream: peerMedian("litestream"),
    peer05: peerMedian("peer05"),
    ratio,
    aims,
    floorDistance: floor === undefined || summary === undefined ? undefined : summary.median / floor,
  };
}

/** By the bound of the median, not by the median: a lucky run does not meet an aim. */
function isMet({ atMost, atLeast }: Aim, summary: Summary | undefined): boolean {
  if (summary === undefined) return false;
  return (atMost === undefined || summary.upper <= atMost) &&
    (atLeast === undefined || summary.lower >= atLeast);
}
