/** Results as lines of text; pure. */
import type { JudgedAim, JudgedCell, Judgement } from "./judge.ts";
import { formatNumber, formatValue, labelOf, type Metric } from "./metrics.ts";
import type { Header } from "./result.ts";
import type { Summary } from "./statistics.ts";

/** What both programs do differently without anybody having asked for it. */
export const ASYMMETRIES: readonly string[] = [
  "walbrook syncs each object and its folder to the disk before it counts; Litestream syncs less. So a timed " +
  "transfer of either ends, inside the time, with a sync of what it wrote.",
  "Litestream keeps two tables of its own in the database and writes into them; walbrook writes nothing.",
  "walbrook sends the first change after a quiet time at once; Litestream waits for its next interval.",
];

/** What stands above the tables. */
export function headerLines(header: Header): string[] {
  const { programs } = header;
  return [
    `${programs.ours}, ${[programs.litestream, programs.peer05].filter((name) => name).join(", ")}`,
    `commit ${header.commit}, ${header.startedAt}, ${header.mode}${header.isDefaults ? ", defaults" : ""}`,
    `machine: ${header.machine}`,
    `knobs: ${header.knobs}`,
    ...ASYMMETRIES.map((line) => `asymmetry: ${line}`),
  ];
}

/** `≤ 0.50×` for a ratio, `≤ 100 MB` for a value. */
export function formatAim({ aim }: JudgedAim): string {
  const sign = aim.atMost !== undefined ? "≤" : "≥";
  const limit = aim.atMost ?? aim.atLeast ?? 0;
  return `${sign} ${aim.of === "ratio" ? `${formatNumber(limit)}×` : formatValue(aim.metric, limit)}`;
}

/** `0.45 (0.43…0.47), ≤ 0.47`. */
export function formatRatio(ratio: Summary): string {
  const [median, least, most, upper] = [ratio.median, ratio.least, ratio.most, ratio.upper].map(formatNumber);
  return `${median} (${least}…${most}), ≤ ${upper}`;
}

/** A value of our own with its spread. */
export function formatOurs(metric: Metric, { median, least, most }: Summary): string {
  if (least === most) return formatValue(metric, median);
  return `${formatValue(metric, median)} (${formatValue(metric, least)}…${formatValue(metric, most)})`
    .replace(/ ([^ …()]+)…/, "…");
}

/** `met`, `missed`, or that there are too few rounds to say. */
export function verdictOf({ isMet }: JudgedAim, isComplete: boolean): string {
  return isMet ? (isComplete ? "met" : "met, too few rounds") : "MISSED";
}

/** A cell as lines, the first one its title. */
export function cellLines(judged: JudgedCell): string[] {
  const { cell, judgements } = judged;
  const title = `${cell.id}  ${cell.title}`;
  if (cell.problem !== undefined) return [title, `    NO NUMBER: ${cell.problem}`];
  const dropped = cell.droppedRounds.length;
  const count = `${cell.rounds.length} pair${cell.rounds.length === 1 ? "" : "s"}${
    dropped === 0 ? "" : `, ${dropped} dropped since the machine's speed moved`
  }`;
  if (cell.rounds.length === 0) return [title, `    NO NUMBER: ${count}`];
  return [`${title}: ${count}`, ...judgements.map((judgement) => line(judgement, judged.isComplete))];
}

function line(judgement: Judgement, isComplete: boolean): string {
  const { metric, ours, litestream, peer05, ratio, aims, floorDistance } = judgement;
  const parts = [
    `    ${labelOf(metric).padEnd(22)}`,
    (ours === undefined ? "-" : formatOurs(metric, ours)).padEnd(28),
    (litestream === undefined ? "-" : formatValue(metric, litestream)).padStart(12),
  ];
  if (peer05 !== undefined) parts.push(formatValue(metric, peer05).padStart(12));
  parts.push(`  ${(ratio === undefined ? "" : `ratio ${formatRatio(ratio)}`).padEnd(36)}`);
  if (floorDistance !== undefined) parts.push(`${formatNumber(floorDistance)}× the floor  `);
  for (const aim of aims) parts.push(`aim ${formatAim(aim)} ${verdictOf(aim, isComplete)}  `);
  return parts.join("").trimEnd();
}
